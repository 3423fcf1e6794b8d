"""What incidents are about: a closed list of kinds, each with its runbook and how soon a person must look."""

from enum import StrEnum
from typing import Self

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.resources import find_resource

BREAKER = "breaker"
"""The gate that a rollback names when a gateway's breaker stopped the candidate before any gate could judge it."""
ANSWERS = "answers"
"""The gate of an emergency release: it looks at the candidate's own answers, with nothing to compare them with."""
_GATE = "gate_"


class UnknownGateError(SoftlaunchError):
    """A gate that the table of live metrics doesn't have."""


class Severity(StrEnum):
    """How soon a person must look: `page` now, at any hour; `ticket` on a working day."""

    PAGE = "page"
    TICKET = "ticket"


class IncidentKind(StrEnum):
    """What a person must know of: a closed list. Each kind has the runbook page `runbooks/<kind>.md`.

    Each live metric has a kind for its failed gate, `GATE_ERRORS` and so on, from `of_metric`; those that policies
    declare share one.
    """

    GATE_NAMED_METRIC = f"{_GATE}named_metric"
    vars().update({f"GATE_{metric.name}": f"{_GATE}{metric.value}" for metric in Metric})
    BREAKER_TRIPPED = "breaker_tripped"
    NO_DATA = "no_data"
    SPLIT_OFF = "split_off"
    RELEASE_ORPHANED = "release_orphaned"
    ROLLBACK_STUCK = "rollback_stuck"
    ENVOY_NOT_FOLLOWING = "envoy_not_following"
    PROMPT_DRIFT = "prompt_drift"
    FLOATING_MODEL_CHANGED = "floating_model_changed"
    AB_INCONCLUSIVE = "ab_inconclusive"
    EVAL_FLICKERING = "eval_flickering"
    GOLDEN_SET_STALE = "golden_set_stale"
    REGISTRY_CLEANUP_FAILED = "registry_cleanup_failed"
    APPROVAL_EXPIRED = "approval_expired"
    PROVIDER_DOWN = "provider_down"
    JUDGES_AWAY = "judges_away"

    @classmethod
    def of_metric(cls, metric: Metric) -> Self:
        """The kind of a metric whose gate failed."""
        return cls.GATE_NAMED_METRIC if metric.is_declared else cls(f"{_GATE}{metric.value}")

    @classmethod
    def of_gate(cls, gate: str) -> Self:
        """The kind of what stopped a candidate: a metric's gate, or massive failure. Raises UnknownGateError."""
        if gate in {BREAKER, ANSWERS}:
            return cls.BREAKER_TRIPPED
        metric = Metric.named(gate)
        if metric is None:
            known = ", ".join(metric.value for metric in Metric)
            raise UnknownGateError(f"no incident is known for the gate {gate!r}; live metrics are {known}")
        return cls.of_metric(metric)

    @property
    def metric(self) -> Metric | None:
        """The live metric whose failed gate this is; None for any other kind."""
        return Metric.named(self.value.removeprefix(_GATE)) if self.is_gate else None

    @property
    def is_gate(self) -> bool:
        """Whether it is that a metric's gate failed."""
        return self.value.startswith(_GATE)

    @property
    def runbook(self) -> str:
        """Path of the kind's page, from the project's root."""
        return f"runbooks/{self.value}.md"

    @property
    def words(self) -> str:
        """The kind in words, as messages and its page have it: `Latency gate failed`."""
        plain = self.value.replace("_", " ").replace("ab ", "A/B test ")
        named = f"{plain.removeprefix('gate ')} gate failed" if self.is_gate else plain
        return named[0].upper() + named[1:]

    @property
    def severity(self) -> Severity:
        """Whether somebody must act now: users may be worse off, or nobody would notice if they were."""
        can_wait = self.metric.entry.is_ticket if self.metric else self in _CAN_WAIT
        return Severity.TICKET if can_wait else Severity.PAGE


_CAN_WAIT = frozenset(
    {
        IncidentKind.PROMPT_DRIFT,
        IncidentKind.FLOATING_MODEL_CHANGED,
        IncidentKind.AB_INCONCLUSIVE,
        IncidentKind.EVAL_FLICKERING,
        IncidentKind.GOLDEN_SET_STALE,
        IncidentKind.REGISTRY_CLEANUP_FAILED,
        IncidentKind.APPROVAL_EXPIRED,
        IncidentKind.JUDGES_AWAY,
    }
)


class NoRunbookError(SoftlaunchError):
    """The installation lacks the pages."""


def read_runbook(kind: IncidentKind) -> str:
    """The page of a kind: from inside an installed package, or from the checkout beside it."""
    page = find_resource(kind.runbook)
    if page is None:
        raise NoRunbookError(f"this installation lacks {kind.runbook}; install softlaunch again")
    return page.read_text(encoding="utf-8")
