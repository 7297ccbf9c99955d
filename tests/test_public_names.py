"""The public names are there, load lazily, and `import workbench` is light."""

import subprocess
import sys

import workbench as wb

CONTRACT = [
    "load_model",
    "from_hf",
    "chat",
    "known_models",
    "Example",
    "optimize",
    "optimize_batch",
    "OneShotJob",
    "SteeringVector",
    "VectorSet",
    "steer",
    "Add",
    "Ablate",
    "Clamp",
    "Custom",
    "Positions",
    "generate",
    "stream",
    "log_prob",
    "random_vector",
    "random_vectors",
    "mean_difference",
    "load_public_set",
    "load_testbed",
    "Affine",
    "AffineMap",
    "save_interventions",
    "load_interventions",
    "OneShotRun",
    "Imitation",
    "Noise",
    "LeastNorm",
    "LargestChange",
    "Balance",
    "PRESETS",
    "reentrant",
    "melbo",
    "sweep_layers",
    "likely_completions",
    "reference_losses",
    "push_to_hub",
    "from_hub",
    "Study",
    "StudyFolder",
    "read_study",
    "run_study",
]


def test_every_name_of_the_contract_is_there():
    assert set(CONTRACT) <= set(wb.__all__)
    for name in wb.__all__:
        assert getattr(wb, name) is not None
        assert name in dir(wb)


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, workbench; print([m for m in ('torch', 'plotly') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_rooms_before_figures_load_no_plotly():
    code = (
        "import sys, workbench.methods, workbench.analysis, workbench.evaluation; "
        "print('plotly' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
