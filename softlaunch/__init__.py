"""Safe releases of changes to LLM applications: evaluation, shadow, canary, gates and rollback."""

__version__ = "0.1.0"
