"""A check's result as a document for programs. Its shape is described in docs/guide/pull-requests.md."""

from typing import Any

from softlaunch.evals.statistics.document import to_document as report_document
from softlaunch.evals.statistics.report import CaseRow
from softlaunch.pull_requests.changes import AppChange
from softlaunch.pull_requests.comparing import Compared
from softlaunch.pull_requests.planning import Plan
from softlaunch.pull_requests.results import AppResult, CheckResult, Judged, PairResult

VERSION = 1


def to_document(result: CheckResult) -> dict[str, Any]:
    """The result; `format` grows when the shape changes in a way that a reader could miss."""
    return {
        "format": VERSION,
        "outcome": result.conclusion.value,
        "base": {"commit": result.base.id, "subject": result.base.subject},
        "head": result.head,
        "not_asked_because": list(result.withheld),
        "calls": result.calls,
        "reused": result.reused,
        "cost_usd": result.cost_usd,
        "apps": [_app(one) for one in result.apps],
    }


def _app(app: AppResult) -> dict[str, Any]:
    return {
        "app": app.name,
        "folder": app.folder or ".",
        "outcome": app.conclusion.value,
        "problem": app.problem or None,
        **(_change(app.change) if app.change is not None else {}),
        "warnings": list(app.warnings),
        "variants": [_pair(one) for one in app.pairs],
    }


def _change(change: AppChange) -> dict[str, Any]:
    cases = change.cases
    edited = [{"id": id_, "keys": list(keys)} for id_, keys in cases.edited]
    return {
        "golden_set": {"removed": list(cases.removed), "added": list(cases.added), "edited": edited},
        "policy": [{"key": one.key, "before": one.before, "after": one.after} for one in change.settings],
        "notes": list(change.notes),
    }


def _pair(result: PairResult) -> dict[str, Any]:
    pair = result.pair
    return {
        "variant": pair.name,
        "outcome": result.conclusion.value,
        "why": pair.why,
        "base": {"digest": pair.base.digest, "label": pair.base.label},
        "head": {"digest": pair.head.digest, "label": pair.head.label},
        "changed": [part.part for part in pair.parts],
        "judged": [judged_document(one) for one in result.judged],
    }


def judged_document(one: Judged) -> dict[str, Any]:
    """A pair judged on one golden set."""
    return {
        "by": one.on or None,
        "outcome": one.conclusion.value,
        "reason": one.reason,
        "would_decide": list(one.decides),
        "worst_cases": [_case(row) for row in one.worst],
        "comparison": None if one.compared is None else _comparison(one.compared),
        "plan": None if one.plan is None else _plan(one.plan),
    }


def _comparison(compared: Compared) -> dict[str, Any]:
    return {
        "run": compared.run_id,
        "calls": compared.calls,
        "reused": compared.reused,
        "cost_usd": compared.cost_usd,
        "halted": compared.halted,
        "moved_models": [
            {"model": one.asked[1], "before": list(one.before), "now": list(one.now), "asked_anew": one.reused}
            for one in compared.moved
        ],
        **report_document(compared.report),
    }


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "cases": plan.cases,
        "calls": plan.calls,
        "most_calls": plan.most_calls,
        "reusable": plan.reusable,
        "cost_usd": plan.cost_usd,
        "basis": plan.basis,
        "shows": plan.shows,
    }


def _case(row: CaseRow) -> dict[str, Any]:
    return {
        "id": row.case_id,
        "asked": row.asked,
        "wanted": row.wanted,
        "tags": list(row.tags),
        "base": {"score": row.stable.mean, "answer": row.stable.answer, "error": row.stable.error},
        "head": {"score": row.candidate.mean, "answer": row.candidate.answer, "error": row.candidate.error},
    }
