"""Regular expressions that other people wrote, in Python's syntax, searched for in any text within limits."""

import re
from functools import lru_cache

from softlaunch.core.bounded import OURS, BeyondLimitsError

LONGEST_PATTERN = 20_000
"""Characters; a longer one is refused."""
_FEW_STEPS = 10_000_000  # a tenth of a second
_STRAIGHT = re.compile(r"(?:\(\?[aimsux]+\))?[^*+?{(]*")
"""Patterns without repetition, groups and references, which can't backtrack."""


def pattern_objection(pattern: str) -> str | None:
    """What is wanted in the place of a pattern, or None: it must compile, and must not match the empty text."""
    if len(pattern) > LONGEST_PATTERN:
        return f"a regular expression of at most {LONGEST_PATTERN:,} characters; it has {len(pattern):,}"
    return _objection(pattern)


def found_in(pattern: str, text: str) -> bool:
    """Whether a pattern that compiles is found anywhere in a text. Raises BeyondLimitsError."""
    if len(pattern) * (len(text) + 1) <= _FEW_STEPS and _STRAIGHT.fullmatch(pattern):
        return _is_found(pattern, text)
    return OURS.call(_is_found, pattern, text)


@lru_cache(maxsize=4096)
def _objection(pattern: str) -> str | None:
    try:
        return "a regular expression that does not match the empty answer" if found_in(pattern, "") else None
    except (re.error, OverflowError) as error:
        return f"a valid regular expression ({error})"
    except RecursionError:
        return "a regular expression that is nested less deeply"
    except BeyondLimitsError as error:
        return f"a regular expression that can be searched for; in an empty answer, {error}"


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _is_found(pattern: str, text: str) -> bool:
    return _compiled(pattern).search(text) is not None
