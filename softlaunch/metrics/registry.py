"""Metrics by name: those that come along, and those that other packages bring as entry points."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from inspect import isabstract
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import BeforeValidator, PlainSerializer, ValidationError, WithJsonSchema

from softlaunch.metrics.embedding import Embedding
from softlaunch.metrics.interface import AnyMetric, Metric, MetricError, Sample, Score, written_spec
from softlaunch.metrics.judged import Hallucination, Pairwise, Rubric
from softlaunch.metrics.measured import Cost, Latency, Length
from softlaunch.metrics.recorded import Preference, Recorded
from softlaunch.metrics.refusal import Refusal
from softlaunch.metrics.similarity import Similarity
from softlaunch.metrics.structure import JsonSchema, ToolCalled, ToolCalls
from softlaunch.metrics.text import Contains, Exact, Numeric, Regex

ENTRY_POINTS = "softlaunch.metrics"
"""The group in which a package names its own metrics: a class derived from Metric, or a function of a Sample."""

_OWN: tuple[type[AnyMetric], ...] = (
    Exact,
    Contains,
    Regex,
    Numeric,
    JsonSchema,
    ToolCalled,
    ToolCalls,
    Similarity,
    Refusal,
    Length,
    Latency,
    Cost,
    Recorded,
    Preference,
    Embedding,
    Rubric,
    Pairwise,
    Hallucination,
)
METRICS: Mapping[str, type[AnyMetric]] = MappingProxyType({kind.name: kind for kind in _OWN})
"""The metrics that come along, by name."""

_PARAMETER = re.compile(r'\s*(?P<key>[a-z_]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^,]*))\s*(?:,|$)')
_STRUCTURES = frozenset(
    {"list_type", "tuple_type", "set_type", "frozen_set_type", "dict_type", "mapping_type", "model_type"}
)
_LONGEST_SHOWN = 200
_NAME = re.compile(r"\s*(?P<name>[A-Za-z0-9_.-]+)\s*(?::(?P<rest>.*))?", re.DOTALL)


def parse_metric(spec: str | Mapping[str, Any]) -> AnyMetric:
    """The metric that a specification names, with its parameters.

    A text is `NAME` or `NAME:KEY=VALUE,KEY=VALUE`, values with commas in double quotes; a mapping has `metric` and
    the parameters as keys. Raises MetricError for an unknown name, and for parameters that are unknown or wrong.
    """
    name, parameters = _split(spec) if isinstance(spec, str) else _taken_apart(spec)
    kind = _kind(name)
    try:
        return _validated(kind, parameters)
    except ValidationError as error:
        raise MetricError(f"metric {name}: {'; '.join(_problems(kind, error))}") from error


def _validated(kind: type[AnyMetric], parameters: Mapping[str, Any]) -> AnyMetric:
    """With the parameters as they are; where a list or an object is wanted, a text of JSON will do. ValidationError."""
    try:
        return kind.model_validate(parameters)
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors() if problem["type"] in _STRUCTURES}
        read = {key: _read(parameters[key]) for key in wrong if isinstance(parameters.get(key), str)}
        if not read:
            raise
        return kind.model_validate({**parameters, **read})


def _read(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def metric_names() -> list[str]:
    """Every metric that can be named here."""
    return sorted({*METRICS, *(point.name for point in entry_points(group=ENTRY_POINTS))})


def _split(spec: str) -> tuple[str, dict[str, Any]]:
    parts = _NAME.fullmatch(spec)
    if parts is None:
        raise MetricError(
            f"{_short(repr(spec))} is no metric; write it as NAME or NAME:KEY=VALUE, such as numeric:tolerance=0.01"
        )
    rest = (parts["rest"] or "").rstrip()
    parameters: dict[str, Any] = {}
    at = 0
    while at < len(rest):
        found = _PARAMETER.match(rest, at)
        if found is None:
            raise MetricError(
                f"metric {_short(repr(spec))}: {_short(repr(rest[at:]))} is no parameter; write KEY=VALUE, and values "
                "with commas in quotes"
            )
        value = found["quoted"]
        parameters[found["key"]] = found["plain"].strip() if value is None else re.sub(r'\\(["\\])', r"\1", value)
        at = found.end()
    return parts["name"], parameters


def _taken_apart(spec: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    name = spec.get("metric")
    if not isinstance(name, str):
        raise MetricError(f"a metric's mapping names it under the key 'metric', one of {', '.join(metric_names())}")
    given, parameters = _split(name)
    return given, {**parameters, **{key: value for key, value in spec.items() if key != "metric"}}


def _kind(name: str) -> type[AnyMetric]:
    if name in METRICS:
        return METRICS[name]
    kind = _from_another_package(name)
    if kind is None:
        raise MetricError(f"there is no metric {name!r}; there are {', '.join(metric_names())}")
    return kind


@lru_cache
def _from_another_package(name: str) -> type[AnyMetric] | None:
    for point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            found = point.load()
        except Exception as error:  # importing somebody's package can raise anything
            raise MetricError(f"metric {name} can't be loaded from {point.value}: {error}") from error
        if isinstance(found, type) and issubclass(found, AnyMetric):
            if isabstract(found):
                raise MetricError(f"metric {name}: {point.value} lacks {', '.join(sorted(found.__abstractmethods__))}")
            return found
        if callable(found):
            return of_function(name, found)
        raise MetricError(f"metric {name}: {point.value} is neither a Metric class nor a function of a Sample")
    return None


def of_function(metric_name: str, function: Callable[[Sample], Score | float | None]) -> type[Metric]:
    """A metric without parameters of a function that gives a sample's score, or None for unscored."""

    class Own(Metric):
        name: ClassVar = metric_name

        def score(self, sample: Sample) -> Score:
            value = function(sample)
            return value if isinstance(value, Score) else Score(None if value is None else float(value))

        def __reduce__(self) -> tuple[Any, ...]:
            """Another process finds the function by its name."""
            return parse_metric, (write_metric(self),)

    Own.__doc__ = function.__doc__
    return Own


def _problems(kind: type[AnyMetric], error: ValidationError) -> list[str]:
    return [
        _problem(kind, details["loc"], details["type"], details["msg"], details["input"]) for details in error.errors()
    ]


def _problem(kind: type[AnyMetric], keys: tuple[str | int, ...], problem: str, message: str, found: object) -> str:
    key = str(keys[0]) if keys else ""
    if problem == "extra_forbidden":
        return f"it has no {key}; its parameters are {', '.join(kind.model_fields)}"
    if problem == "missing":
        return f"{key} is missing: {kind.model_fields[key].description or 'it has no default'}"
    said = message.removeprefix("Value error, ").replace("Input should be", "expected", 1)
    return f"{key} is {_short(repr(found))}, {said}" if key else said


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def read_metric(value: object) -> object:
    """What a file says as a metric, for pydantic. Raises ValueError; what is no text or mapping is left as it is."""
    if not isinstance(value, str | Mapping):
        return value
    try:
        return parse_metric(value)
    except MetricError as error:
        raise ValueError(str(error)) from error


def write_metric(metric: AnyMetric) -> str | dict[str, Any]:
    """A metric as files have it; `parse_metric` gives it back."""
    return {"metric": written_spec(metric), "label": metric.label} if metric.label else written_spec(metric)


MetricSpec = Annotated[
    AnyMetric,
    BeforeValidator(read_metric),
    PlainSerializer(write_metric),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "object", "required": ["metric"]}],
            "description": "NAME or NAME:KEY=VALUE,KEY=VALUE, or a mapping with the name under 'metric'",
        }
    ),
]
"""A metric as a field of a file's model."""
