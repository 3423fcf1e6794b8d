"""What judges and an eval said of one release: judgements of live answers and of copies, texts, answers of the eval."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlmodel import SQLModel

from softlaunch.live.states import JudgementState
from softlaunch.live.tallies import stage_period
from softlaunch.store.tables import (
    CopyJudgementRow,
    EvalAnswerRow,
    EvalRunRow,
    JudgementRow,
    LiveJudgementRow,
    LiveTallyRow,
    TextRow,
)

_STAGE, _LIVE, _COPIES, _KEPT = 2, 4, 2, 200
_QUESTION, _ANSWER = "Where is my order? " * 10, "It left our house yesterday, and arrives tomorrow. " * 20
Row = dict[str, Any]


def judged(
    release_id: str, now: datetime, answers: int, arms: tuple[str, str]
) -> Mapping[type[SQLModel], Iterator[Row]]:
    """Rows of a release: an eval of so many answers of each arm, four times as many live judgements, copies."""
    app, at = release_id.rpartition("-")[0], now.timestamp()
    place = {"app": app, "release_id": release_id}
    run = f"{release_id}-eval"
    found = {"suite_digest": "0" * 64, "stable_digest": arms[0], "candidate_digest": arms[1], "started_at": now}
    tally = {"app": app, "period": stage_period(release_id, _STAGE)}
    spent = {"calls": _LIVE * answers, "cost_usd": 1e-4 * _LIVE * answers, "judged": _LIVE * answers}
    return {
        EvalRunRow: iter([{"id": run, **place, **found}]),
        EvalAnswerRow: _eval_answers(run, answers, arms),
        JudgementRow: _eval_judgements(run, answers),
        LiveJudgementRow: _live(place, _LIVE * answers, at),
        CopyJudgementRow: _copies(place, _COPIES * answers, at),
        LiveTallyRow: iter([{**tally, **spent}]),
        TextRow: _texts(app, at, (_LIVE * answers, _COPIES * answers)),
    }


def _eval_answers(run: str, answers: int, arms: tuple[str, str]) -> Iterator[Row]:
    for number in range(answers):
        for arm, digest in zip(("stable", "candidate"), arms, strict=True):
            key = {"run_id": run, "arm": arm, "case_id": f"case-{number}", "repeat": 0, "variant_digest": digest}
            yield {**key, "status": "scored", "answer": _ANSWER, "scores": {"accuracy": 1.0}, "cost_usd": 1e-4}


def _eval_judgements(run: str, answers: int) -> Iterator[Row]:
    for number in range(answers):
        key = {"run_id": run, "metric": "rubric", "arm": "candidate", "case_id": f"case-{number}", "repeat": 0}
        yield {**key, "value": 0.8, "calls": 1, "cost_usd": 1e-4}


def _live(place: Row, count: int, at: float) -> Iterator[Row]:
    for number in range(count):
        who = {"request_id": f"request-{number}", "arm": ("candidate", "stable")[number % 2], "unit": number}
        when = {"started_at": at - 600, "judged_at": at - 300, "sample_percent": 100.0}
        said = {"metric": "quality", "state": JudgementState.OVER.value, "value": (number % 5) / 4, "calls": 1}
        yield {**place, **who, **when, **said, "stage": _STAGE, "cost_usd": 1e-4}


def _copies(place: Row, count: int, at: float) -> Iterator[Row]:
    for number in range(count):
        who = {"request_id": f"request-{number}", "arm": "shadow", "unit": number, "stage": 1}
        yield {**place, **who, "value": (number % 3) / 2, "calls": 2, "cost_usd": 2e-4, "judged_at": at - 900}


def _texts(app: str, at: float, ends: tuple[int, int]) -> Iterator[Row]:
    """Texts of both arms' requests whose judgements are the newest ones; those of others are gone."""
    for number in sorted({number for end in ends for number in range(max(0, end - _KEPT), end)}):
        for arm in ("stable", "candidate", "shadow"):
            kept = {"app": app, "question": _QUESTION, "answer": _ANSWER, "expires_at": at + 86_400}
            yield {"request_id": f"request-{number}", "arm": arm, **kept}
