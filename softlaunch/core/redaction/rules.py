"""Rules by which texts are redacted, and doing so."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.redaction.patterns import PATTERNS, PatternName

ENTRY_POINTS = "softlaunch.redactors"
"""The group in which a package names its own redactors: functions from a text to the text that may be written."""

Redactor = Callable[[str], str]


class UnknownRedactorError(SoftlaunchError):
    """A redactor is named that no installed package brings, or that can't be loaded."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is cut out: named patterns, own expressions by what is put in their place, and a function's work after it.

    The function's name is that of its entry point, empty without one.
    """

    patterns: tuple[PatternName, ...] = ()
    own: tuple[tuple[str, str], ...] = ()
    function: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A redactor that is imported where this is unpickled, which has a time of its own, and not in a text's."""

    name: str

    def __reduce__(self) -> tuple[Any, ...]:
        return _loaded, (self.name,)


def _loaded(name: str) -> "Loaded":
    find_redactor(name)
    return Loaded(name)


def prepared(loaded: Loaded) -> str:
    """Its name; by then it has been imported."""
    return loaded.name


@lru_cache
def find_redactor(name: str) -> Redactor:
    """The function of an entry point. Raises UnknownRedactorError."""
    for point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            found = point.load()
        except Exception as error:  # importing somebody's package can raise anything
            raise UnknownRedactorError(f"redactor {name} can't be loaded from {point.value}: {error}") from error
        if callable(found):
            return found  # type: ignore[no-any-return]
        raise UnknownRedactorError(f"redactor {name}: {point.value} is no function of a text; name one")
    raise UnknownRedactorError(
        f"there is no redactor {name!r} here; install the package that names it under {ENTRY_POINTS}"
    )


def redact(rules: Rules, texts: tuple[str, ...]) -> tuple[str, ...]:
    """The texts as they may be written: `[email]` stands where an address of mail was.

    Raises UnknownRedactorError, TypeError where a function gives no text, and whatever a function raises.
    """
    return tuple(_redacted(rules, text) for text in texts)


def redact_all(rules: Rules, many: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The same of the texts of several requests."""
    return [redact(rules, texts) for texts in many]


def _redacted(rules: Rules, text: str) -> str:
    for name, expression in rules.own:
        text = _compiled(expression).sub(lambda match, shown=f"[{name}]": shown if match[0] else "", text)  # type: ignore[misc]
    for name, pattern in PATTERNS.items():
        if name in rules.patterns:
            text = pattern.sub(f"[{name}]", text)
    if rules.function:
        text = find_redactor(rules.function)(text)
        if not isinstance(text, str):
            raise TypeError(f"redactor {rules.function} gave {type(text).__name__}, not a text")
    return text


@lru_cache(maxsize=256)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)
