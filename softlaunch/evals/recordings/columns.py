"""Which column of recorded outputs means what: by the usual names, or as somebody maps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from softlaunch.evals.recordings.files import FILE, RecordingError, Row

ROLES: Mapping[str, tuple[str, ...]] = {
    "model": ("model", "generator", "variant", FILE),
    "id": ("id", "case_id", "question_id", "instruction", "question", "query", "prompt"),
    "answer": ("answer", "output", "response", "completion"),
    "reference": ("reference", "ref_answer", "expected", "target", "ideal"),
    "question": ("question", "query", "instruction", "prompt", "input"),
    "context": ("context",),
    "latency": ("latency_ms", "latency", "latency_s"),
    "cost": ("cost_usd", "cost"),
    "error": ("error",),
    "tags": ("tags", "tag", "segment", "category"),
}
"""What a column can mean, and the names by which it is found where nobody maps it."""
_NEEDED = ("model", "id")
_LARGEST = 1e15
_NO_ERRORS = frozenset({"", "none", "null", "nan", "n/a", "na", "false", "no", "0", "-", "[]", "{}"})


@dataclass(frozen=True, slots=True)
class Columns:
    """The column of each role that the rows have one for."""

    by_role: Mapping[str, str]
    names: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[Row], named: Sequence[str]) -> "Columns":
        """Columns by `ROLE=COLUMN` as given, by their usual names otherwise. Raises RecordingError."""
        names = tuple(dict.fromkeys(name for row in rows for name in row))
        given = dict(_pair(one, names) for one in named)
        found = {role: next((name for name in usual if name in names), None) for role, usual in ROLES.items()}
        by_role = {role: name for role, name in {**found, **given}.items() if name is not None}
        for role in _NEEDED:
            if role not in by_role:
                raise RecordingError(
                    f"no column has the {role} of an output; name it with --map {role}=COLUMN, "
                    f"one of {', '.join(names)}"
                )
        return cls(by_role, names)

    def value(self, row: Row, role: str) -> object:
        """What a row has in a role, as it was read."""
        return row.get(self.by_role.get(role, ""))

    def text(self, row: Row, role: str) -> str | None:
        """What a row has in a role; None where it has nothing."""
        value = self.value(row, role)
        return None if value is None or value == "" else _as_text(value)

    def number(self, row: Row, role: str) -> float | None:
        """The same as a number of zero or more; None where there is none."""
        return amount(self.value(row, role))

    def error(self, row: Row) -> str | None:
        """What a row says went wrong; None where it says, in whatever way, that nothing did."""
        value = self.value(row, "error")
        text = self.text(row, "error") if value else None
        return None if text is None or text.strip().lower() in _NO_ERRORS else text

    def tags(self, row: Row, more: Sequence[str] = ()) -> tuple[str, ...]:
        """What a row's case is about: the tags of a list, or of a text that separates them by semicolons.

        Further columns are tags with their names: `language=de`.
        """
        value = self.value(row, "tags")
        listed = value if isinstance(value, list) else str(value if value is not None else "").split(";")
        named = [f"{name}={row[name]}" for name in more if row.get(name) not in (None, "")]
        return tuple(dict.fromkeys([*(str(one).strip() for one in listed if str(one).strip()), *named]))

    def latency_ms(self, row: Row) -> float | None:
        """The latency: milliseconds where the column's name ends in _ms, else seconds."""
        value = self.number(row, "latency")
        if not value:  # no answer takes no time: 0 says that nobody measured it
            return None
        return value if self.by_role["latency"].endswith("_ms") else value * 1000


def _as_text(value: object) -> str:
    """Numbers and texts as people write them, 7.0 like 7: another program's ids may be floats; objects as JSON."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return orjson.dumps(value).decode() if isinstance(value, list | dict) else str(value)


def amount(value: object) -> float | None:
    """A number from zero to 10^15, from a number or its text; None for anything else, which nobody has measured."""
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        return None
    return number if 0 <= number <= _LARGEST else None


def _pair(text: str, names: Sequence[str]) -> tuple[str, str]:
    role, separator, name = text.partition("=")
    if not separator or role not in ROLES:
        raise RecordingError(f"--map {text}: expected ROLE=COLUMN with a role of {', '.join(ROLES)}")
    if name not in names:
        raise RecordingError(f"--map {text}: there is no column {name!r}; there are {', '.join(names)}")
    return role, name
