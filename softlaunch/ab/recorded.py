"""An A/B test on judgements that were recorded already: what both were judged on, what is missing, what looks wrong."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from softlaunch.ab.analysis import Analysis
from softlaunch.ab.conclusion import Choice, Conclusion, conclude_pairs
from softlaunch.ab.samples import Floats
from softlaunch.ab.segments import lost_segments
from softlaunch.core.arms import ByArm
from softlaunch.evals.recordings.columns import ROLES, Columns
from softlaunch.evals.recordings.files import RecordingError, Row, read_rows
from softlaunch.evals.recordings.suspicions import of_outputs, of_questions
from softlaunch.evals.suites.scoring import score_with
from softlaunch.metrics import AnyMetric, Sample
from softlaunch.policy.ab import AbPolicy

_FEW_DOUBTS = 0.05
"""Share of the questions that may lack a judgement of one side before nobody wins."""


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """Mean judgements in [0, 1] of the questions that both sides have one of, in one order; and the rest.

    `only_a` and `only_b` are the judgements of questions that the other side has none of. `doubts` look wrong, so that
    people must decide. `tags` are the segments of each of the questions.
    """

    questions: tuple[str, ...]
    a: Floats
    b: Floats
    only_a: Floats
    only_b: Floats
    neither: int
    doubts: tuple[str, ...]
    tags: tuple[tuple[str, ...], ...] = ()

    @property
    def missing(self) -> int:
        """Questions without a judgement of a side, or of both."""
        return len(self.only_a) + len(self.only_b) + self.neither

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is missing and what looks wrong, in sentences."""
        everything = len(self.questions) + self.missing
        counted = (
            f"{len(self.questions):,} of {everything:,} questions have a judgement of both: {len(self.only_a):,} lack "
            f"B's, {len(self.only_b):,} A's, {self.neither:,} both"
        )
        low, high = self.worst
        bounded = f"with these the difference is between {low * 100:+.1f} and {high * 100:+.1f} points"
        return (*((f"{counted}; {bounded}",) if self.missing else ()), *self.doubts)

    @property
    def worst(self) -> tuple[float, float]:
        """Mean difference, B minus A, over all questions, where what is missing may be anything."""
        known = float(np.sum(self.b - self.a))
        total = len(self.questions) + self.missing
        least = known - float(np.sum(self.only_a)) - float(np.sum(1 - self.only_b)) - self.neither
        most = known + float(np.sum(1 - self.only_a)) + float(np.sum(self.only_b)) + self.neither
        return least / total, most / total

    def lost(self, policy: AbPolicy) -> list[str]:
        """The segments in which B is shown to be worse, in sentences."""
        return lost_segments(self.tags, self.a, self.b, policy)


def conclude_judged(pairs: JudgedPairs, policy: AbPolicy) -> tuple[Analysis, Conclusion]:
    """The conclusion of the pairs, which people draw where it rests on what is missing, or something looks wrong.

    Raises TooFewPairsError.
    """
    analysis, found = conclude_pairs(pairs.a, pairs.b, policy)
    low, high = pairs.worst
    everything = len(pairs.questions) + pairs.missing
    turned = {Choice.B: low <= 0, Choice.A: high >= 0}.get(found.choice, max(-low, high) > policy.equal_within.value)
    unsure = pairs.missing and (turned or pairs.missing > _FEW_DOUBTS * everything)
    lost = pairs.lost(policy)
    said = (*pairs.remarks, *lost)
    if not (unsure or pairs.doubts or (lost and found.choice is Choice.B)):
        shown = f"{found.reason}; {said[0]}" if said else found.reason
        return analysis, Conclusion(found.choice, shown)
    why = said if unsure else (*pairs.doubts, *lost)
    return analysis, Conclusion(
        Choice.PEOPLE, f"people decide, because {'; '.join(why)} (of the pairs: {found.reason})"
    )


def judged_pairs(a: Path, b: Path, question: str, metric: AnyMetric, segments: Sequence[str] = ()) -> JudgedPairs:
    """The judgements of two files by question; several of one question are repeats.

    `segments` are columns whose values are segments beside the tags. Raises RecordingError.
    """
    if a.resolve() == b.resolve():
        raise RecordingError(f"--a and --b are both {a}: that compares answers with themselves")
    rows = [_rows(path, question) for path in (a, b)]
    in_a, in_b = (_judged(one, question, metric) for one in rows)
    both = sorted(in_a.keys() & in_b.keys())
    tags = _tags([*rows[0], *rows[1]], question, segments)
    asked = {str(row[question]) for one in rows for row in one}
    return JudgedPairs(
        questions=tuple(both),
        a=np.array([in_a[one] for one in both], dtype=np.float64),
        b=np.array([in_b[one] for one in both], dtype=np.float64),
        only_a=np.array([in_a[one] for one in sorted(in_a.keys() - in_b.keys())], dtype=np.float64),
        only_b=np.array([in_b[one] for one in sorted(in_b.keys() - in_a.keys())], dtype=np.float64),
        neither=len(asked - in_a.keys() - in_b.keys()),
        doubts=tuple(_doubts(rows[0], rows[1], question)),
        tags=tuple(tuple(tags[one]) for one in both),
    )


def _tags(rows: Sequence[Row], question: str, segments: Sequence[str]) -> Mapping[str, Mapping[str, None]]:
    """The segments of each question, of whichever side's rows name them. Raises RecordingError."""
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    unknown = next((name for name in segments if name not in names), None)
    if unknown is not None:
        raise RecordingError(f"there is no column {unknown!r} of segments; there are {', '.join(names)}")
    usual = next((name for name in ROLES["tags"] if name in names and name != question), None)
    columns = Columns({} if usual is None else {"tags": usual}, names)
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        found[str(row[question])] |= dict.fromkeys(columns.tags(row, segments))
    return found


def _rows(path: Path, question: str) -> list[Row]:
    rows = read_rows(path)
    if question not in rows[0]:
        raise RecordingError(f"{path} has no column {question!r}; there are {', '.join(rows[0])}")
    lacking = next((number for number, row in enumerate(rows, start=1) if row.get(question) in (None, "")), None)
    if lacking is not None:
        raise RecordingError(f"{path}: row {lacking} has no {question}, so nobody knows what it answers")
    return rows


def _judged(rows: Sequence[Row], question: str, metric: AnyMetric) -> Mapping[str, float]:
    """The mean judgement of each question that has one."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        value = score_with(metric, Sample(answer="", fields=row)).value
        if value is not None:
            found[str(row[question])].append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def _doubts(a: Sequence[Row], b: Sequence[Row], question: str) -> list[str]:
    """What looks wrong: ids of several questions, a side that always says the same or nothing, two that are one."""
    outputs = [
        [(str(row[question]), text) for row in rows if (text := _named(row, "answer", question))] for rows in (a, b)
    ]
    texts: dict[str, set[str]] = defaultdict(set)
    for row in (*a, *b):
        if text := _named(row, "question", question):
            texts[str(row[question])].add(text)
    found = [
        *of_outputs(ByArm(candidate=outputs[1], stable=outputs[0]), ByArm(candidate="B's", stable="A's")),
        *of_questions("questions", texts),
    ]
    found_empty = [_empty(rows, len(texts), name) for rows, texts, name in zip((a, b), outputs, "AB", strict=True)]
    empty = [one for one in found_empty if one and any(outputs)]
    copies = ["A's and B's rows are the same"] if list(a) == list(b) else []
    return [*(one.sentence for one in found), *empty, *copies]


def _empty(rows: Sequence[Row], texts: int, name: str) -> str | None:
    """A sentence where many of a side's rows have no output, though there is a column of them."""
    lacking = len(rows) - texts
    return f"{lacking:,} of {name}'s {len(rows):,} outputs are empty" if lacking > _FEW_DOUBTS * len(rows) else None


def _named(row: Row, role: str, besides: str) -> str | None:
    """A row's text in the first column that usually has a role, which isn't the one that pairs."""
    return next((str(row[name]) for name in ROLES[role] if name != besides and row.get(name) not in (None, "")), None)
