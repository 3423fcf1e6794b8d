"""What programs may log of an error: where it happened, what it is, and its text only where that can't be a user's."""

import logging
import sys
import traceback

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.visible import one_line

_OURS = (SoftlaunchError, OSError, AttributeError, NameError, ImportError, MemoryError, RecursionError)
"""Errors whose texts are of programs, files and addresses. A ValueError or a KeyError quotes what it was given."""
_MOST_CAUSES = 10


def in_words(error: BaseException) -> str:
    """An error for a log: its kind, and its text where that can't hold what users wrote."""
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if not _may_be_shown(error):
        return f"{name} (its text isn't logged, because it may hold what somebody wrote)"
    said = one_line(str(error).split("\n[SQL")[0])
    return f"{name}: {said}" if said else name


def traceback_in_words(error: BaseException) -> str:
    """The places that an error and its causes came by, each with `in_words`; the error itself last."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(parts) < _MOST_CAUSES:
        places = "".join(traceback.format_tb(cause.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{places}{in_words(cause)}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n\nand because of it:\n\n".join(reversed(parts))


def keep_texts_out() -> None:
    """Have every logger of this process write tracebacks without the texts of errors that may hold users' own."""
    made = logging.getLogRecordFactory()
    if getattr(made, "keeps_texts_out", False):
        return

    def record(*arguments: object, **more: object) -> logging.LogRecord:
        one = made(*arguments, **more)
        if one.name.partition(".")[0] == "softlaunch" and isinstance(one.args, tuple):
            one.args = tuple(one_line(str(part)) if isinstance(part, str | Exception) else part for part in one.args)
        raised = _raised(one.exc_info)
        if raised is not None:
            one.exc_text = traceback_in_words(raised)
        return one

    record.keeps_texts_out = True  # type: ignore[attr-defined]  # so that a second call knows
    logging.setLogRecordFactory(record)


def _raised(info: object) -> BaseException | None:
    return info[1] if isinstance(info, tuple) and len(info) == 3 and isinstance(info[1], BaseException) else None


def _may_be_shown(error: BaseException) -> bool:
    alchemy = sys.modules.get("sqlalchemy.exc")  # its texts are without values, see store/faults.py
    return isinstance(error, _OURS) or (alchemy is not None and isinstance(error, alchemy.SQLAlchemyError))
