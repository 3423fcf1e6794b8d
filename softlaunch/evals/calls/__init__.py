"""Calls of an eval: asking endpoints within limits and budgets, and what each call came to."""
