"""What operations of templates cost, known before they are done: operators, methods of texts, formats and filters."""

import re
from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Any

from softlaunch.core.prompt_templates.budget import LARGEST, WIDEST, Budget, TooHeavyError

Arguments = Sequence[Any]
Named = Mapping[str, Any]
Cost = Callable[[Budget, Arguments, Named], int]
"""The size of what comes out, in characters or items, at most; the first argument is what the operation is done to."""
_MOST_BITS = 16_384
_PERCENT = re.compile(r"%(?:\([^()]*\))?[#0\- +]*(?P<width>\*|\d+)?(?:\.(?P<precision>\*|\d+)?)?")
_DIGITS = re.compile(r"\d+")
_ESCAPED = 6  # characters of `&#34;` or `\u003c`, and one


def operate(budget: Budget, operator: str, left: Any, right: Any, apply: Callable[[Any, Any], Any]) -> Any:
    """Apply a binary operator after paying for it. Raises TooHeavyError."""
    if isinstance(left, str) and operator == "%":
        budget.make(_percent_size(budget, left, right))
    elif isinstance(left, int) and isinstance(right, int):
        budget.spend(_bits(operator, left, right))
    elif operator == "*" and isinstance(left, int) is not isinstance(right, int):
        values, times = (right, left) if isinstance(left, int) else (left, right)
        budget.make(1 if isinstance(values, float) else _length(values) * max(0, times))
    else:
        budget.make(_length(left) + _length(right))
    return apply(left, right)


def _bits(operator: str, left: int, right: int) -> int:
    wide = left.bit_length() * max(0, right) if operator == "**" else left.bit_length() + right.bit_length()
    if wide > _MOST_BITS:
        raise TooHeavyError(f"it calculates a number of more than {_MOST_BITS:,} bits; use smaller ones")
    return wide + 32


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple | dict) else 1


def join_size(budget: Budget, separator: str, parts: Sequence[Any]) -> int:
    """Characters of parts with a separator between them."""
    return sum(budget.size(part) for part in parts) + len(separator) * len(parts)


def method_size(budget: Budget, text: str, name: str, arguments: Arguments, named: Named) -> int:
    """Characters that a text's method makes at most. Raises TooHeavyError for a width that is too large."""
    cost = _METHODS.get(name, _linear)
    return cost(budget, (text, *arguments), named)


def narrow(arguments: Arguments, named: Named) -> None:
    """Raise TooHeavyError for a number that can only be meant as a width or a count, and is too large for one."""
    for value in (*arguments, *named.values()):
        if isinstance(value, int) and abs(value) > WIDEST:
            raise TooHeavyError(f"it asks for a width or a number of more than {WIDEST:,}; use a smaller one")


def format_size(budget: Budget, text: str, arguments: Arguments, named: Named) -> int:
    """Characters of `text.format(...)` at most. Raises TooHeavyError for a width that is too large."""
    fields, widest = 0, 0
    for _, field, specification, _ in Formatter().parse(text):
        if field is None:
            continue
        if "{" in (specification or ""):
            raise TooHeavyError("it formats with a width out of a variable; write the width down")
        fields += 1
        widest = max(widest, *(_width(digits) for digits in _DIGITS.findall(specification or "")), 0)
    largest = max((budget.size(value) for value in (*arguments, *named.values())), default=0)
    return len(text) + fields * (widest + 2 * largest + 32)


def _percent_size(budget: Budget, text: str, values: Any) -> int:
    found = list(_PERCENT.finditer(text))
    widest = max((_width(part) for one in found for part in one.groups() if part), default=0)
    if isinstance(values, Mapping):
        largest = max((budget.size(value) for value in values.values()), default=0)
        return len(text) + len(found) * (widest + 2 * largest + 32)
    return len(text) + len(found) * (widest + 400) + 2 * budget.size(values)


def _width(written: str) -> int:
    if written == "*" or len(written) > len(str(WIDEST)) or int(written) > WIDEST:
        raise TooHeavyError(f"it formats with a width of {written[:20]}; expected at most {WIDEST:,}, written down")
    return int(written)


def _text(budget: Budget, value: Any) -> str:
    """A value as the text that a filter makes of it first, paid for before it is made."""
    if isinstance(value, str):
        return value
    budget.make(4 * budget.size(value))
    return str(value)


def _linear(budget: Budget, arguments: Arguments, named: Named) -> int:
    size = 0
    for value in arguments:
        size += budget.size(value)
    for value in named.values():
        size += budget.size(value)
    return size


def _narrowed(budget: Budget, arguments: Arguments, named: Named) -> int:
    narrow(arguments[1:], named)
    return _linear(budget, arguments, named)


def _times(factor: int) -> Cost:
    return lambda budget, arguments, named: factor * _linear(budget, arguments, named)


def _next_to_nothing(budget: Budget, arguments: Arguments, named: Named) -> int:  # noqa: ARG001  (it looks at nothing)
    return 1


def _argument(arguments: Arguments, named: Named, position: int, name: str, default: Any) -> Any:
    return arguments[position] if len(arguments) > position else named.get(name, default)


def _padded(budget: Budget, arguments: Arguments, named: Named) -> int:
    width = _argument(arguments, named, 1, "width", 80)
    return _narrowed(budget, arguments, named) + (abs(width) if isinstance(width, int) else 0)


def _tabs(budget: Budget, arguments: Arguments, named: Named) -> int:
    width = _argument(arguments, named, 1, "tabsize", 8)
    tabs = int(arguments[0].count("\t"))
    return _narrowed(budget, arguments, named) + tabs * (width if isinstance(width, int) else 1)


def _replaced(budget: Budget, arguments: Arguments, named: Named) -> int:
    text, old = _text(budget, arguments[0]), _text(budget, _argument(arguments, named, 1, "old", ""))
    budget.spend(len(text))
    times = text.count(old) if old else len(text) + 1
    new = _argument(arguments, named, 2, "new", "")
    return budget.size(text) + times * budget.size(new)


def _translated(budget: Budget, arguments: Arguments, named: Named) -> int:
    table = arguments[1] if len(arguments) > 1 and isinstance(arguments[1], dict) else {}
    largest = max((budget.size(value) for value in table.values()), default=1)
    return _linear(budget, arguments, named) + len(arguments[0]) * largest


def _joined(budget: Budget, arguments: Arguments, named: Named) -> int:
    separator = _argument(arguments, named, 1, "d", "")
    return (
        join_size(budget, _text(budget, separator), arguments[0])
        if isinstance(arguments[0], list | tuple)
        else (budget.size(arguments[0]) * (1 + budget.size(separator)))
    )


def _indented(budget: Budget, arguments: Arguments, named: Named) -> int:
    width = _argument(arguments, named, 1, "width", 4)
    wide = abs(width) if isinstance(width, int) else budget.size(width)
    text = _text(budget, arguments[0])
    return _narrowed(budget, arguments, named) + (text.count("\n") + 2) * wide


def _wrapped(budget: Budget, arguments: Arguments, named: Named) -> int:
    between = _argument(arguments, named, 3, "wrapstring", None)
    wide = 1 if between is None else budget.size(between)
    size = budget.size(arguments[0])
    budget.spend(size * 20)
    return _linear(budget, arguments, named) + size * (1 + wide)


def _truncated(budget: Budget, arguments: Arguments, named: Named) -> int:  # noqa: ARG001  (it only makes less of it)
    return budget.size(arguments[0]) + WIDEST


def _filled(budget: Budget, arguments: Arguments, named: Named) -> int:
    count = _argument(arguments, named, 1, "linecount", 0)
    return _narrowed(budget, arguments, named) + (count if isinstance(count, int) else 0)


def _summed(budget: Budget, arguments: Arguments, named: Named) -> int:
    size, start = _linear(budget, arguments, named), _argument(arguments, named, 2, "start", 0)
    if not isinstance(start, int | float):
        budget.spend(size * _length(arguments[0]))  # each addition copies what there is so far
    return size


def _as_json(budget: Budget, arguments: Arguments, named: Named) -> int:
    indent = _argument(arguments, named, 1, "indent", 0) or 0
    wide = indent if isinstance(indent, int) else budget.size(indent)
    return _narrowed(budget, arguments, named) * (_ESCAPED + 8 * wide)


def _stripped(budget: Budget, arguments: Arguments, named: Named) -> int:
    text = _text(budget, arguments[0])
    budget.spend(len(text) * (text.count("<") >> 4))  # each tag's removal copies the rest
    return _linear(budget, arguments, named)


def _linked(budget: Budget, arguments: Arguments, named: Named) -> int:
    size, all_of_it = budget.size(arguments[0]), _linear(budget, arguments, named)
    budget.spend(size * 20)
    return all_of_it + size * (all_of_it - size + _ESCAPED)


def _percent_filter(budget: Budget, arguments: Arguments, named: Named) -> int:
    return _percent_size(budget, _text(budget, arguments[0]), named or tuple(arguments[1:]))


_METHODS: Mapping[str, Cost] = {
    "center": _padded,
    "ljust": _padded,
    "rjust": _padded,
    "zfill": _padded,
    "expandtabs": _tabs,
    "replace": _replaced,
    "translate": _translated,
    "unescape": _times(1),
    "escape": _times(_ESCAPED),
    "striptags": _stripped,
}
_LOOKING = ("abs", "attr", "count", "d", "default", "first", "last", "length", "random", "safe")
_ONE_BY_ONE = ("items", "map", "reject", "rejectattr", "select", "selectattr")
_FILTERS: Mapping[str, Cost] = {
    **dict.fromkeys((*_LOOKING, *_ONE_BY_ONE), _next_to_nothing),
    **dict.fromkeys(("e", "escape", "forceescape", "urlencode", "xmlattr"), _times(2 * _ESCAPED)),
    **dict.fromkeys(("dictsort", "groupby", "max", "min", "sort", "title", "unique", "wordcount"), _times(4)),
    "batch": _filled,
    "round": _narrowed,
    "slice": _narrowed,
    "center": _padded,
    "format": _percent_filter,
    "indent": _indented,
    "join": _joined,
    "pprint": _times(20),
    "replace": _replaced,
    "striptags": _stripped,
    "sum": _summed,
    "tojson": _as_json,
    "truncate": _truncated,
    "urlize": _linked,
    "wordwrap": _wrapped,
}


TAKING_ALL = frozenset({"join", "list", "pprint", "string", "sum", "tojson"})
"""Filters whose values are counted before they run, also where these come one by one."""


def filter_cost(name: str) -> Cost:
    """What tells how many characters or items a filter makes at most; it refuses a width that is too large."""
    return _FILTERS.get(name, _linear)


def materialised(budget: Budget, values: Any) -> Any:
    """Values that can be counted: a list of those that come one by one, everything else as it is."""
    if hasattr(values, "__next__"):
        found = []
        for value in values:
            budget.step()
            found.append(value)
            if len(found) > LARGEST:
                budget.make(len(found))
        return found
    return values
