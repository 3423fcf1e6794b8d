"""What is simulated, in numbers: who asks and what is known of it, what may be wrong with a candidate, and the plan."""

from dataclasses import dataclass, field
from enum import StrEnum

from softlaunch.core.live_metrics import Metric

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
    hallucinated: float = 0.0
    refused: float = 0.0
    """Shares of answers; where they are zero, nobody looks."""
    slow: float = 0.0
    """Share of requests that take `slow_factor` times as long."""
    slow_factor: float = 4.0
    unit_correlation: float = 0.3
    """Correlation of two requests of one unit, in every metric, where a scattered unit makes several."""


@dataclass(frozen=True, slots=True)
class Day:
    """How stable's levels move over a day, on a sine: factors or points at its trough and its peak."""

    errors: tuple[float, float] = (0.5, 2.0)
    latency: tuple[float, float] = (0.8, 1.3)
    quality: float = 0.03
    satisfaction: float = 0.05


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What befalls both arms for `seconds` from the middle of each `period` on: more traffic, errors, slower answers.

    `rate` and `latency` are factors, `errors` are points.
    """

    period: float
    seconds: float
    rate: float = 1.0
    errors: float = 0.0
    latency: float = 1.0


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who asks.

    With `users`, as many people ask all day long, as often as each other; without, everybody comes once and asks
    `visit_requests` times within `visit_seconds`. `correlation` is that of two requests of a unit, before they are
    turned into a metric's values. Half of a user's level wanders and is another one after `wander_seconds`; None: it
    stays. One single unit, with levels of its own, makes `bot_share` of all requests.
    """

    users: int | None = None
    visit_requests: int = 1
    visit_seconds: float = 72.0
    correlation: float = 0.3
    wander_seconds: float | None = None
    bot_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Watching:
    """What becomes known of answers: shares scored by a judge and rated by users, (candidate's, stable's), and when.

    Scores and ratings arrive `delay_seconds` after the request, on average, exponentially distributed. A judge says
    what is true of an answer with the probability `agreement`, and else what it would say of any answer of stable's,
    so that this is its kappa. Where it `foretells`, what is true is whether the user is satisfied. It likes the
    candidate's answers better by `liking` points. Refusals are found with `recall`, and by mistake in a share of
    `mistaken` of the other answers.
    """

    scored: tuple[float, float] = (1.0, 1.0)
    rated: tuple[float, float] = (0.1, 0.1)
    delay_seconds: float = 0.0
    agreement: float = 1.0
    foretells: bool = False
    liking: float = 0.0
    recall: float = 0.9
    mistaken: float = 0.001


@dataclass(frozen=True, slots=True)
class Effect:
    """What the candidate does differently; the default is nothing.

    `errors`, `quality`, `satisfaction`, `hallucinated` and `refused` are points (0.01 is one) for the worse, `latency`
    and `cost` are factors, and `slow` is how many more requests are among the slow ones. The harm begins with the stage
    whose share is `from_share`, `from_seconds` after the stage began, and spares a unit's requests before number
    `from_request`.
    """

    errors: float = 0.0
    latency: float = 1.0
    cost: float = 1.0
    quality: float = 0.0
    satisfaction: float = 0.0
    hallucinated: float = 0.0
    refused: float = 0.0
    slow: float = 0.0
    from_share: float = 0.0
    from_seconds: float = 0.0
    from_request: int = 1

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
class Stage:
    """A step of the release: the share of users, and after how much it is given up as undecided.

    That is after so many of the candidate's requests, or units where these are given, or seconds. It lasts at least
    `minimum_seconds`, as long as an approval is waited for, say; who passes it earlier goes on watching.
    """

    position: int
    share: float
    deadline: int | None
    deadline_units: int | None = None
    deadline_seconds: float | None = None
    minimum_seconds: float = 0.0

    @property
    def full(self) -> bool:
        """Whether nobody is on stable any more."""
        return self.share == 1.0

    def is_over(self, requests: int, units: int, seconds: float) -> bool:
        """Whether a stage is given up after so many candidate requests and units, and so many seconds."""
        limits = ((self.deadline, requests), (self.deadline_units, units), (self.deadline_seconds, seconds))
        return any(limit is not None and reached >= limit for limit, reached in limits)


STAGES = (Stage(1, 0.01, 6000), Stage(2, 0.05, 6000), Stage(3, 0.5, 6000), Stage(4, 1.0, 60_000))
MIRRORED = 0.05
"""Share of the candidate's requests that are copied to stable in the last stage."""


class Gating(StrEnum):
    """Which gates a release has."""

    USUAL = "usual"
    """Errors, latency, cost and quality are required, and satisfaction is a guard."""
    RATED = "rated"
    """Errors and satisfaction are required."""
    PREDICTED = "predicted"
    """The same, satisfaction predicted by quality."""
    JUDGED = "judged"
    """Errors, latency, cost, quality, hallucination and refusals are required."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of candidate under one kind of traffic.

    Without a `crowd`, units are scattered: `unit_size` requests each within twelve minutes. `runs_factor` multiplies
    our own runs in the first tables. A judge that looks continuously does so when the candidate has had
    `look_candidates` requests on average, but not within two seconds; with `look_seconds`, as often as that from the
    beginning of the harm on, which in a fine scenario is the release's.
    """

    name: str
    kind: Kind
    effect: Effect = field(default_factory=Effect)
    drift: bool = False
    unit_size: int = 1
    requests_per_hour: float = 10_000.0
    candidate_limit: int | None = None
    runs_factor: float = 1.0
    about: str = ""
    crowd: Crowd | None = None
    watching: Watching = field(default_factory=Watching)
    levels: Levels = field(default_factory=Levels)
    day: Day = field(default_factory=Day)
    disturbance: Disturbance | None = None
    stages: tuple[Stage, ...] = STAGES
    look_candidates: int = 16
    look_seconds: float | None = None
    gating: Gating = Gating.USUAL

    @property
    def rate(self) -> float:
        """Requests a second, of both arms, while nothing disturbs them."""
        return self.requests_per_hour / 3600


_STAGE_HOURS = {0.01: 5.0, 0.05: 2.0, 0.1: 1.0, 0.5: 0.5, 1.0: 0.0}
_USUAL_RATE = 10_000.0
MEASUREMENTS = 10
"""Measurements in each stage, for judges that take their measure at intervals."""


def stage_hours(scenario: Scenario, stage: Stage) -> float:
    """How long a stage lasts for judges that wait for time instead of evidence.

    At the usual 10,000 requests an hour, 1, 5 and 50 % are 500, 1,000 and 2,500 candidate requests: 4,000 in all, like
    the target for ours. Where traffic is denser, they wait for as many. None of them has anything to compare with at
    100 %, which is therefore the end of their release.
    """
    return _STAGE_HOURS[stage.share] * min(1.0, _USUAL_RATE / scenario.requests_per_hour)


def interval_seconds(scenario: Scenario, stage: Stage) -> float:
    """Time between two measurements of a judge that measures at intervals; 0 where it measures nothing."""
    count = round(stage_hours(scenario, stage) / MEASUREMENTS * scenario.requests_per_hour)
    return max(1, count) / scenario.rate


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
