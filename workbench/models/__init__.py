"""Get a hooked model, and what all other rooms need to know of one."""

from workbench.models.identity import ModelRecord, record_of
from workbench.models.known import known_models
from workbench.models.loading import from_hf, load_model
from workbench.models.text import chat

__all__ = ["ModelRecord", "chat", "from_hf", "known_models", "load_model", "record_of"]
