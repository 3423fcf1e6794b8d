"""What a plan says of a release, its stages and its gates."""

from dataclasses import dataclass, field
from math import inf

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Per, Role
from softlaunch.forecast.user_habits import Habits


@dataclass(frozen=True, slots=True)
class Harm:
    """A harm and what a gate makes of it, if it first shows in this stage.

    `caught` is the probability that the gate fails while the stage lasts: until the stage would pass, or at the latest
    its deadline. The medians are of the runs in which it does; None where there are none. `requests` and `users` are
    those that the candidate has answered by then. `passed` is the probability that the gate lets it through in time.
    """

    label: str
    harm: float
    caught: float
    seconds: float | None
    requests: float | None
    users: float | None
    passed: float = 0.0


@dataclass(frozen=True, slots=True)
class LetThrough:
    """What a gate makes of harm that shows from the first stage on, over a whole release in which nothing else holds.

    `promoted` is the largest harm that is promoted in at least one of five releases, and `caught` the smallest that is
    rolled back in at least four; None where there is none. Both are exact to within a factor of 1.2. `margin` is the
    harm that the policy accepts, `per` what it is counted.
    """

    metric: Metric
    role: Role
    margin: float
    promoted: float | None
    caught: float | None
    per: Per = Per.REQUEST

    @property
    def name(self) -> str:
        """The gate as people read it: `errors`, `errors per session`."""
        return f"{self.metric.value}{self.per.words}"


@dataclass(frozen=True, slots=True)
class GatePlan:
    """One gate in one stage. Times are until it passes a candidate that is like stable, infinite for never.

    `catches_80` and `catches_95` are the smallest harms caught with so much probability; None where even the largest
    isn't. `is_known` is false where too little is known of stable, and then nothing else means anything. `per` is what
    the gate counts in this stage.
    """

    metric: Metric
    role: Role
    margin: float
    is_known: bool
    seconds_median: float = inf
    seconds_80: float = inf
    requests_median: float = inf
    catches_80: Harm | None = None
    catches_95: Harm | None = None
    harms: tuple[Harm, ...] = ()
    per: Per = Per.REQUEST

    @property
    def name(self) -> str:
        """The gate as people read it: `errors`, `errors per session`."""
        return f"{self.metric.value}{self.per.words}"


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage with a candidate that is like stable; `undecided` is the probability that its deadline comes first.

    `people` are all users that the candidate can meet there, None where others keep coming, and `people_needed` those
    that it takes to show the largest harm in four of five cases; None on copies and where nothing is known.
    """

    name: str
    weight_percent: float
    deadline: float
    floor: float
    seconds_median: float
    seconds_80: float
    undecided: float
    bottleneck: str
    gates: tuple[GatePlan, ...]
    advice: str = ""
    people: float | None = None
    people_needed: float | None = None


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """A whole release; times begin after the regression eval, and are infinite where stages stay undecided."""

    app: str
    requests_per_hour: float
    note: str
    seconds_median: float
    seconds_80: float
    stages: tuple[StagePlan, ...]
    users: Habits = field(default_factory=Habits)
    let_through: tuple[LetThrough, ...] = ()
    unforeseen: tuple[str, ...] = ()
    """Stages that are limited to some units, of whose traffic nothing is known; no time is in the sums for them."""
