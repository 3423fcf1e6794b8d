"""Prompts, models, variants and aliases, and the files they are read from."""
