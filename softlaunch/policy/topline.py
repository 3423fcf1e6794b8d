"""The part of a policy that is about the time after a promotion: the promoted variant beside the one before it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from softlaunch.core.documents import KeyedError
from softlaunch.core.quantities import Duration, written_duration
from softlaunch.core.verdict import Role
from softlaunch.policy.gating import GatePolicy
from softlaunch.policy.part import Part, Percent
from softlaunch.policy.sources import SourcesPolicy

_SHORTEST_ROUND = 1.0


class OnHarm(StrEnum):
    """What the topline does when it has shown harm."""

    ROLL_BACK = "roll_back"
    ALERT = "alert"


class ToplinePolicy(Part):
    """After a promotion some requests are copied to the previous variant, and the gates compare both, for hours or
    days.

    The app's next release ends it.
    """

    time: Annotated[Duration, Field(gt=0)] = 86400.0
    """How long the promoted variant is watched."""
    rounds: Annotated[int, Field(ge=1, le=100)] = 6
    """The time is divided into this many rounds, in each of which a user counts once: harm that starts late is seen in
    later rounds.
    """
    control_percent: Percent = 5.0
    """Share of requests that are copied to the previous variant, and paid for twice."""
    action: OnHarm = OnHarm.ALERT
    """roll_back: the previous variant serves again. alert: an incident is opened, and people decide."""

    @property
    def round_seconds(self) -> float:
        """How long a round lasts."""
        return self.time / self.rounds

    def check(self, gates: Iterable[GatePolicy], sources: SourcesPolicy) -> None:
        """Raise KeyedError, with keys below `topline`, where nothing could be judged."""
        if self.round_seconds < _SHORTEST_ROUND:
            said = f"{self.rounds} rounds of {written_duration(self.round_seconds)} are too short; take fewer"
            raise KeyedError(said, "rounds")
        if sources.sql is not None:
            raise KeyedError(
                "copies are compared in the gateway's own log, and sources.sql takes its place; leave it out"
            )
        judged = (gate for gate in gates if gate.role is not Role.MUTED and gate.metric not in sources.counted)
        if not any(not gate.metric.is_rated and not gate.metric.compares_copies for gate in judged):
            raise KeyedError(
                "copies are compared, which are never rated: it needs a gate on errors, latency, cost or checks of "
                "answers; add one, or leave it out"
            )
