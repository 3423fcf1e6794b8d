"""Comparing two arms of an eval on the same cases: paired statistics and verdicts."""
