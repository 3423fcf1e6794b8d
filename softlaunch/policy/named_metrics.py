"""The part of a policy that declares the app's own metrics: what came of answers, as the app itself knows it."""

from enum import StrEnum
from typing import Annotated, Any, Self, assert_never

from pydantic import Field, ValidationError, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.live_metrics import Direction, Entry, Metric, Quantity, Source
from softlaunch.core.quantities import Duration
from softlaunch.core.verdict import Per
from softlaunch.policy.part import Part

_TAKEN = frozenset({"answers", "breaker", "eval", "named_metric", "scores", "stars", "thumbs"})


class MetricKind(StrEnum):
    """What one value of a declared metric is."""

    SHARE = "share"
    SCORE = "score"
    AMOUNT = "amount"
    DURATION = "duration"


class Better(StrEnum):
    """Which way a declared metric is better."""

    UP = "up"
    DOWN = "down"


_HIGHEST = {MetricKind.SHARE: 1.0, MetricKind.SCORE: 1.0, MetricKind.AMOUNT: 1e15, MetricKind.DURATION: 1e15}
_EXPECTED = {
    MetricKind.SHARE: "true or false, 1 or 0",
    MetricKind.SCORE: "a number from 0 to 1",
    MetricKind.AMOUNT: "a number from 0 on",
    MetricKind.DURATION: "seconds, a number from 0 on",
}


class MetricPolicy(Part):
    """A metric of the app's own. Its values come from the gateway's `/v1/feedback`, from a file, or from `sources`."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    """Its name in gates, reports and `/v1/feedback`: lowercase letters, digits and underscores."""
    kind: MetricKind
    """share: it happened or it didn't (1 or 0, true or false). score: from 0 to 1. Their margins are in points.

    amount: a number from 0. duration: seconds. Their margins are relative, and less is better.
    """
    better: Better
    """Which direction is better."""
    unit: Per = Per.REQUEST
    """What one value describes. request: it is reported with the request's id. session, user: it may be reported with
    the unit's name instead, as the app gives it to the gateway, and then counts for that unit's last request.

    What a gate counts is set by the gate's `per`.
    """
    window: Annotated[Duration, Field(gt=0)] = 7 * 86400.0
    """How long after a request its value is accepted. If several arrive for one request, the first counts."""
    drawn: bool = False
    """Its values are people's labels of answers drawn by `softlaunch review --random`; no app reports it.

    It must be a score or share per request. Different draw rates of the two arms are then no reason for doubt.
    """

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        if Metric.named(self.name) is not None or self.name in _TAKEN:
            raise KeyedError(f"{self.name} means something already; choose another name", "name")
        if self.drawn and (self.metric.is_relative or self.unit is not Per.REQUEST):
            raise KeyedError("people label single answers, as a share or a score; correct kind and unit", "drawn")
        if self.metric.is_relative and self.better is Better.UP:
            raise KeyedError(
                f"an {self.kind} of which more is better can't be judged; declare a share, such as whether there was "
                "any, or what is lost"
                if self.kind is MetricKind.AMOUNT
                else "a duration is better when it is shorter; declare a share, such as whether it was long enough",
                "better",
            )
        return self

    def read(self, value: object) -> float:
        """A reported value as it is kept. Raises ValueError with what was expected."""
        is_share = self.kind is MetricKind.SHARE
        if not isinstance(value, int | float) or (isinstance(value, bool) and not is_share):
            raise ValueError(self.expected)
        if not 0 <= value <= _HIGHEST[self.kind] or (is_share and value not in {0, 1}):
            raise ValueError(self.expected)
        return float(value)

    @property
    def expected(self) -> str:
        """What a value must be, for messages."""
        return f"expected {_EXPECTED[self.kind]}"

    @property
    def metric(self) -> Metric:
        """The metric that gates judge."""
        is_better_up = self.better is Better.UP
        return Metric.declared(
            self.name,
            Entry(
                meaning=f"what the app reports as {self.name}",
                quantity=_quantity(self.kind),
                direction=Direction.HIGHER_IS_BETTER if is_better_up else Direction.LOWER_IS_BETTER,
                source=Source.REPORTS,
                can_decide_ab=is_better_up,
                column=self.name,
            ),
        )


def _quantity(kind: MetricKind) -> Quantity:
    match kind:
        case MetricKind.SHARE:
            return Quantity.EVENT
        case MetricKind.SCORE:
            return Quantity.SCORE
        case MetricKind.AMOUNT:
            return Quantity.AMOUNT
        case MetricKind.DURATION:
            return Quantity.SECONDS
        case _:
            assert_never(kind)


def resolved(values: dict[str, Any]) -> dict[str, Any]:
    """A policy's keys in which gates, sources and A/B tests have the metrics that it declares, where they name them."""
    declared = _declared(values.get("metrics"))
    if not declared:
        return values
    found = dict(values)
    gates, test = values.get("gates"), values.get("ab")
    if isinstance(gates, list | tuple):
        found["gates"] = [_with_metric(gate, declared) for gate in gates]
    found["sources"] = _with_sources(values.get("sources", {}), declared)
    if isinstance(test, dict) and isinstance(test.get("metrics"), list | tuple):
        found["ab"] = {**test, "metrics": [_known(name, declared) for name in test["metrics"]]}
    return found


def _with_sources(sources: Any, declared: dict[str, Metric]) -> Any:
    prometheus = sources.get("prometheus") if isinstance(sources, dict) else None
    if not (isinstance(prometheus, dict) and isinstance(prometheus.get("metrics"), list | tuple)):
        return sources
    metrics = [_with_metric(one, declared) for one in prometheus["metrics"]]
    return {**sources, "prometheus": {**prometheus, "metrics": metrics}}


def _declared(metrics: Any) -> dict[str, Metric]:
    """What is declared soundly, by name; the other mistakes are told where the keys are checked."""
    found = {}
    for one in metrics if isinstance(metrics, list | tuple) else ():
        try:
            metric = MetricPolicy.model_validate(one).metric
        except ValidationError:
            continue
        found[metric.value] = metric
    return found


def _with_metric(gate: Any, declared: dict[str, Metric]) -> Any:
    if not isinstance(gate, dict):
        return gate
    return {**gate, **{key: _known(gate[key], declared) for key in ("metric", "predicted_by") if key in gate}}


def _known(name: Any, declared: dict[str, Metric]) -> Any:
    return declared.get(name, name) if isinstance(name, str) else name
