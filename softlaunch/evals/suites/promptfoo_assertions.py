"""Promptfoo's assertions as metrics, and what of them can't be taken over, in words."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Test = Mapping[str, Any]
Note = Callable[[str], None]
_TYPED = re.compile(r"(?P<type>[a-z][a-z-]*)(?:\((?P<threshold>[\d.]+)\))?:\s*(?P<value>.*)", re.DOTALL)
_ALIASES = {"grade": "llm-rubric", "fn": "javascript", "eval": "javascript", "model-graded-closedqa": "llm-rubric"}
_FOREIGN = frozenset({"javascript", "python", "similar", "factuality", "webhook", "levenshtein"})
_TEMPLATE = re.compile(r"\{\{\s*(?:(?P<name>[A-Za-z_]\w*)\s*\}\}|[^}]*\}?\}?)|\{%.*?%\}", re.DOTALL)
_LONGEST_SHOWN = 60


def written_assertion(text: str) -> Test:
    """An assertion as a cell has it; a text without a type is equal to the answer."""
    found = _TYPED.fullmatch(text.strip())
    kind = _ALIASES.get(found["type"], found["type"]) if found else ""
    if found is None or not (kind in _FOREIGN or kind.removeprefix("not-") in _METRICS or kind in _SEVERAL):
        return {"type": "equals", "value": text.strip()}
    return {"type": kind, "value": found["value"], "threshold": found["threshold"]}


def metrics_of(test: Test, note: Note) -> list[dict[str, Any]]:
    """A test's assertions as metrics; what there is no metric for is noted and left out.

    Values are what promptfoo makes of them: `{{name}}` is the test's variable. An assertion that would mean something
    else here (its output is transformed, its value is a file) is left out, too.
    """
    return [metric for one in test.get("assert") or [] for metric in _metrics(one, test, note)]


def _metrics(assertion: object, test: Test, note: Note) -> Sequence[dict[str, Any]]:
    given = assertion if isinstance(assertion, dict) else {}
    kind = _ALIASES.get(str(given.get("type", "")), str(given.get("type", "")))
    try:
        fields = {**given, "value": _filled_in(given.get("value"), test.get("vars") or {})}
        why = _objection(fields, test)
    except _UnknownTemplateError as error:
        fields, why = given, f"its value has {error}, which is no variable of the test"
    if why is None and kind in _SEVERAL and (texts := _texts(fields.get("value"))):
        _note_losses(kind, fields, note)
        return _SEVERAL[kind](texts)
    make = _METRICS.get(kind)
    metric = make(fields) if make and why is None else None
    if metric is None:
        why = why if make or kind in _SEVERAL else "there is no metric like it"
        note(f"the assertion {kind or assertion!r} is left out: {why or 'its value is no text'}")
        return ()
    _note_losses(kind, fields, note)
    return (metric,)


class _UnknownTemplateError(Exception):
    """A value has a template that isn't simply a variable of the test."""


def _filled_in(value: object, variables: Mapping[str, Any]) -> Any:
    """A value with the test's variables in the place of their names, at any depth."""
    if isinstance(value, list):
        return [_filled_in(one, variables) for one in value]
    if isinstance(value, dict):
        return {key: _filled_in(one, variables) for key, one in value.items()}
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        text = _text(variables.get(found["name"] or ""))
        if text is None:
            raise _UnknownTemplateError(found[0])
        return text

    return _TEMPLATE.sub(fill, value)


def _objection(fields: Test, test: Test) -> str | None:
    """Why an assertion can't be taken over as it is meant; None where it can."""
    options = test.get("options") if isinstance(test.get("options"), dict) else {}
    transform = fields.get("transform") or (options or {}).get("transform")
    if transform:
        return f"its transform {shown(transform)} can't be run here"
    if fields.get("weight") == 0:
        return "its weight is 0, so it counts for nothing"
    value = fields.get("value")
    return f"{shown(value)} is not read" if isinstance(value, str) and value.startswith("file://") else None


def _note_losses(kind: str, fields: Test, note: Note) -> None:
    """Say what of an assertion is not taken over although the assertion is."""
    lost = [key for key in fields if key not in {"type", "value", "metric"} and fields[key] is not None]
    for key in lost:
        if key == "weight" and fields[key] != 1:
            note(
                f"weight {shown(fields[key])} of the assertion {kind!r} is not taken over: a case's metrics count alike"
            )
        elif key not in {"weight", "transform"} and not (key == "threshold" and kind in {"latency", "cost"}):
            note(f"{key} {shown(fields[key])} of the assertion {kind!r} is not taken over")


def shown(value: object) -> str:
    """A value as notes show it, shortened."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _text(value: object) -> str | None:
    """A text, or a number or truth as JSON writes it; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) and str(value) else None


def _texts(value: object) -> list[str]:
    """The texts of a list, or of a CSV's cell, which separates them by commas."""
    listed = value if isinstance(value, list) else str(value or "").split(",")
    return [text.strip() for one in listed if (text := _text(one)) and text.strip()]


def _expecting(name: str, **parameters: Any) -> Callable[[Test], dict[str, Any] | None]:
    def make(assertion: Test) -> dict[str, Any] | None:
        text = _text(assertion.get("value"))
        return None if text is None else {"metric": name, "expected": text, **parameters}

    return make


def _matching(pattern: str) -> Callable[[Test], dict[str, Any] | None]:
    """The value, taken literally, in the place of {}."""

    def make(assertion: Test) -> dict[str, Any] | None:
        text = _text(assertion.get("value"))
        return None if text is None else {"metric": "regex", "expected": pattern.replace("{}", re.escape(text))}

    return make


def _limit(name: str, parameter: str, unit: float) -> Callable[[Test], dict[str, Any] | None]:
    def make(assertion: Test) -> dict[str, Any] | None:
        try:
            return {"metric": name, parameter: float(str(assertion.get("threshold"))) * unit}
        except ValueError:
            return {"metric": name, parameter: assertion.get("threshold")}  # refused with its value where it is checked

    return make


_LACKING = r"(?s)\A(?=.)(?!.*{})"  # an empty answer lacks everything, and is none
_METRICS: Mapping[str, Callable[[Test], dict[str, Any] | None]] = {
    "equals": _expecting("exact", case=True),
    "contains": _expecting("contains", case=True),
    "icontains": _expecting("contains"),
    "regex": _expecting("regex"),
    "starts-with": _matching("^{}"),
    "not-contains": _matching(_LACKING),
    "not-icontains": _matching(f"(?i){_LACKING}"),
    "is-json": lambda assertion: {"metric": "json_schema", "contract": assertion.get("value") or {}, "strip": "none"},
    "contains-json": lambda assertion: {
        "metric": "json_schema",
        "contract": assertion.get("value") or {},
        "prose": True,
    },
    "is-refusal": lambda assertion: {"metric": "refusal", "wanted": True},  # noqa: ARG005  (it has no value)
    "latency": _limit("latency", "limit", 0.001),
    "cost": _limit("cost", "limit_usd", 1.0),
    "llm-rubric": lambda assertion: {"metric": "rubric", "criterion": assertion.get("value")},
}


def _any_of(flags: str) -> Callable[[list[str]], list[dict[str, Any]]]:
    return lambda texts: [{"metric": "regex", "expected": flags + "|".join(map(re.escape, texts))}]


def _all_of(**parameters: Any) -> Callable[[list[str]], list[dict[str, Any]]]:
    return lambda texts: [{"metric": "contains", "expected": text, **parameters} for text in texts]


_SEVERAL: Mapping[str, Callable[[list[str]], list[dict[str, Any]]]] = {
    "contains-any": _any_of(""),
    "icontains-any": _any_of("(?i)"),
    "contains-all": _all_of(case=True),
    "icontains-all": _all_of(),
}
