"""Whether a model's id names one dated version, or whatever its provider serves under that name today."""

import re

_DATED = re.compile(
    r"""
    \d{4}-\d{2}-\d{2}            # gpt-4o-2024-08-06
    | (?<!\d)20\d{6}(?!\d)       # claude-3-5-sonnet-20241022
    | -(?:0[1-9]|1[0-2])\d{2}$   # gpt-4-0613
    | -00\d$                     # gemini-1.5-pro-002
    | @(?:sha256:)?[0-9a-f]{3,}  # a digest or a dated version behind an at sign
    | -[0-9a-f]{12,}$
    """,
    re.VERBOSE,
)


def is_dated(model: str) -> bool:
    """Whether a model's id carries a date, a numbered version or a digest, so that what it means can't change."""
    return _DATED.search(model) is not None


def pinnable(alias: str, answered_as: frozenset[str]) -> str | None:
    """The dated version that stood behind an alias, where its answers named exactly one; None otherwise."""
    dated = {name for name in answered_as if name != alias and is_dated(name)}
    return next(iter(dated)) if len(dated) == 1 else None
