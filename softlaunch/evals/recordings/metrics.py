"""What to compare of recorded outputs: metrics by specification, amounts in columns, agreement with a reference."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.evals.recordings.columns import Columns, amount
from softlaunch.evals.recordings.files import RecordingError, Row
from softlaunch.evals.statistics.report import MetricPlan
from softlaunch.evals.suites.scoring import score_with
from softlaunch.metrics import METRICS, AnyMetric, Sample, normalise, parse_metric
from softlaunch.metrics.similarity import Similarity
from softlaunch.metrics.text import TextMetric

AGREEMENT = "agreement"
PREFERENCE = "preference"
_AMOUNTS = {"less": False, "more": True}
_MOST_LABELS = 20
_LONGEST_LABEL = 40
_CASES_PER_LABEL = 3


@dataclass(frozen=True, slots=True)
class Labels:
    """A closed set of labels, such as yes and no. `bracketed` ones count only in brackets, as the questions ask."""

    names: tuple[str, ...]
    bracketed: bool = False

    @classmethod
    def among(cls, references: Sequence[str], questions: Sequence[str] = ()) -> "Labels | None":
        """The labels, where references are a few short words that come again and again; None where they aren't."""
        names = tuple(sorted({normalise(reference) for reference in references}))
        few = 2 <= len(names) <= _MOST_LABELS and len(references) >= _CASES_PER_LABEL * len(names)
        short = all(0 < len(name) <= _LONGEST_LABEL and re.search(r"\w", name) for name in names)
        asked_for = bool(questions) and all(f"[{name}]" in normalise(text) for text in questions for name in names)
        return cls(names, asked_for) if few and short else None

    def settled(self, answer: str) -> str | None:
        """The label that an answer ends up with: the last in brackets, quotes or bold, else the last that it names."""
        answer = normalise(answer)
        names = "|".join(re.escape(name) for name in sorted(self.names, key=len, reverse=True))
        bracketed = rf"\[\s*({names})\s*\]"
        marked = rf"""(?:\[|\(|\*\*|")\s*({names})\s*(?:\]|\)|\*\*|"|\.)"""
        named = rf"(?<!\w)({names})(?!\w)"
        for pattern in (bracketed,) if self.bracketed else (marked, named):
            found = re.findall(pattern, answer)
            if found:
                return str(found[-1])
        return None

    def agrees(self, answer: str, reference: str) -> bool:
        """Whether the answer settles on the reference."""
        return self.settled(answer) == normalise(reference)


@dataclass(frozen=True, slots=True)
class Found:
    """What a metric found in an output: a score in [0, 1] or an amount, or None with the reason."""

    value: float | None
    why: str = ""


Reader = Callable[[Sample], Found]


@dataclass(frozen=True, slots=True)
class RecordedMetric:
    """What to compare, how it is read from an output, in words what it is, and whether it compares with a reference."""

    plan: MetricPlan
    read: Reader
    meaning: str
    reads_reference: bool = False


@dataclass(frozen=True, slots=True)
class Margins:
    """How much worse is acceptable: for scores, for amounts, and for single metrics by name."""

    points: Margin
    relative: Margin
    own: Mapping[str, Margin]

    def of(self, metric: str, kind: MarginKind) -> Margin:
        """A metric's margin. Raises RecordingError where one of its own has the wrong unit."""
        margin = self.own.get(metric, self.points if kind is MarginKind.POINTS else self.relative)
        if margin.kind is not kind:
            wanted = "'2 points'" if kind is MarginKind.POINTS else "'10 %'"
            raise RecordingError(f"the margin of {metric} is written like {wanted}, not '{margin}'")
        return margin


def plan_metrics(specs: Sequence[str], columns: Columns, rows: Sequence[Row], margins: Margins) -> list[RecordedMetric]:
    """The metrics that specifications name, or what the columns suggest where there is none.

    Raises RecordingError, or MetricError, where a specification can't be used on these columns.
    """
    specs = list(specs) or _suggested(columns, rows)
    planned = [_planned(spec, columns, rows, margins) for spec in specs]
    names = [one.plan.metric for one in planned]
    for name in margins.own:
        if name not in names:
            raise RecordingError(f"--margin {name}=...: no metric has this name; there are {', '.join(names)}")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise RecordingError(
            f"two metrics are called {repeated}; give one a label of its own, as in exact:label=strict"
        )
    return planned


def _suggested(columns: Columns, rows: Sequence[Row]) -> list[str]:
    if "answer" in columns.by_role and any(columns.text(row, "reference") for row in rows):
        return [AGREEMENT]
    if PREFERENCE in columns.names:
        return [PREFERENCE]
    raise RecordingError(
        "no good output is known: map a reference (--map reference=COLUMN), or name a metric (--metric "
        f"COLUMN for scores that are there already). Columns: {', '.join(columns.names)}"
    )


def _planned(spec: str, columns: Columns, rows: Sequence[Row], margins: Margins) -> RecordedMetric:
    if spec == AGREEMENT:
        return _agreement(columns, rows, margins)
    if spec in {"latency", "cost"}:
        if spec not in columns.by_role:
            raise RecordingError(f"no column has the {spec}; name it with --map {spec}=COLUMN")
        return _amount(spec, columns.by_role[spec], margins, more=False, may_be_nothing=spec == "cost")
    way, separator, column = spec.partition(":")
    if separator and way in _AMOUNTS:
        return _amount(column, _known(column, columns), margins, more=_AMOUNTS[way])
    meaning = spec
    if spec in columns.names and spec not in METRICS:
        spec, meaning = f'recorded:label="{spec}",column="{spec}"', f"the column {spec}"
    metric = parse_metric(spec)
    recorded = getattr(metric, "column", None)
    if recorded is not None:
        _known(recorded, columns)
    plan = MetricPlan(metric.key, margins.of(metric.key, MarginKind.POINTS))
    return RecordedMetric(plan, _by(metric), meaning, reads_reference=isinstance(metric, TextMetric | Similarity))


def _by(metric: AnyMetric) -> Reader:
    def read(sample: Sample) -> Found:
        score = score_with(metric, sample)
        return Found(score.value, score.reason)

    return read


def _known(column: str, columns: Columns) -> str:
    if column not in columns.names:
        raise RecordingError(f"there is no column {column!r}; there are {', '.join(columns.names)}")
    return column


def _amount(name: str, column: str, margins: Margins, *, more: bool, may_be_nothing: bool = True) -> RecordedMetric:
    """An amount of a column; where every answer must have some, as of time, 0 says that nobody measured it."""
    plan = MetricPlan(name, margins.of(name, MarginKind.RELATIVE), higher_is_better=more)
    meaning = f"column {column}, {'more' if more else 'less'} is better"

    def read(sample: Sample) -> Found:
        value = sample.fields.get(column)
        found = amount(value)
        if found == 0 and not may_be_nothing:
            return Found(None, f"{column} is {value!r}: no answer takes no time")
        return Found(found, f"{column} is {value!r}, not a number from 0 to 10^15")

    return RecordedMetric(plan, read, meaning)


def _agreement(columns: Columns, rows: Sequence[Row], margins: Margins) -> RecordedMetric:
    """By the label where references are a few labels, by the number where they are numbers, else by their text."""
    references = [text for row in rows if (text := columns.text(row, "reference")) is not None]
    if not references:
        raise RecordingError("there is no reference to agree with; name its column with --map reference=COLUMN")
    listed = next((row for row in rows if isinstance(columns.value(row, "reference"), list | dict)), None)
    if listed is not None:
        raise RecordingError(
            f"agreement wants one right answer, and column {columns.by_role['reference']} holds "
            f"{columns.text(listed, 'reference')!r}; take the one that counts, or score the answers first and name "
            "that column with --metric COLUMN"
        )
    plan = MetricPlan(AGREEMENT, margins.of(AGREEMENT, MarginKind.POINTS))
    labels = Labels.among(references, [columns.text(row, "question") or "" for row in rows])
    if labels is not None:
        shown = ", ".join(f"[{name}]" if labels.bracketed else name for name in labels.names)
        return RecordedMetric(
            plan, _by_label(labels), f"the answer settles on the reference, one of {shown}", reads_reference=True
        )
    numeric = parse_metric("numeric")
    if all(numeric.objection(one) is None for one in references):
        return RecordedMetric(plan, _by(numeric), "the answer's last number", reads_reference=True)
    return RecordedMetric(
        plan, _by(parse_metric("contains")), "the answer contains the reference", reads_reference=True
    )


def _by_label(labels: Labels) -> Reader:
    def read(sample: Sample) -> Found:
        if sample.reference is None:
            return Found(None, "the case has no reference")
        return Found(float(labels.agrees(sample.answer, sample.reference)))

    return read
