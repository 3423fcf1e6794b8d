"""Regression evals on golden sets: suites, metrics, runner, paired comparison."""
