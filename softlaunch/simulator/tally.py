"""Counts of what simulated users got, readable while it runs."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

UNKNOWN_ARM = "unknown"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one request came to, as the user saw it. `failure` is None for an answer."""

    user: str
    arm: str
    variant: str
    latency_s: float
    right: bool = False
    failure: str | None = None


@dataclass(slots=True)
class ArmTally:
    """What the users of one arm met."""

    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    right: int = 0
    latencies_s: list[float] = field(default_factory=list)
    users: set[str] = field(default_factory=set)
    answered_users: set[str] = field(default_factory=set)
    ratings: int = 0
    satisfaction: float = 0.0

    @property
    def answers(self) -> int:
        """Requests that were answered."""
        return len(self.latencies_s)

    def as_dict(self) -> dict[str, Any]:
        """Counts, shares and percentiles; None where there is nothing to take them of."""
        p50, p95 = percentiles(self.latencies_s)
        return {
            "requests": self.requests,
            "failures": dict(self.failures),
            "users": len(self.users),
            "right_share": self.right / self.answers if self.answers else None,
            "latency_p50_s": p50,
            "latency_p95_s": p95,
            "ratings": self.ratings,
            "satisfaction": self.satisfaction / self.ratings if self.ratings else None,
        }


@dataclass(slots=True)
class Tally:
    """Live counts by arm; written by one thread, and safe to read roughly from another."""

    arms: defaultdict[str, ArmTally] = field(default_factory=lambda: defaultdict(ArmTally))
    variants: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    not_sent: int = 0
    ratings_failed: int = 0

    @property
    def requests(self) -> int:
        """Requests that came to an end."""
        return sum(arm.requests for arm in list(self.arms.values()))

    @property
    def failures(self) -> int:
        """Requests that ended without an answer."""
        return sum(arm.failures.total() for arm in list(self.arms.values()))

    def note(self, seen: Seen) -> None:
        """Count one finished request."""
        arm = self.arms[seen.arm]
        arm.requests += 1
        arm.users.add(seen.user)
        if seen.variant:
            self.variants[seen.variant] += 1
        if seen.failure is not None:
            arm.failures[seen.failure] += 1
            return
        arm.answered_users.add(seen.user)
        arm.right += seen.right
        arm.latencies_s.append(seen.latency_s)

    def note_rating(self, arm: str, satisfaction: float) -> None:
        """Count one rating that the gateway accepted."""
        self.arms[arm].ratings += 1
        self.arms[arm].satisfaction += satisfaction

    def users_answered_by(self, arm: str) -> int:
        """Distinct users to whom an arm gave at least one answer."""
        return len(self.arms[arm].answered_users) if arm in self.arms else 0

    def summary(self) -> dict[str, Any]:
        """Everything counted, as plain values for JSON."""
        arms = dict(self.arms)
        users: set[str] = set().union(*(arm.users for arm in arms.values()))
        p50, p95 = percentiles([latency for arm in arms.values() for latency in arm.latencies_s])
        return {
            "requests": self.requests,
            "failures": self.failures,
            "not_sent": self.not_sent,
            "users": len(users),
            "users_answered_by_candidate": self.users_answered_by("candidate"),
            "latency_p50_s": p50,
            "latency_p95_s": p95,
            "ratings": sum(arm.ratings for arm in arms.values()),
            "ratings_failed": self.ratings_failed,
            "arms": {name: arm.as_dict() for name, arm in sorted(arms.items())},
            "variants": dict(self.variants.most_common()),
        }


def percentiles(latencies_s: list[float]) -> tuple[float | None, float | None]:
    """Median and 95th percentile; None where there are no values."""
    if not latencies_s:
        return None, None
    p50, p95 = np.quantile(np.asarray(latencies_s), [0.5, 0.95])
    return float(p50), float(p95)
