"""What judges said of a release's live answers and copies: means of both arms, and samples beside each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlmodel import Session, col

from softlaunch.core.arms import ByArm
from softlaunch.live.states import JudgementState
from softlaunch.policy.route import Arm
from softlaunch.store.tables import CopyJudgementRow, LiveJudgementRow, TextRow

LOOKED_THROUGH = 1000
_SAMPLES = 3
_AMONG = 40
_MOST_KEYS = 600
_LONGEST = 600
Key = tuple[str, str]
"""A request's id, and the arm that answered it."""
Texts = Mapping[Key, tuple[str, str]]
"""Question and answer, cut to what a page shows."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A judged answer. `value` is in [0, 1], None where nothing could be read, with a reason; texts where kept."""

    request_id: str
    arm: str
    value: float | None
    reason: str
    question: str | None = None
    answer: str | None = None
    shown: str | None = None
    """Of a copy, the answer that the user got."""


@dataclass(frozen=True, slots=True)
class JudgedMetric:
    """A live metric: of each arm the mean, how many were judged, and the samples, each pair beside each other."""

    metric: str
    means: ByArm[float | None]
    counts: ByArm[int]
    samples: Sequence[tuple[Sample | None, Sample | None]]


@dataclass(frozen=True, slots=True)
class JudgedCopies:
    """Copies beside what users got: of how many the candidate's answer was better, as good, and worse."""

    better: int = 0
    same: int = 0
    worse: int = 0
    samples: Sequence[Sample] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Judged:
    """What judges said of a release, as far as its newest 1,000 judgements of each kind tell it."""

    live: Sequence[JudgedMetric]
    copies: JudgedCopies


def read_judged(session: Session, release_id: str, now: float, *, with_texts: bool) -> Judged:
    """The newest stage first. Texts only where they are asked for, are kept for people, and haven't expired."""
    live, copies = _live(session, release_id), _copies(session, release_id)
    by_arm: dict[Key, list[Sample]] = {}
    for metric, one in live:
        by_arm.setdefault((metric, one.arm), []).append(one)
    wanted = [(one.request_id, one.arm) for rows in by_arm.values() for one in rows[:_AMONG]]
    pairs = [key for one in copies[:_AMONG] for key in ((one.request_id, one.arm), (one.request_id, Arm.STABLE.value))]
    kept = _kept(session, [*wanted, *pairs], now) if with_texts else set()
    chosen = {key: _chosen(rows[:_AMONG], kept) for key, rows in by_arm.items()}
    shadows = _chosen([one for one in copies[:_AMONG] if one.arm == Arm.SHADOW], kept)
    texts = _texts(session, [(one.request_id, one.arm) for rows in [*chosen.values(), shadows] for one in rows], kept)
    users = _texts(session, [(one.request_id, Arm.STABLE.value) for one in shadows], kept)
    metrics = [_metric(metric, by_arm, chosen, texts) for metric in dict.fromkeys(metric for metric, _ in by_arm)]
    return Judged(metrics, _compared(copies, [_with(one, texts, users) for one in shadows]))


def _live(session: Session, release_id: str) -> list[tuple[str, Sample]]:
    row = LiveJudgementRow
    found = (
        select(col(row.metric), col(row.request_id), col(row.arm), col(row.value), col(row.reason))
        .where(col(row.release_id) == release_id, col(row.state) == JudgementState.OVER, col(row.calls) > 0)
        .order_by(col(row.stage).desc(), col(row.id).desc())
        .limit(LOOKED_THROUGH)
    )
    return [(metric, Sample(*said)) for metric, *said in session.execute(found)]


def _copies(session: Session, release_id: str) -> list[Sample]:
    row = CopyJudgementRow
    found = (
        select(col(row.request_id), col(row.arm), col(row.value), col(row.reason))
        .where(col(row.release_id) == release_id)
        .order_by(col(row.stage).desc(), col(row.id).desc())
        .limit(LOOKED_THROUGH)
    )
    return [Sample(*said) for said in session.execute(found)]


def _kept(session: Session, keys: Sequence[Key], now: float) -> set[Key]:
    """Which of these answers have texts that people may read: not those that are there for judges alone."""
    if not keys:
        return set()
    found = select(col(TextRow.request_id), col(TextRow.arm)).where(
        tuple_(col(TextRow.request_id), col(TextRow.arm)).in_(list(dict.fromkeys(keys))[:_MOST_KEYS]),
        col(TextRow.until_judged).is_(False),
        col(TextRow.expires_at) > now,
    )
    return set(session.execute(found).tuples().all())


def _texts(session: Session, keys: Iterable[Key], kept: set[Key]) -> Texts:
    wanted = [key for key in dict.fromkeys(keys) if key in kept]
    if not wanted:
        return {}
    cut: list[Any] = [func.substr(column, 1, _LONGEST + 1) for column in (col(TextRow.question), col(TextRow.answer))]
    named = tuple_(col(TextRow.request_id), col(TextRow.arm)).in_(wanted)
    found = session.execute(select(col(TextRow.request_id), col(TextRow.arm), *cut).where(named))
    return {(request_id, arm): (_clipped(question), _clipped(answer)) for request_id, arm, question, answer in found}


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _chosen(rows: Sequence[Sample], kept: set[Key]) -> list[Sample]:
    """The newest samples, those with texts first."""
    return sorted(rows, key=lambda one: (one.request_id, one.arm) not in kept)[:_SAMPLES]


def _with(one: Sample, texts: Texts, users: Texts) -> Sample:
    question, answer = texts.get((one.request_id, one.arm), (None, None))
    shown = users.get((one.request_id, Arm.STABLE.value), (None, None))[1]
    return Sample(one.request_id, one.arm, one.value, one.reason, question, answer, shown)


def _metric(
    metric: str, by_arm: Mapping[Key, Sequence[Sample]], chosen: Mapping[Key, Sequence[Sample]], texts: Texts
) -> JudgedMetric:
    arms = ((metric, Arm.STABLE.value), (metric, Arm.CANDIDATE.value))
    values = [[one.value for one in by_arm.get(key, ()) if one.value is not None] for key in arms]
    stable, candidate = ([_with(one, texts, {}) for one in chosen.get(key, ())] for key in arms)
    rows = range(max(len(stable), len(candidate)))
    pairs = [(_at(stable, number), _at(candidate, number)) for number in rows]
    means = [fmean(found) if found else None for found in values]
    return JudgedMetric(
        metric,
        ByArm(stable=means[0], candidate=means[1]),
        ByArm(stable=len(values[0]), candidate=len(values[1])),
        pairs,
    )


def _at(samples: Sequence[Sample], number: int) -> Sample | None:
    return samples[number] if number < len(samples) else None


def _compared(copies: Sequence[Sample], samples: Sequence[Sample]) -> JudgedCopies:
    values = [one.value for one in copies if one.arm == Arm.SHADOW and one.value is not None]
    better, worse = sum(value > 0.5 for value in values), sum(value < 0.5 for value in values)
    return JudgedCopies(better, len(values) - better - worse, worse, samples)
