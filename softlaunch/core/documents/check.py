"""Turning a document into frozen values, or into a list of every mistake: key, value found, what was expected."""

import difflib
import math
from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from softlaunch.core.documents import Document, KeyedError, Keys, Problem, failure, written
from softlaunch.core.documents.described import descriptions

Checked = TypeVar("Checked")
_SHOWN_CHARACTERS = 80
_MAPPING = "expected a mapping of keys to values"
_EXPECTED = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": _MAPPING,
    "list_type": "expected a list",
    "mapping_type": _MAPPING,
    "model_type": _MAPPING,
    "string_type": "expected a text",
    "too_short": "expected at least one",
    "tuple_type": "expected a list",
}


UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError)
"""What a validator raises for a value of a kind that nobody thought of."""


def unforeseen(error: Exception) -> str:
    """What is said of a value that no validator was made for."""
    return f"something here is of a kind that can't be read ({error}); compare it with an example or the schema"


def check(document: Document, kind: type[Checked], shorthands: Sequence[str] = ()) -> Checked:
    """The document as a value of a type. Raises DocumentError with every problem found.

    `shorthands` are keys of the top level that the caller has already put where they belong.
    """
    problems = [*document.problems, *_truths_for_numbers(document, kind)]
    try:
        value = TypeAdapter(kind).validate_python(document.value)
    except ValidationError as error:
        found = [one for one in error.errors(include_url=False) if not _follows_from_another(document, one)]
        said = [_problem(document, details, kind, shorthands) for details in found]
        raise failure(document.path, _without_echoes(document, problems, said)) from error
    except UNFORESEEN as error:
        raise failure(document.path, [*problems, Problem(1, "", unforeseen(error))]) from error
    if problems:
        raise failure(document.path, problems)
    return value


def _without_echoes(document: Document, read: Sequence[Problem], checked: Sequence[Problem]) -> list[Problem]:
    """All problems, one for each key that both found wrong: the reader's, but for numbers, whose range says more."""
    endless = {
        written(keys)
        for keys in document.lines
        if isinstance(value := document.at(keys), float) and not math.isfinite(value)
    }
    named_by_range = {problem.key for problem in checked} & endless
    kept = [problem for problem in read if problem.key not in named_by_range]
    unreadable = {problem.key for problem in kept if problem.key and problem.message.startswith("found ")}
    return [*kept, *(problem for problem in checked if problem.key not in unreadable)]


def _truths_for_numbers(document: Document, kind: Any) -> Iterator[Problem]:
    """`yes` is 1 to Python, and surely a mistake to a person."""
    for keys, line in document.lines.items():
        if isinstance(document.at(keys), bool) and _type_at(kind, keys) in {int, float}:
            yield Problem(line, written(keys), f"found {document.at(keys)}, expected a number")


def _follows_from_another(document: Document, details: ErrorDetails) -> bool:
    """Whether this only repeats a mistake: a list counts as empty when its items are wrong, a key was named before."""
    emptied = details["type"] == "too_short" and bool(document.at(details["loc"]))
    return emptied or details["type"] == "invalid_key"


def _problem(document: Document, details: ErrorDetails, kind: Any, shorthands: Sequence[str]) -> Problem:
    cause = details.get("ctx", {}).get("error")
    keys = details["loc"]
    if isinstance(cause, KeyedError):
        keys = (*keys, *cause.keys)
        message = str(cause)
    elif details["type"] == "missing":
        message = _missing(kind, keys)
    elif details["type"] == "extra_forbidden":
        known = [*_fields(_type_at(kind, keys[:-1])), *(shorthands if len(keys) == 1 else ())]
        message = f"unknown key{_closest(str(keys[-1]), known) or '; known here: ' + ', '.join(known)}"
    else:
        message = _found_and_expected(document.at(keys), details)
    return Problem(document.line(keys), written(keys), message)


def _missing(kind: Any, keys: Keys) -> str:
    around = _type_at(kind, keys[:-1])
    described = descriptions(around).get(str(keys[-1]), "") if _is_model(around) else ""
    first = described.partition("\n\n")[0].rstrip(".")
    return f"is missing: {first}" if first else "is missing"


def _found_and_expected(found: object, details: ErrorDetails) -> str:
    expected = _EXPECTED.get(details["type"]) or details["msg"].removeprefix("Value error, ")
    expected = expected.replace("Input should be", "expected", 1).replace("String should", "expected to", 1)
    if details["type"] == "string_type" and isinstance(found, str | int | float):
        expected = "expected a text; put it in quotes"
    possible = str(details.get("ctx", {}).get("expected", "")).replace("'", "").replace(" or ", ", ").split(", ")
    shown = "" if found is None or (isinstance(found, str) and repr(found) in expected) else f"found {_shown(found)}, "
    return f"{shown}{expected}{_closest(found, possible)}"


def _closest(found: object, possible: Sequence[str]) -> str:
    near = difflib.get_close_matches(found, possible, n=1, cutoff=0.6) if isinstance(found, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = repr(value) if isinstance(value, str | bool | int | float) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _fields(kind: Any) -> list[str]:
    return [field.alias or name for name, field in kind.model_fields.items()] if _is_model(kind) else []


def _type_at(kind: Any, keys: Keys) -> Any:
    """The declared type of what stands under some keys, without annotations; None where nothing is declared."""
    kind = _bare(kind)
    for key in keys:
        if _is_model(kind):
            field = kind.model_fields.get(key)
            kind = _bare(field.annotation) if field else None
        else:
            kind = _bare(_item(kind, key))
    return kind


def _item(kind: Any, key: str | int) -> Any:
    arguments = get_args(kind)
    if not arguments:
        return None
    return arguments[0] if isinstance(key, int) else arguments[-1]


def _bare(kind: Any) -> Any:
    while get_origin(kind) in {Annotated, Union, UnionType}:
        kind = next(argument for argument in get_args(kind) if argument is not NoneType)
    return kind
