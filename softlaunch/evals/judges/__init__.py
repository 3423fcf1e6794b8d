"""Judges: models that score answers, asked with prompts of their own, and checked against people."""
