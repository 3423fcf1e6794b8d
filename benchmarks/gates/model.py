"""What is simulated, in numbers: the app's traffic, what may be wrong with a candidate, and the release's plan."""

from dataclasses import dataclass, field
from enum import StrEnum

from softlaunch.policy.model import Metric

METRICS = (Metric.ERRORS, Metric.LATENCY, Metric.COST, Metric.QUALITY, Metric.SATISFACTION)


@dataclass(frozen=True, slots=True)
class Levels:
    """The app on stable. Errors are Bernoulli, latency and cost log-normal, quality Beta, ratings thumbs."""

    error_rate: float = 0.005
    latency_median_ms: float = 1000.0
    latency_sigma: float = 0.5
    cost_median_usd: float = 2e-4
    cost_sigma: float = 0.4
    quality_mean: float = 0.85
    quality_deviation: float = 0.2
    satisfied: float = 0.80
    rated: float = 0.10
    """Share of requests that somebody rates."""
    unit_correlation: float = 0.3
    """Correlation of two requests of one unit, in every metric, where a unit makes several."""
    session_requests: int = 2000
    """A unit's requests lie scattered over a stretch of traffic of this many requests, twelve minutes' worth."""


@dataclass(frozen=True, slots=True)
class Day:
    """How stable's levels move over a day, on a sine: factors or points at its trough and its peak."""

    errors: tuple[float, float] = (0.5, 2.0)
    latency: tuple[float, float] = (0.8, 1.3)
    quality: float = 0.03
    satisfaction: float = 0.05


@dataclass(frozen=True, slots=True)
class Effect:
    """What the candidate does differently; the default is nothing.

    `errors`, `quality` and `satisfaction` are points (0.01 is one) for the worse, `latency` and `cost` are factors.
    The harm begins with the stage whose share is `from_share`.
    """

    errors: float = 0.0
    latency: float = 1.0
    cost: float = 1.0
    quality: float = 0.0
    satisfaction: float = 0.0
    from_share: float = 0.0

    def at(self, share: float) -> "Effect":
        """The effect in a stage."""
        return self if share >= self.from_share else Effect()


class Kind(StrEnum):
    """What the right answer is."""

    FINE = "fine"
    HARM = "harm"
    MARGIN = "as bad as the margin"
    TWICE = "twice the margin"
    SPARSE = "too little traffic"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of candidate under one kind of traffic; `runs_factor` multiplies our own runs."""

    name: str
    kind: Kind
    effect: Effect = field(default_factory=Effect)
    drift: bool = False
    unit_size: int = 1
    requests_per_hour: float = 10_000.0
    candidate_limit: int | None = None
    runs_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the release: the share of users, and after how many candidate requests it is given up as undecided."""

    position: int
    share: float
    deadline: int

    @property
    def full(self) -> bool:
        """Whether nobody is on stable any more."""
        return self.share == 1.0


STAGES = (Stage(1, 0.01, 6000), Stage(2, 0.05, 6000), Stage(3, 0.5, 6000), Stage(4, 1.0, 60_000))
MIRRORED = 0.05
"""Share of the candidate's requests that are copied to stable in the last stage."""

_LATE = Effect(latency=2.0, from_share=0.5)
SCENARIOS = (
    Scenario("null", Kind.FINE, runs_factor=5),
    Scenario("null, drift", Kind.FINE, drift=True, runs_factor=5),
    Scenario("null, 5 requests a unit", Kind.FINE, unit_size=5, runs_factor=5),
    Scenario("errors 0.5 -> 1 %", Kind.HARM, Effect(errors=0.005)),
    Scenario("errors 0.5 -> 2 %", Kind.HARM, Effect(errors=0.015)),
    Scenario("errors 0.5 -> 2 %, 5 requests a unit", Kind.HARM, Effect(errors=0.015), unit_size=5),
    Scenario("errors 0.5 -> 5 %", Kind.HARM, Effect(errors=0.045)),
    Scenario("latency x1.25", Kind.HARM, Effect(latency=1.25)),
    Scenario("latency x2", Kind.HARM, Effect(latency=2.0)),
    Scenario("latency x5", Kind.HARM, Effect(latency=5.0)),
    Scenario("latency x2 from 50 %", Kind.HARM, _LATE),
    Scenario("quality 0.85 -> 0.84", Kind.HARM, Effect(quality=0.01)),
    Scenario("quality 0.85 -> 0.80", Kind.HARM, Effect(quality=0.05)),
    Scenario("quality 0.85 -> 0.70", Kind.HARM, Effect(quality=0.15)),
    Scenario("satisfaction 0.80 -> 0.75", Kind.HARM, Effect(satisfaction=0.05)),
    Scenario("cost x1.3", Kind.HARM, Effect(cost=1.3)),
    Scenario("errors +1 point", Kind.MARGIN, Effect(errors=0.01), runs_factor=3),
    Scenario("latency x1.1", Kind.MARGIN, Effect(latency=1.1), runs_factor=3),
    Scenario("cost x1.1", Kind.MARGIN, Effect(cost=1.1), runs_factor=3),
    Scenario("quality -2 points", Kind.MARGIN, Effect(quality=0.02), runs_factor=3),
    Scenario("satisfaction -4 points (guard)", Kind.MARGIN, Effect(satisfaction=0.04)),
    Scenario("errors +2 points", Kind.TWICE, Effect(errors=0.02), runs_factor=5),
    Scenario("latency x1.2", Kind.TWICE, Effect(latency=1.2), runs_factor=5),
    Scenario("cost x1.2", Kind.TWICE, Effect(cost=1.2), runs_factor=5),
    Scenario("quality -4 points", Kind.TWICE, Effect(quality=0.04), runs_factor=5),
    Scenario("satisfaction -8 points (guard)", Kind.TWICE, Effect(satisfaction=0.08)),
    Scenario("null, 20 requests an hour", Kind.SPARSE, requests_per_hour=20, candidate_limit=500),
    Scenario(
        "latency x2, 20 requests an hour", Kind.HARM, Effect(latency=2.0), requests_per_hour=20, candidate_limit=500
    ),
)
