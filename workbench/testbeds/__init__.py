"""Small models with known behaviours: their data and adapters; public prompt sets by name."""

from workbench.testbeds.public_sets import PUBLIC_SETS, PublicSet, load_public_set

__all__ = ["PUBLIC_SETS", "PublicSet", "load_public_set"]
