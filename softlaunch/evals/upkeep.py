"""The upkeep of a golden set, as an eval sees it: how old it is, and how many of its cases flicker."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from sqlmodel import Session

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.evals.statistics.report import EvalReport, concluded
from softlaunch.evals.suites.golden_set import Suite, SuiteWarning, WarningKind
from softlaunch.ledger.notices import Incident, open_incident

GOLDEN_SET = "golden_set"
FLICKERING = "flickering"


def with_upkeep(report: EvalReport, suite: Suite, now: datetime) -> EvalReport:
    """The report with verdicts on the golden set itself; an old one is only shown, one that flickers too much holds."""
    verdicts = (*report.verdicts, *_verdicts(report, suite, now))
    outcome, reason = concluded(verdicts)
    return replace(report, verdicts=verdicts, outcome=outcome, reason=reason)


def open_upkeep_incidents(
    session: Session, app: str, release_id: str | None, suite: Suite, report: EvalReport, now: datetime
) -> None:
    """Open incidents for a golden set that needs attention; one that is open already isn't opened again."""
    stale = _stale(suite, now)
    if stale is not None:
        evidence: dict[str, object] = {"as_of": str(suite.header.as_of)}
        stale_set = _incident(IncidentKind.GOLDEN_SET_STALE, app, release_id, stale.text, evidence)
        open_incident(session, stale_set, now)
    flickering = next((one for one in report.verdicts if one.gate == FLICKERING), None)
    if flickering is not None and flickering.outcome is not Outcome.PASS:
        evidence = {"cases": [row.case_id for row in report.cases if row.flickering]}
        unsteady = _incident(IncidentKind.EVAL_FLICKERING, app, release_id, flickering.reason, evidence)
        open_incident(session, unsteady, now)


def _incident(
    kind: IncidentKind, app: str, release_id: str | None, summary: str, evidence: dict[str, object]
) -> Incident:
    return Incident(kind, app, release_id, f"{kind.value}:{app}", summary, evidence)


def _stale(suite: Suite, now: datetime) -> SuiteWarning | None:
    return next((one for one in suite.warnings(now.date()) if one.kind is WarningKind.STALE), None)


def _verdicts(report: EvalReport, suite: Suite, now: datetime) -> Iterator[Verdict]:
    stale = _stale(suite, now)
    if stale is not None:
        yield Verdict(GOLDEN_SET, Outcome.INCONCLUSIVE, stale.text, role=Role.MUTED)
    budget = suite.header.error_budget
    if budget is not None:
        share = report.flickering_cases / len(report.cases)
        found = f"{report.flickering_cases} of {len(report.cases)} cases flicker, {budget} of them may"
        fits = share <= budget.value
        advice = "" if fits else "; such cases throw dice, so reword them or what they expect, or take them out"
        yield Verdict(
            FLICKERING,
            Outcome.PASS if fits else Outcome.INCONCLUSIVE,
            found + advice,
            margin=budget.value,
            candidate_value=share,
            candidate_count=len(report.cases),
        )
