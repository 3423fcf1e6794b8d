"""What a metric is: a named, frozen rule that gives an answer a score in [0, 1], or says why it can't."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict

from softlaunch.core.errors import SoftlaunchError

ACCURACY = "accuracy"
"""The name under which the mean score of a case's own metrics is reported."""
_NOTHING: Mapping[str, object] = MappingProxyType({})


class MetricError(SoftlaunchError):
    """A metric that doesn't exist, is asked for with parameters it doesn't have, or gave what is no score."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One function that an answer wants called; `arguments` are as parsed, None where they are no JSON object."""

    name: str
    arguments: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer with all that a metric may read of it; what nobody knows is None.

    `expected` is what the case expects, `reference` a good answer to compare with, `context` what the answer may rest
    on. `fields` holds further columns of a recorded answer.
    """

    answer: str
    question: str = ""
    expected: str | float | None = None
    reference: str | None = None
    context: str | None = None
    tolerance: float = 0.0
    tool_calls: tuple[ToolCall, ...] = ()
    latency_ms: float | None = None
    cost_usd: float | None = None
    output_tokens: int | None = None
    fields: Mapping[str, object] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls that scoring itself has made, and their price; None once the price of any of them is unknown."""

    calls: int = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        known = self.cost_usd is not None and other.cost_usd is not None
        return Spent(self.calls + other.calls, (self.cost_usd or 0) + (other.cost_usd or 0) if known else None)


NOTHING_SPENT = Spent()


@dataclass(frozen=True, slots=True)
class Score:
    """A value in [0, 1], 1 being best, or None: unscored, which is neither right nor wrong. `reason` is for people."""

    value: float | None
    reason: str = ""
    spent: Spent = NOTHING_SPENT

    def __post_init__(self) -> None:
        if self.value is not None and not (math.isfinite(self.value) and 0 <= self.value <= 1):
            raise MetricError(f"{self.value!r} is no score: a metric gives a number between 0 and 1, or None")


class AnyMetric(BaseModel):
    """What all metrics share: a name, parameters, and a key under which their scores are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: ClassVar[str]
    instant: ClassVar[bool] = False
    """Whether a score of some thousand characters takes well under a millisecond, whatever the parameters are."""
    label: str = ""
    """What to call it in reports; left out: its name and parameters."""

    def __hash__(self) -> int:
        """By the key: parameters may be objects and lists, which have no hash of their own."""
        return hash(self.key)

    @property
    def key(self) -> str:
        """The name of its scores: the label, or the specification that `parse_metric` understands."""
        return self.label or written_spec(self)

    def objection(self, expected: str | float | None) -> str | None:  # noqa: ARG002  (most metrics expect nothing)
        """What this metric wants a case to expect instead, or None where it can use what is expected."""
        return None


class Metric(AnyMetric):
    """A metric that is worked out on the spot."""

    @abstractmethod
    def score(self, sample: Sample) -> Score:
        """The score of one answer; what the metric needs and the sample lacks makes it unscored."""


def written_spec(metric: AnyMetric) -> str:
    """The metric as a specification, with the parameters that were given."""
    given = metric.model_dump(mode="json", include=metric.model_fields_set - {"label"})
    values = ((key, _quoted(_text(value))) for key, value in given.items())
    parameters = ",".join(f"{key}={value}" for key, value in values)
    return f"{metric.name}:{parameters}" if parameters else metric.name


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _quoted(value: str) -> str:
    if value != value.strip() or not value or any(mark in value for mark in ',"'):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return value
