"""An interactive panel for notebooks: steer, look inside, compare vectors, see sets of prompts."""

from workbench.explorer.panel import Explorer, explore

__all__ = ["Explorer", "explore"]
