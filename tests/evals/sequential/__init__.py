"""Evals that stop as soon as their verdict is known."""
