"""Verdicts: what a gate or an eval says, why, and on how much evidence."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a verdict allows: only `pass` lets a release move on.

    `review` is an eval's: metrics contradict each other, a segment is lost, or something looks wrong; a person decides.
    """

    PASS = "pass"  # noqa: S105  (a verdict, not a password)
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    REVIEW = "review"
    ERROR = "error"


class Role(StrEnum):
    """What a gate may do: be waited for, roll back only, or be shown only."""

    REQUIRED = "required"
    GUARD = "guard"
    MUTED = "muted"


class Per(StrEnum):
    """What a gate counts: each request, each session of a unit, or each unit once in a period."""

    REQUEST = "request"
    SESSION = "session"
    USER = "user"

    @property
    def words(self) -> str:
        """What goes behind a metric or a margin: ` per session`; nothing for requests, which are what is usual."""
        return "" if self is Per.REQUEST else f" per {self.value}"

    @property
    def counted(self) -> str:
        """What so many are of."""
        return {Per.REQUEST: "requests", Per.SESSION: "sessions", Per.USER: "user periods"}[self]


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval of harm: positive means that the candidate is worse. An open end is an infinity."""

    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value in the metric's unit, and the two-sided 95 % interval around it at this look alone."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """How much the candidate's ratings differ from stable's, as they are (`plain`) and with judges' scores (`powered`).

    `by` is the metric that judges give. Of so many `ratings`, the first of each user, `scored` are of answers with a
    score. Both are candidate less stable in the metric's own unit and direction.
    """

    by: str
    ratings: int
    scored: int
    plain: Estimate
    powered: Estimate

    @property
    def narrower(self) -> float:
        """By which share the interval is narrower with scores; negative where it is wider."""
        plain = self.plain.upper - self.plain.lower
        return 1 - (self.powered.upper - self.powered.lower) / plain if plain > 0 else 0.0


LATELY_MINUTES = 5
"""The last minutes whose figures are shown beside those of a whole stage."""


@dataclass(frozen=True, slots=True)
class Met:
    """What the users of one arm met: plain figures of all requests of a stage, whoever made them.

    Where a verdict is per session or user, `requests` and `lately_requests` count these. `requests` are those in which
    the metric was measured, `users` those of the arm, or who rated. `value` is the mean
    of a share and the median of a magnitude, `slow` a magnitude's 95th percentile, in the metric's own unit. `lately`
    is the value over the last five minutes, of `lately_requests` requests. None where nothing was measured.
    """

    requests: int = 0
    users: int = 0
    value: float | None = None
    slow: float | None = None
    lately: float | None = None
    lately_requests: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one gate: outcome, reason in words, and the figures behind it.

    `harm` is candidate minus stable, turned so that positive is worse, in the metric's unit (a share for rates and
    scores, a relative change for latency and cost); `margin` is the acceptable harm in the same unit. Absent
    evidence is None, never zero. `per` says what the metric counts, and so what `margin` is per. Counts
    and values are those of the evidence, in which each user counts once; `candidate_met` and `stable_met` are what
    users met, request by request, or as it is counted. `prediction` is there where judges' scores help.
    """

    gate: str
    outcome: Outcome
    reason: str
    role: Role = Role.REQUIRED
    harm: float | None = None
    interval: Interval | None = None
    margin: float | None = None
    candidate_count: int = 0
    stable_count: int = 0
    candidate_value: float | None = None
    stable_value: float | None = None
    candidate_met: Met | None = None
    stable_met: Met | None = None
    per: Per = Per.REQUEST
    prediction: Prediction | None = None

    @property
    def name(self) -> str:
        """The gate as people read it: `errors`, `errors per session`."""
        return f"{self.gate}{self.per.words}"
