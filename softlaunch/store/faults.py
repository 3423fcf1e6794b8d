"""What a database's driver says of an error, without the values that it quotes: they may be what users wrote."""

import re
from typing import Any

from sqlalchemy.engine import ExceptionContext

_QUOTED = re.compile(r'"[^"]*"|\'[^\']*\'')
_OF_NAMES = ("08", "23", "25", "28", "40", "42", "53", "54", "55", "57", "58")
"""Classes of PostgreSQL's errors whose first line quotes names of tables, columns and constraints, never values."""


def without_values(context: ExceptionContext) -> None:
    """For SQLAlchemy's `handle_error`: the error that is raised, and the driver's below it, hold no values.

    PostgreSQL tells them in lines such as `DETAIL: Key (text)=(...)`, and for what doesn't fit a type.
    """
    take_values_out(context.original_exception, context.sqlalchemy_exception)


def take_values_out(original: BaseException, raised: BaseException | None) -> None:
    """Let the driver's error, and what was made of it, say what is wrong and quote nothing."""
    said = _said(original)
    if said is None:
        return
    original.args = (said,)
    if raised is not None:
        raised.args = (f"({type(original).__module__}.{type(original).__name__}) {said}",)


def _said(error: BaseException) -> str | None:
    """The first line of what PostgreSQL says; None for other drivers, which quote nothing, and without a connection."""
    diagnosis: Any = getattr(error, "diag", None)
    code = getattr(error, "sqlstate", None)
    if diagnosis is None or not code:
        return None
    first = str(diagnosis.message_primary or "an error").splitlines()[0]
    return f"{first if code[:2] in _OF_NAMES else _QUOTED.sub('...', first)} (SQLSTATE {code})"
