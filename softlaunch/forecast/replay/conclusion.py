"""How a replay ends: the conclusion, the look that decided, and what it rests on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.forecast.replay.measured import Rates
from softlaunch.forecast.replay.missing import WorstCase
from softlaunch.policy.release import Stage


class Conclusion(StrEnum):
    """How a replay ends."""

    PASS = "pass"  # noqa: S105  (a conclusion, not a password)
    ROLLBACK = "rollback"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Judged:
    """A gate's verdict and its evidence: the natural logarithm of the e-value against "no harm".

    `measured` says of how many requests the metric is known; None where one arm had none. `missing` bounds what the
    others could do; None where all are known, or a sample is.
    """

    verdict: Verdict
    evidence: float
    measured: Rates | None = None
    missing: WorstCase | None = None

    @property
    def is_open(self) -> bool:
        """Whether what is missing could hide more than the margin."""
        return self.missing is not None and self.missing.exceeds(self.verdict.margin)

    @property
    def reason(self) -> str:
        """The verdict's, and what is missing where that alone could change it."""
        said = self.verdict.reason
        return said if self.missing is None or self.missing.said in said else f"{said}; {self.missing.said}"


@dataclass(frozen=True, slots=True)
class Moment:
    """A look at a stage: the last row it rests on, and seconds since the file's first.

    `exposed` counts the candidate's requests that users saw by then, in all stages so far.
    """

    row: int
    elapsed: float
    exposed: int
    gates: tuple[Judged, ...]


@dataclass(frozen=True, slots=True)
class StageReplay:
    """How a stage went: `passed` is the first look at which all required gates passed, `latest` the last look.

    `is_compared` is false where stable had no request in it.
    """

    stage: Stage
    latest: Moment
    passed: Moment | None = None
    is_compared: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """The conclusion and what it rests on.

    `at` is the look that decided, None where none did; `gates` are those of that look, or of the stage that is
    missing evidence. `exposed` counts the candidate's requests until then, or in all of the file. `metric` is the
    gate that decided or is missing. `left_out` rows belonged to no stage in force. `unjudged` are gates that the policy
    doesn't name and the rows know nothing of. `strays` are users who in one stage were seen on both arms, and the
    requests that they made on the second one, which were left out too.
    """

    conclusion: Conclusion
    reason: str
    metric: str | None
    at: Moment | None
    exposed: int
    gates: tuple[Judged, ...]
    stages: tuple[StageReplay, ...]
    left_out: int = 0
    unjudged: tuple[Metric, ...] = ()
    strays: tuple[int, int] = (0, 0)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the rows before the gates are believed, in sentences without their ends."""
        users, requests = self.strays
        rates = (one.measured for one in self.gates if one.measured is not None and one.measured.differ)
        found = [f"{one.said}, which chance doesn't explain" for one in rates]
        found += [one.missing.said for one in self.gates if one.missing is not None]
        if users:
            found.append(
                f"{users:,} users were on both arms; their {requests:,} requests on the second one were left out"
            )
        return tuple(found)


def worst(moment: Moment, outcome: Outcome) -> Judged | None:
    """The gate with the most evidence of harm among those that count and say this."""
    found = (one for one in _counted(moment) if one.verdict.outcome is outcome)
    return max(found, key=lambda one: one.evidence, default=None)


def _counted(moment: Moment) -> Iterator[Judged]:
    """The gates that aren't muted."""
    return (one for one in moment.gates if one.verdict.role is not Role.MUTED)


def rolled_back(stages: Sequence[StageReplay], failing: Judged) -> Replayed:
    """The conclusion when a gate failed at the last look."""
    last = stages[-1]
    reason = f"{failing.verdict.name}: {failing.verdict.reason} ({last.stage.name})"
    return Replayed(
        conclusion=Conclusion.ROLLBACK,
        reason=reason,
        metric=failing.verdict.gate,
        at=last.latest,
        exposed=last.latest.exposed,
        gates=last.latest.gates,
        stages=tuple(stages),
    )


def at_end(replayed: Sequence[StageReplay], exposed: int) -> Replayed:
    """The conclusion when no row is left and nothing was rolled back: an error, what is missing, or a pass.

    `exposed` counts the candidate's requests that users saw in all of the file.
    """
    if not replayed:
        reason = "no data: no row belongs to a stage in which a candidate was in force"
        return Replayed(Conclusion.INCONCLUSIVE, reason, None, None, 0, (), ())
    undecided = Replayed(Conclusion.INCONCLUSIVE, "", None, None, exposed, (), tuple(replayed))
    stages, unjudged = _comparable(replayed)
    for stage in stages:
        broken = next((one for one in _counted(stage.latest) if one.verdict.outcome is Outcome.ERROR), None)
        if broken is not None:
            return _lacking(replace(undecided, conclusion=Conclusion.ERROR), stage, broken)
    for stage in stages:
        if stage.passed is None:
            return _lacking(undecided, stage, _missing(stage.latest))
        unknown = next((one for one in _required(stage.latest) if one.is_open), None)
        if unknown is not None:
            return _lacking(undecided, stage, unknown)
    passed = [(stage, stage.passed) for stage in stages if stage.passed is not None]
    reason = "; ".join([*(f"{stage.stage.name} passed at row {moment.row:,}" for stage, moment in passed), *unjudged])
    at = passed[-1][1]
    return Replayed(Conclusion.PASS, reason, None, at, at.exposed, at.gates, tuple(replayed))


def _comparable(stages: Sequence[StageReplay]) -> tuple[Sequence[StageReplay], Sequence[str]]:
    """The stages that can be judged, and what is said of one that can't."""
    *before, last = stages
    if not before or last.is_compared or last.stage.weight_percent < 100:
        return stages, ()
    return before, (f"{last.stage.name} has no request of stable to compare with and wasn't judged",)


def _missing(moment: Moment) -> Judged | None:
    """The first required gate that doesn't pass; None where no required gate is judged at all."""
    return next((one for one in _required(moment) if one.verdict.outcome is not Outcome.PASS), None)


def _required(moment: Moment) -> Iterator[Judged]:
    """The gates that a stage waits for."""
    return (one for one in moment.gates if one.verdict.role is Role.REQUIRED)


def _lacking(undecided: Replayed, stage: StageReplay, gate: Judged | None) -> Replayed:
    """The same, with the stage and the gate whose evidence is missing or can't be trusted."""
    said = "no required gate is judged" if gate is None else f"{gate.verdict.name}: {gate.reason}"
    return replace(
        undecided,
        reason=f"{said} ({stage.stage.name})",
        metric=None if gate is None else gate.verdict.gate,
        gates=stage.latest.gates,
    )
