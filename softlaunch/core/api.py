"""The APIs that applications speak to models."""

from enum import StrEnum


class Api(StrEnum):
    """One API of an endpoint: what a request and its answer look like."""

    CHAT = "chat"
    """OpenAI's chat completions, which nearly every endpoint speaks."""
    RESPONSES = "responses"
    """OpenAI's Responses."""
    MESSAGES = "messages"
    """Anthropic's Messages."""
    EMBEDDINGS = "embeddings"
    """OpenAI's embeddings: vectors in place of texts."""
    COMPLETIONS = "completions"
    """OpenAI's completions of before chats: a text goes on."""
