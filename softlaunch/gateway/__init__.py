"""The embedded OpenAI-compatible gateway."""
