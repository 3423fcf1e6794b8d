"""Providers that put another model behind a name."""

import pytest
from sqlmodel import select

from softlaunch.catalog.floating_models import is_pinned, watch_resolved_models
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, record_app, request_row


def _answers(database: Database, *rows: tuple[str, str | None], digest: str = STABLE.digest) -> list[str]:
    """Log answers of these resolved models and fingerprints, and look."""
    with database.begin() as session:
        for model, fingerprint in rows:
            session.add(request_row(variant_digest=digest, resolved_model=model, fingerprint=fingerprint))
    return watch_resolved_models(database, NOON)


def test_another_model_opens_one_incident(database: Database) -> None:
    """The first look takes what it finds; what comes later and is unknown is told, once."""
    record_app(database)
    assert _answers(database, ("steady-2026-01", "fp_1"), ("steady-2026-01", "fp_2")) == []
    assert _answers(database, ("steady-2026-01", "fp_2")) == []
    [told] = _answers(database, ("steady-2026-01", "fp_1"), ("steady-2026-02", "fp_1"))
    assert "steady answers as steady-2026-02 (fp_1)" in told
    assert "no pinned snapshot" in told
    assert _answers(database, ("steady-2026-02", "fp_1")) == []
    with database.read() as session:
        incident = session.exec(select(IncidentRow)).one()
    assert (incident.kind, incident.app) == ("floating_model_changed", APP)


def test_a_fingerprint_counts_and_its_absence_does_not(database: Database) -> None:
    """Another fingerprint is another system; answers that name no model say nothing."""
    record_app(database)
    assert _answers(database, ("steady", None)) == []
    with database.begin() as session:
        session.add(request_row(status=500, outcome="provider_failed"))
    assert watch_resolved_models(database, NOON) == []
    assert len(_answers(database, ("steady", "fp_9"))) == 1


def test_variants_are_told_apart(database: Database) -> None:
    """A release that changes the model is expected: its variant is another one."""
    record_app(database)
    assert _answers(database, ("steady", "fp_1")) == []
    assert _answers(database, ("better", "fp_7"), digest=CANDIDATE.digest) == []


def test_a_fallback_model_is_no_change_of_the_variants_own(database: Database) -> None:
    """Who answers in its place is another model, and known to be."""
    record_app(database)
    assert _answers(database, ("steady", "fp_1")) == []
    with database.begin() as session:
        session.add(request_row(variant_digest=STABLE.digest, resolved_model="spare", answered_by="spare"))
    assert watch_resolved_models(database, NOON) == []
    assert len(_answers(database, ("spare", None))) == 1


@pytest.mark.parametrize(
    ("model", "pinned"),
    [
        ("gpt-4o-2024-08-06", True),
        ("claude-3-5-sonnet-20241022", True),
        ("gpt-4-0613", True),
        ("gemini-1.5-pro-002", True),
        ("meta/llama@sha256:abc", True),
        ("gpt-4o", False),
        ("claude-3-5-sonnet-latest", False),
        ("gpt-4-32k", False),
        ("mixtral-8x7b", False),
    ],
)
def test_pinned_names(model: str, *, pinned: bool) -> None:
    """A date or a number of a snapshot pins; a bare name floats."""
    assert is_pinned(model) is pinned
