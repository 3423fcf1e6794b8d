"""What is wrong with a document: file, line, key, and what was expected."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from softlaunch.core.errors import SoftlaunchError

Keys = tuple[str | int, ...]
_LISTED_PROBLEMS = 50


class DocumentError(SoftlaunchError):
    """A file that can't be used; the message lists every problem with its line and key."""


class KeyedError(ValueError):
    """A validator's objection that names the key to change, by the keys that lead to it from the validated value."""

    def __init__(self, message: str, *keys: str | int) -> None:
        super().__init__(message)
        self.keys: Keys = keys


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it is and what was expected. Line numbers begin at 1."""

    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.key}: {self.message}" if self.key else f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its value, the line of every key, and the mistakes that YAML itself lets pass.

    `written` has the text of each value that YAML takes for something else than what stands there: 1.10, yes, a date.
    """

    path: Path
    value: Any
    lines: Mapping[Keys, int]
    problems: tuple[Problem, ...] = ()
    written: Mapping[Keys, str] = field(default_factory=dict)

    def as_written(self, chosen: Callable[[Keys], bool]) -> "Document":
        """The document with what stands there in the place of what YAML takes it for, under the chosen keys."""
        return replace(self, value=self._restored(self.value, (), chosen))

    def _restored(self, value: Any, keys: Keys, chosen: Callable[[Keys], bool]) -> Any:
        if isinstance(value, dict):
            return {name: self._restored(one, (*keys, name), chosen) for name, one in value.items()}
        if isinstance(value, list):
            return [self._restored(one, (*keys, position), chosen) for position, one in enumerate(value)]
        return self.written[keys] if keys in self.written and chosen(keys) else value

    def line(self, keys: Keys) -> int:
        """The line of a key, or of the nearest thing around it that is written down."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def at(self, keys: Keys) -> Any:
        """The value under some keys, None where there is none."""
        value = self.value
        for key in keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def failure(path: Path, problems: Sequence[Problem]) -> DocumentError:
    """The error that lists these problems (the first fifty), in the order of the file and each only once."""
    ordered = sorted(set(problems), key=lambda problem: (problem.line, problem.key, problem.message))
    if len(ordered) == 1:
        return DocumentError(f"{path}, {ordered[0]}")
    more = len(ordered) - _LISTED_PROBLEMS
    listed = [f"  {path}, {one}" for one in ordered[:_LISTED_PROBLEMS]]
    head = f"{path} has {len(ordered)} problems:"
    return DocumentError("\n".join([head, *listed, *([f"  and {more} more"] if more > 0 else [])]))


def written(keys: Keys) -> str:
    """Keys as people write them: `stages[2].weight_percent`."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys]
    return "".join(parts).removeprefix(".")
