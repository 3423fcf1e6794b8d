"""Recorded requests, read from files and cut into the windows that gates look at."""
