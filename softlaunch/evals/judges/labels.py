"""People's labels: what was shown to them, their votes, and, where it was recorded, a judge's verdict."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from softlaunch.core.errors import SoftlaunchError
from softlaunch.evals.judges.agreement import majority
from softlaunch.evals.recordings.files import read_rows


class LabelsError(SoftlaunchError):
    """A file of labels that can't be used; the message names file, row, column and what was expected."""


class Kind(StrEnum):
    """What people were asked."""

    PREFERENCE = "preference"  # which of two answers is better
    HALLUCINATION = "hallucination"  # whether an answer holds a claim that nothing supports
    GRADE = "grade"  # whether an answer is right


class Drawn(StrEnum):
    """How a case came to be labelled."""

    RANDOM = "random"  # drawn with a probability that is known
    PICKED = "picked"  # a person chose it, such as because its answer had changed
    UNKNOWN = "unknown"  # the file doesn't say


FIRST, SECOND, TIE = "first", "second", "tie"
YES, NO = "yes", "no"
RIGHT, WRONG = "right", "wrong"
_WORDS: Mapping[Kind, Mapping[str, str]] = {
    Kind.PREFERENCE: {
        **dict.fromkeys(("1", "a", "first", "answer_a", "left"), FIRST),
        **dict.fromkeys(("2", "b", "second", "answer_b", "right"), SECOND),
        **dict.fromkeys(("0", "c", "tie", "draw", "equal", "both", "none"), TIE),
    },
    Kind.HALLUCINATION: {
        **dict.fromkeys(("yes", "true", "1", "hallucinated"), YES),
        **dict.fromkeys(("no", "false", "0", "supported"), NO),
    },
    Kind.GRADE: {
        **dict.fromkeys(("right", "yes", "true", "1", "good", "correct"), RIGHT),
        **dict.fromkeys(("wrong", "no", "false", "0", "bad", "incorrect"), WRONG),
    },
}
_SHOWN: Mapping[Kind, tuple[str, ...]] = {
    Kind.PREFERENCE: ("answer_a", "answer_b"),
    Kind.HALLUCINATION: ("answer",),
    Kind.GRADE: ("answer",),
}
COLUMNS = ("id", "question", "context", "reference", "answer", "answer_a", "answer_b", "votes", "judge", "drawn")
_NO_TEXTS = frozenset({"id", "votes", "judge", "drawn"})
_PROBLEMS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Label:
    """One item that people judged. `people` is their majority; `judge` a judge's verdict, None if unreadable.

    `drawn` says how it came to be among them.
    """

    id: str
    votes: tuple[str, ...]
    people: str
    question: str = ""
    context: str = ""
    reference: str = ""
    answer: str = ""
    answer_a: str = ""
    answer_b: str = ""
    judge: str | None = None
    drawn: Drawn = Drawn.UNKNOWN


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a file. `split` counts items on which people have no majority, which are left out."""

    kind: Kind
    items: tuple[Label, ...]
    split: int
    recorded: bool
    digest: str

    @property
    def drawn(self) -> Mapping[Drawn, int]:
        """How many items were drawn in each way, of ways that occur."""
        counts = Counter(item.drawn for item in self.items)
        return {way: counts[way] for way in Drawn if counts[way]}

    @property
    def doubt(self) -> str:
        """Why what is measured on them isn't what holds for all answers; empty where they were drawn at random."""
        counts = self.drawn
        picked, unknown = counts.get(Drawn.PICKED, 0), counts.get(Drawn.UNKNOWN, 0)
        said = [f"{picked:,} of {len(self.items):,} cases were picked by people"] if picked else []
        said += [f"how {unknown:,} of {len(self.items):,} cases were drawn isn't told"] if unknown else []
        if not said:
            return ""
        return f"{' and '.join(said)}: kappa is that of these cases, and can be another on answers as users get them"


def read_labels(path: Path, kind: Kind, columns: Mapping[str, str], verdicts: Path | None = None) -> Labels:
    """Read labels from CSV, JSON lines, or a JSON list, also gzipped.

    `columns` says which columns hold what (see COLUMNS; `votes` may name several, with commas); left out ones have
    those names. `verdicts` is a second file with the judge's verdicts, joined by id.
    Raises LabelsError, and RecordingError for files that can't be read.
    """
    unknown = sorted(columns.keys() - set(COLUMNS))
    if unknown:
        raise LabelsError(f"there is nothing to map to {unknown[0]!r}; known are {', '.join(COLUMNS)}")
    rows: Sequence[Mapping[str, Any]] = read_rows(path)
    if verdicts is not None:
        rows = _joined(path, rows, verdicts, read_rows(verdicts), columns)
    reading = _Reading(path, kind, columns, rows)
    reading.check_columns(rows, columns)
    items = [item for number, row in enumerate(rows, start=1) if (item := reading.label(number, row)) is not None]
    if reading.problems:
        more = len(reading.problems) - _PROBLEMS_SHOWN
        tail = [f"and {more} more"] if more > 0 else []
        raise LabelsError("\n".join([f"{path} can't be used:", *reading.problems[:_PROBLEMS_SHOWN], *tail]))
    if not items:
        raise LabelsError(f"{path} has no item on which people have a majority, so there is nothing to compare with")
    digest = sha256(orjson.dumps([[one.id, one.people] for one in items])).hexdigest()
    return Labels(kind, tuple(items), reading.split, reading.recorded, digest)


class _Reading:
    """What is found while rows become labels."""

    def __init__(self, path: Path, kind: Kind, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
        self.path = path
        self.kind = kind
        self.columns = {name: columns.get(name, name) for name in COLUMNS}
        self.recorded = any(self.columns["judge"] in row for row in rows)
        self.split = 0
        self.problems: list[str] = []

    def check_columns(self, rows: Sequence[Mapping[str, Any]], mapped: Mapping[str, str]) -> None:
        """Raise LabelsError where no row has the votes, or a column that was named."""
        known = tuple(dict.fromkeys(name for row in rows for name in row))
        wanted = {"votes": self.columns["votes"], **mapped}
        for role, names in wanted.items():
            missing = [name.strip() for name in names.split(",") if name.strip() not in known]
            if missing:
                raise LabelsError(
                    f"{self.path} has no column {missing[0]!r} for {role}; there are {', '.join(known)}. Say "
                    f"which with --map {role}=COLUMN"
                )

    def label(self, number: int, row: Mapping[str, Any]) -> Label | None:
        """One row's label; None where people are split, or where it is broken, which is noted."""
        votes = self._votes(number, row)
        people = majority(votes, TIE if self.kind is Kind.PREFERENCE else None)
        if people is None:
            self.split += bool(votes)
            return None
        texts = {name: _text(row.get(self.columns[name])) for name in COLUMNS if name not in _NO_TEXTS}
        lacking = [name for name in _SHOWN[self.kind] if not texts[name] and not self.recorded]
        if lacking:
            self._note(number, lacking[0], "is empty, and without it no judge can be asked; map it to its column")
            return None
        judge = _WORDS[self.kind].get(_text(row.get(self.columns["judge"])).strip().casefold())
        drawn = _drawn(_text(row.get(self.columns["drawn"])))
        return Label(
            _text(row.get(self.columns["id"])) or str(number), votes, people, judge=judge, drawn=drawn, **texts
        )

    def _votes(self, number: int, row: Mapping[str, Any]) -> tuple[str, ...]:
        found: list[Any] = []
        for name in self.columns["votes"].split(","):
            value = row.get(name.strip())
            found.extend(value if isinstance(value, list) else [value])
        found = [value for value in found if _text(value).strip()] or [None]  # an empty cell is no vote
        votes = []
        for value in found:
            word = _WORDS[self.kind].get(_text(value).strip().casefold())
            if word is None:
                known = ", ".join(dict.fromkeys(_WORDS[self.kind].values()))
                problem = f"{value!r} is no vote; expected one of {known}"
                self._note(number, "votes", f"{problem}{self._other_kind(value)}")
                return ()
            votes.append(word)
        return tuple(votes)

    def _other_kind(self, value: object) -> str:
        """A hint where it is a vote on something else."""
        fits = [kind.value for kind, words in _WORDS.items() if _text(value).strip().casefold() in words]
        return f" (for labels of another kind use --kind {' or '.join(fits)})" if fits else ""

    def _note(self, number: int, name: str, problem: str) -> None:
        self.problems.append(f"  row {number}: {self.columns[name]}: {problem}")


def _joined(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    verdicts: Path,
    verdict_rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
) -> list[dict[str, Any]]:
    key, judge = columns.get("id", "id"), columns.get("judge", "judge")
    by_id = {_text(row.get(key)): row.get(judge) for row in verdict_rows}
    missing = [_text(row.get(key)) for row in rows if _text(row.get(key)) not in by_id]
    if missing:
        raise LabelsError(
            f"{verdicts} has no verdict for {len(missing)} of the {len(rows)} items of {path}, such as {key} "
            f"{missing[0]!r}; a judge that gave none belongs there with an empty verdict"
        )
    return [{**row, judge: by_id[_text(row.get(key))]} for row in rows]


def _drawn(word: str) -> Drawn:
    """How a case was drawn; what isn't understood isn't told."""
    known = {way.value: way for way in Drawn}
    return known.get(word.strip().casefold(), Drawn.UNKNOWN)


def _text(value: object) -> str:
    return "" if value is None else str(value)
