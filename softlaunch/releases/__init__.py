"""Driving a release: opening it, looking, deciding, ending it, and finding those that nobody drives."""
