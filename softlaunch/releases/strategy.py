"""What tells one kind of release from another: how it is observed, and what is decided from that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, assert_never

from sqlmodel import Session

from softlaunch.core.verdict import Verdict
from softlaunch.ledger.outcomes import Counts
from softlaunch.ledger.stages import StageRecord
from softlaunch.policy.release import Kind, Release
from softlaunch.releases.decision import Action, Snapshot


@dataclass(frozen=True, slots=True)
class Observation:
    """What was observed of a stage. `evidence` replaces what the stage had; `has_data` is false when nothing was seen.

    `requests` are the compared ones of candidate and stable in this stage so far, `exposed` those that users saw.
    `seen_until` (epoch seconds) is the moment up to which all is known, `stable_lately` what became of what stable was
    asked in the minute before that, by outcome.
    """

    verdicts: tuple[Verdict, ...] | None
    evidence: Mapping[str, Any]
    progress: str
    requests: tuple[int, int] = (0, 0)
    exposed: int = 0
    has_data: bool = True
    seen_until: float | None = None
    stable_lately: Counts = field(default_factory=dict)


def no_data(held: Mapping[str, Any], reason: str) -> Observation:
    """An observation without data: it has no verdict, and the gateways get no beat."""
    return Observation(
        verdicts=(),
        evidence=held,
        progress=reason,
        requests=compared(held),
        exposed=held.get("exposed", 0),
        has_data=False,
        seen_until=held.get("until"),
    )


def compared(evidence: Mapping[str, Any]) -> tuple[int, int]:
    """How many requests of candidate and stable the evidence of a stage compares."""
    candidate, stable = evidence.get("requests", (0, 0))
    return int(candidate), int(stable)


class Strategy(Protocol):
    """How one kind of release is observed and decided."""

    def observe(self, release: Release, record: StageRecord, now: datetime) -> Observation:
        """Observe the stage in force."""
        ...

    def decide(self, snapshot: Snapshot, observation: Observation) -> Action:
        """The next action of a live release."""
        ...

    def record(self, session: Session, release: Release, observation: Observation) -> None:
        """Write what the observation holds besides its evidence, in the transaction of the step."""
        ...

    def forget(self, release_id: str) -> None:
        """Hold nothing of a release in memory any more."""
        ...


@dataclass(frozen=True, slots=True)
class Strategies:
    """The strategy of each kind of release; a driver without one leaves releases of that kind to others."""

    release: Strategy
    ab_test: Strategy | None = None
    emergency: Strategy | None = None

    def of(self, release: Release) -> Strategy:
        """The strategy of a release; raises ValueError where there is none."""
        found = self.emergency if release.emergency else self._of_kind(release.kind)
        if found is None:
            what = "an emergency release" if release.emergency else f"of kind {release.kind}"
            raise ValueError(f"{release.id} is {what}, which this driver has no strategy for")
        return found

    def _of_kind(self, kind: Kind) -> Strategy | None:
        match kind:
            case Kind.RELEASE:
                return self.release
            case Kind.AB_TEST:
                return self.ab_test
            case _:
                assert_never(kind)

    def forget(self, release_id: str) -> None:
        """Hold nothing of a release in memory any more."""
        for strategy in (self.release, self.ab_test, self.emergency):
            if strategy is not None:
                strategy.forget(release_id)
