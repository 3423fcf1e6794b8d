"""Prompt drift: the same variant serving worse than it did, because its model or its users have changed."""
