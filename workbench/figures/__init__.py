"""Draw results: from a result to a Plotly figure, which is returned, never shown or written."""

from workbench.figures import theme
from workbench.figures.attribution import draw_attribution
from workbench.figures.comparison import draw_comparison
from workbench.figures.connectivity import draw_connectivity, draw_paths
from workbench.figures.correlations import draw_correlations
from workbench.figures.dictionary import draw_dictionary
from workbench.figures.distributions import draw_distributions
from workbench.figures.effects import draw_effects
from workbench.figures.export import export
from workbench.figures.flips import draw_flips
from workbench.figures.geometry import draw_cosine_geometry
from workbench.figures.heads import draw_head_map, draw_indirect_effects
from workbench.figures.layer_sweep import draw_layer_sweep
from workbench.figures.lens_change import draw_lens_change
from workbench.figures.logit_lens import draw_logit_lens
from workbench.figures.losses import draw_losses
from workbench.figures.norms import draw_norms
from workbench.figures.position_map import draw_position_map
from workbench.figures.rates import draw_dose, draw_layer_strip, draw_rates
from workbench.figures.refusal import draw_refusal_comparison
from workbench.figures.report import Report
from workbench.figures.slopes import draw_slopes
from workbench.figures.strips import draw_token_strip
from workbench.figures.structure import draw_plane, draw_separation
from workbench.figures.subspaces import draw_spectrum
from workbench.figures.text import plain
from workbench.figures.theme import CONFIG, themed
from workbench.figures.tokens import draw_vector_lens

__all__ = [
    "CONFIG",
    "Report",
    "draw_attribution",
    "draw_comparison",
    "draw_connectivity",
    "draw_correlations",
    "draw_cosine_geometry",
    "draw_dictionary",
    "draw_distributions",
    "draw_dose",
    "draw_effects",
    "draw_flips",
    "draw_head_map",
    "draw_indirect_effects",
    "draw_layer_strip",
    "draw_layer_sweep",
    "draw_lens_change",
    "draw_logit_lens",
    "draw_losses",
    "draw_norms",
    "draw_paths",
    "draw_plane",
    "draw_position_map",
    "draw_rates",
    "draw_refusal_comparison",
    "draw_separation",
    "draw_slopes",
    "draw_spectrum",
    "draw_token_strip",
    "draw_vector_lens",
    "export",
    "plain",
    "theme",
    "themed",
]
