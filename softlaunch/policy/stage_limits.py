"""What a stage must at least have, and how long it may stay undecided: in time, in requests and in units. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from softlaunch.core.arms import ByArm
from softlaunch.policy.release import Stage


@dataclass(frozen=True, slots=True)
class Deadlines:
    """When a stage has stayed undecided for long enough, whichever comes first; None never comes.

    `requests` and `units` are those that the candidate has had in the stage.
    """

    at: datetime | None = None
    requests: int | None = None
    units: int | None = None

    @classmethod
    def begin(cls, stage: Stage, now: datetime, requests: int = 0, units: int = 0) -> Self:
        """A stage's deadlines, counted from this moment and from these numbers on."""
        return cls(
            None if stage.deadline is None else now + timedelta(seconds=stage.deadline),
            None if stage.deadline_requests is None else requests + stage.deadline_requests,
            None if stage.deadline_units is None else units + stage.deadline_units,
        )

    def reached(self, now: datetime, requests: int, units: int) -> str | None:
        """Which one has come, in words that follow `deadline`: empty for the moment; None while none has."""
        if self.at is not None and now >= self.at:
            return ""
        for most, count, what in ((self.units, units, "units"), (self.requests, requests, "requests")):
            if most is not None and count >= most:
                return f" of {most:,} candidate {what}"
        return None

    def __str__(self) -> str:
        """Until when, in words."""
        numbers = ((self.units, "units"), (self.requests, "requests"))
        parts = [] if self.at is None else [f"{self.at:%Y-%m-%d %H:%M:%S} UTC"]
        parts += [f"{most:,} candidate {what}" for most, what in numbers if most is not None]
        return ", ".join([*parts[:-2], " or ".join(parts[-2:])])


def lacking_numbers(stage: Stage, requests: ByArm[int], units: ByArm[int], by_fallback: int = 0) -> str | None:
    """Which minimum number a stage still lacks, in words; None when it lacks none.

    The candidate's requests that one of its fallback models answered, so many, say nothing of its own model.
    """
    for had, least, what in ((requests, stage.minimum_requests, "requests"), (units, stage.minimum_units, "units")):
        if in_smaller_arm(had) < least:
            return f"{in_smaller_arm(had)} of at least {least} {what} in the smaller arm"
    own = requests.candidate - by_fallback
    if own < stage.minimum_requests:
        return (
            f"the candidate's own model was seen in {own} of at least {stage.minimum_requests} requests: its fallback "
            f"models answered {by_fallback} of {requests.candidate}"
        )
    return None


def in_smaller_arm(counts: ByArm[int]) -> int:
    """What the arm has that has less of it."""
    return min(counts.candidate, counts.stable)


@dataclass(frozen=True, slots=True)
class Limit:
    """A key of a stage's policy, what the stage has had of it, and what it needs or may have; times in seconds."""

    key: str
    met: float
    of: float


def limits(
    stage: Stage, deadlines: Deadlines, begun: datetime, seconds: float, requests: ByArm[int], units: ByArm[int]
) -> list[Limit]:
    """Every minimum and every deadline of a stage, that was watched for so long since it had `begun`.

    `requests` and `units` are those it has had. Minimum numbers are the smaller arm's, deadlines the candidate's.
    """
    found = [
        Limit("minimum_time", seconds, stage.minimum_time),
        Limit("minimum_requests", in_smaller_arm(requests), stage.minimum_requests),
    ]
    if stage.minimum_units:
        found.append(Limit("minimum_units", in_smaller_arm(units), stage.minimum_units))
    if deadlines.at is not None:
        found.append(Limit("deadline", seconds, (deadlines.at - begun).total_seconds()))
    if deadlines.requests is not None:
        found.append(Limit("deadline_requests", requests.candidate, deadlines.requests))
    if deadlines.units is not None:
        found.append(Limit("deadline_units", units.candidate, deadlines.units))
    return found
