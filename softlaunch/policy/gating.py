"""The part of a policy that says what of live traffic must not get worse, and by how much it may."""

from enum import StrEnum
from typing import Any, Self

from pydantic import model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.live_metrics import Direction, Metric, Source
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.core.verdict import Per, Role
from softlaunch.policy.part import Part

_OF_COPIES = [metric for metric in Metric if metric.compares_copies]


class Adjustment(StrEnum):
    """What was known before the answer and explains part of the differences between values."""

    OWN_PAST = "own_past"
    REQUEST_SIZE = "request_size"
    STREAMED = "streamed"


class GatePolicy(Part):
    """A metric, how much worse it may get, and what the gate may do."""

    metric: Metric
    """A live metric, or one that the policy declares under `metrics`."""
    margin: Margin
    """How much worse is still acceptable in stages of 50 % and more: '1 point' of a rate or score, '10 %' of a cost."""
    per: Per = Per.REQUEST
    """What the gate counts, and what the margin refers to: each request; each session of a unit (whether anything in it
    failed, its total latency and cost, its mean rating); or each user's period, in the same way.

    The policy's `session` defines what a session is. On copies (the shadow, 100 %) gates always count requests.
    """
    direction: Direction | None = None
    """Which direction is better. Every metric has its own; stating it is a check, not a choice."""
    role: Role = Role.REQUIRED
    """required: no stage passes without its evidence. guard: can roll back, but isn't waited for. muted: only shown.

    By default muted for agreement and preference, because a different answer need not be a worse one, and required for
    all others.
    """

    adjust_for: tuple[Adjustment, ...] = ()
    """own_past: latency and cost are compared with those of the same unit on stable before the release. request_size,
    streamed: they are compared with what stable took for requests of that size, and for streamed or whole answers.

    own_past helps if the same users come back for weeks; units that stable never answered aren't adjusted. The others
    help if long requests take longer or cost more. A request's size is what the user wrote before the first answer.
    """

    predicted_by: Metric | None = None
    """A metric that judges score (quality, hallucination, or a score or share declared under `metrics`), with which a
    few ratings tell as much as more would.

    Only for satisfaction, or a declared score or share, per request. Each arm's ratings correct the judge's error, so
    its bias doesn't count; a judge that knows nothing changes almost nothing.
    """

    @property
    def is_named(self) -> bool:
        """Whether the policy names this gate; one that it doesn't is there by itself."""
        return "metric" in self.model_fields_set

    @model_validator(mode="before")
    @classmethod
    def _is_muted_on_copies(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("metric") in _OF_COPIES:
            return {"role": Role.MUTED, **values}
        return values

    @model_validator(mode="after")
    def _fits_the_metric(self) -> Self:
        if self.direction not in {None, self.metric.direction}:
            raise KeyedError(
                f"{self.metric} is {self.metric.direction}; leave direction out or correct it", "direction"
            )
        wanted = MarginKind.RELATIVE if self.metric.is_relative else MarginKind.POINTS
        if self.margin.kind is not wanted:
            example = "'10 %'" if wanted is MarginKind.RELATIVE else "'2 points'"
            raise KeyedError(f"the margin of {self.metric} is written like {example}, not '{self.margin}'", "margin")
        if self.per is not Per.REQUEST and self.metric.compares_copies:
            raise KeyedError(f"{self.metric} compares two answers to one request; leave it out or write request", "per")
        self._can_be_predicted()
        if self.adjust_for and not self.metric.is_relative:
            raise KeyedError(f"latency and cost can be adjusted, {self.metric} can't; leave it out", "adjust_for")
        return self

    def _can_be_predicted(self) -> None:
        """Raise KeyedError where no score of an answer could say anything of its rating."""
        by = self.predicted_by
        if by is None:
            return
        is_said = self.metric.entry.source in {Source.RATINGS, Source.REPORTS}
        if not is_said or self.metric.is_relative:
            raise KeyedError(
                f"only satisfaction, or a score or share that the policy declares, can be predicted; {self.metric} "
                "can't, so leave it out",
                "predicted_by",
            )
        if by == self.metric:
            raise KeyedError(f"{by} can't predict itself; name what judges score, such as quality", "predicted_by")
        if by.entry.source not in {Source.SCORES, Source.REPORTS} or by.is_relative:
            raise KeyedError(
                f"{by} isn't scored by judges; name quality, hallucination, or a score or share that the policy "
                "declares",
                "predicted_by",
            )
        if self.per is not Per.REQUEST:
            raise KeyedError("scores are of single answers; leave it out, or leave predicted_by out", "per")


def with_unusable(gates: tuple[GatePolicy, ...]) -> tuple[GatePolicy, ...]:
    """Gates together with one on unusable answers, where they name none: an answer that serves nobody is no success.

    It is as wide as the gate on errors, per the same, and may do as much, since the two share what can go wrong with an
    answer: a required one is passed as soon. Without a gate on errors it is a guard, which nothing waits for.
    """
    if any(gate.metric is Metric.UNUSABLE for gate in gates):
        return gates
    errors = next((gate for gate in gates if gate.metric is Metric.ERRORS), None)
    margin, role = (errors.margin, errors.role) if errors else (Margin(MarginKind.POINTS, 0.01), Role.GUARD)
    per = errors.per if errors else Per.REQUEST
    added = GatePolicy.model_construct(_fields_set=set(), metric=Metric.UNUSABLE, margin=margin, role=role, per=per)
    return (*gates, added)  # at the end, so that a mistake is named by its place in the file


DEFAULT_GATES = with_unusable(
    (
        GatePolicy(metric=Metric.ERRORS, margin=Margin(MarginKind.POINTS, 0.01)),
        GatePolicy(metric=Metric.LATENCY, margin=Margin(MarginKind.RELATIVE, 0.10)),
        GatePolicy(metric=Metric.COST, margin=Margin(MarginKind.RELATIVE, 0.10)),
        GatePolicy(metric=Metric.SATISFACTION, margin=Margin(MarginKind.POINTS, 0.04), role=Role.GUARD),
    )
)
