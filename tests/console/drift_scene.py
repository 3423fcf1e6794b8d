"""Half a year of drift checks in the ledger of a console: quality sinks in spring, and an incident says so."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.ledger.notices import Incident, open_incident
from softlaunch.store.database import Database
from softlaunch.store.tables import DriftRunRow
from tests.support.builders import APP, NOON, STABLE

MONTH = timedelta(days=30)
ACCURACIES = (0.90, 0.91, 0.89, 0.90, 0.80, 0.79)
SUNK = 4
"""The number of the first check that found drift."""
WEEKS = 24


def add_drift(database: Database, folder: Path | None = None) -> None:
    """Record a baseline and six checks, the last two of which found drift."""
    with database.begin() as session:
        session.add(_run(2, "baseline", {}, "frozen"))
        for number, accuracy in enumerate(ACCURACIES):
            drifted = number >= SUNK
            summary = "accuracy fell by 10 points" if drifted else "accuracy as it was"
            session.add(_run(number + 3, "check", check_report(number, accuracy, drifted=drifted), summary))
        session.flush()
        key = f"{APP}:{IncidentKind.PROMPT_DRIFT}"
        told = "accuracy fell by 10 points"
        open_incident(session, Incident(IncidentKind.PROMPT_DRIFT, APP, None, key, told, {}), NOON)


def check_report(number: int, accuracy: float, *, drifted: bool) -> dict[str, Any]:
    """A check's report as the ledger keeps it."""
    totals = {"calls": 180, "unscored": 0, "errors": {}, "cost_usd": 0.07, "latency_p50_ms": 800.0}
    named = {**totals, "models": ["steady-1"], "fingerprints": []}
    setting = {"same_variant": True, "model": "steady", "floating": False}
    return {
        "summary": "accuracy fell by 10 points" if drifted else "accuracy as it was",
        "drifted": drifted,
        "clear": True,
        "cause": "unclear" if drifted else "none",
        "step": "look" if drifted else "nothing",
        "remarks": [],
        "metrics": [
            _metric("accuracy", "quality", 0.90, accuracy, 0.03),
            _metric("answered", "answered", 0.99, 0.98, 0.01),
            _metric("latency", "amount", 800.0, 800.0 + 20 * number, 30.0),
        ],
        "outputs": None,
        "cases": 60,
        "then": named,
        "now": named,
        "trends": [_trend(number)],
        "setting": setting,
    }


def _metric(name: str, kind: str, then: float, now: float, reach: float) -> dict[str, Any]:
    change = now - then
    figures = {"difference": change, "low": change - reach, "high": change + reach, "method": "paired", "cases": 60}
    return {"metric": name, "kind": kind, "muted": None, "then": then, "now": now, "finding": "none", **figures}


def _trend(number: int) -> dict[str, Any]:
    """Twelve weeks up to the check; from the fourth month on users are less satisfied."""
    end = (NOON - (len(ACCURACIES) - number) * MONTH).timestamp()
    begins = [end - 7 * 86400.0 * ago for ago in range(12, 0, -1)]
    fell = (NOON - 2.5 * MONTH).timestamp()
    levels = [0.82 if at < fell else 0.71 for at in begins]
    weeks = [
        {"begins_at": at, "mean": level, "low": level - 0.04, "high": level + 0.04, "units": 300}
        for at, level in zip(begins, levels, strict=True)
    ]
    at = next((at for at in begins if at >= fell), None)
    change = None if at is None else {"begins_at": at, "before": 0.82, "after": 0.71, "p_value": 0.001}
    return {"metric": "satisfaction", "weeks": weeks, "change": change}


def _run(number: int, kind: str, report: dict[str, Any], summary: str) -> DriftRunRow:
    at = NOON - (9 - number) * MONTH
    return DriftRunRow(
        id=f"{APP}-drift-{number}",
        app=APP,
        number=number,
        kind=kind,
        state="done",
        variant_digest=STABLE.digest,
        suite_digest="0" * 64,
        opened_at=at,
        opened_by="anna",
        ended_at=at,
        summary=summary,
        report=report,
    )
