"""Outputs that exist already: read from files, scored, and compared like those of an eval."""
