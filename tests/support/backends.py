"""Which databases a test that takes long runs on."""

import pytest

on_postgresql = pytest.mark.parametrize(
    "database_url",
    [pytest.param("sqlite", marks=pytest.mark.soak), pytest.param("postgresql", marks=pytest.mark.postgres)],
    indirect=True,
)
"""On PostgreSQL, and on SQLite only where long tests run at full length."""
