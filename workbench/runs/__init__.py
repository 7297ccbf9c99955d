"""Runs that survive: a folder that keeps what is finished."""

from workbench.runs.folder import RunFolder

__all__ = ["RunFolder"]
