"""Checks of every answer, once it is over: what is told of it without keeping its text."""
