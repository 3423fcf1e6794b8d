"""Releases as a report meets them, made without a ledger."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from math import inf

from softlaunch.core.variant import Sampling, Variant
from softlaunch.core.verdict import Interval, Met, Outcome, Role, Verdict
from softlaunch.ledger.exposure import Exposure
from softlaunch.ledger.stages import StageRecord, StageState
from softlaunch.policy.release import Release, Stage, StageKind, State
from softlaunch.releases.views import ReleaseView, StageView, Step
from tests.support.builders import NOON, make_release, make_variant

STABLE_TEXT = "You answer customers of a shop.\n\nBe brief. If you don't know, say so."
CANDIDATE_TEXT = (
    "You answer customers of a shop.\n\nBe brief and friendly. If you don't know, say so and name {{ team }}."
)
EVERYBODY = Exposure(2934, 2934, 7480, 9021)
SOME = Exposure(151, 2934, 1412, 9021)
TOO_SLOW = "latency: worse by 391 %, more than the acceptable 10 %"
DRIVER = "release flow on build-7, process 4711 (driver)"


def support_variant(text: str, version: str = "1.0.0", sampling: Sampling | None = None) -> Variant:
    """A variant whose endpoint holds credentials, with priced tokens."""
    endpoint = "http://user:hunter2@127.0.0.1:9000/v1"
    variant = make_variant(version, text, endpoint=endpoint, input_usd_per_million=0.5, output_usd_per_million=1.5)
    return variant.model_copy(update={"sampling": sampling or Sampling(temperature=0.2)})


STABLE = support_variant(STABLE_TEXT)
CANDIDATE = support_variant(CANDIDATE_TEXT, "1.1.0", Sampling(temperature=0.2, top_p=0.9))


def judged(
    gate: str, harm: float, interval: Interval, margin: float, values: tuple[float, float], outcome: Outcome, why: str
) -> Verdict:
    """A verdict with figures; `values` are the candidate's and stable's."""
    return Verdict(gate, outcome, why, Role.REQUIRED, harm, interval, margin, 812, 790, *values)


ACCURATE = judged(
    "accuracy", -0.011, Interval(-0.031, 0.012), 0.02, (0.923, 0.912), Outcome.PASS, "at most 1.2 points worse"
)
SLOW = judged(
    "latency",
    3.91,
    Interval(2.4, inf),
    0.1,
    (4912, 1000),
    Outcome.FAIL,
    "worse by 391 %, more than the acceptable 10 %",
)
PASSED = (
    judged("errors", -0.001, Interval(-0.02, 0.0075), 0.01, (0.001, 0.002), Outcome.PASS, "harm is below the margin"),
    judged("latency", 0.019, Interval(-0.1, 0.1), 0.1, (1019, 1000), Outcome.PASS, "harm is below the margin of 10 %"),
    judged("cost", -0.22, Interval(-0.4, -0.1), 0.1, (0.00031, 0.0004), Outcome.PASS, "harm is below the margin"),
    replace(
        judged("satisfaction", 0.013, Interval(-inf, inf), 0.04, (0.83, 0.843), Outcome.INCONCLUSIVE, "not yet sure"),
        role=Role.GUARD,
    ),
)


MET = (
    replace(
        PASSED[0],
        outcome=Outcome.INCONCLUSIVE,
        reason="looks worse by 22.4 points on average lately, not yet sure",
        candidate_met=Met(1412, 151, 0.0163, None, 0.227, 300),
        stable_met=Met(12790, 2783, 0.002, None, 0.003, 2900),
    ),
    replace(
        SLOW,
        candidate_met=Met(1389, 151, 4912.0, 9800.0, 5020.0, 232),
        stable_met=Met(12764, 2783, 1000.0, 2013.0, 998.0, 2891),
    ),
    replace(
        PASSED[2],
        candidate_met=Met(1389, 151, 0.000312, 0.00112, 0.000315, 232),
        stable_met=Met(12764, 2783, 0.000398, 0.00123, 0.000401, 2891),
    ),
    replace(PASSED[3], candidate_met=Met(31, 20, 0.83), stable_met=Met(280, 212, 0.843, None, 0.84, 61)),
    replace(PASSED[0], gate="hallucination", harm=None, candidate_value=None, stable_value=None),
)
"""Verdicts with what users met: errors that began lately, few ratings, and a metric that nobody scored."""


def make_view(
    state: State = State.PROMOTED,
    position: int = 4,
    *,
    outcome: Outcome = Outcome.PASS,
    reason: str = "every stage passed",
    verdicts: Sequence[Verdict] | None = None,
    exposure: Exposure = EVERYBODY,
    candidate: Variant = CANDIDATE,
) -> ReleaseView:
    """A release in some state, with these verdicts in its last stage; the stages before it took two minutes each."""
    end = {} if state.live else {"outcome": outcome, "reason": reason, "ended_at": NOON + _minutes(2 * position + 2)}
    release = make_release(state, position, stable=STABLE, candidate=candidate, **end)
    stages = tuple(_stage_view(release, stage, verdicts) for stage in release.stages)
    return ReleaseView(release, stages, (), exposure, _history(release, stages))


def rolled_back(verdicts: Sequence[Verdict] = (SLOW,), reason: str = TOO_SLOW) -> ReleaseView:
    """A release that was stopped for its latency at 50 %."""
    return make_view(State.ROLLED_BACK, 3, outcome=Outcome.FAIL, reason=reason, verdicts=verdicts, exposure=SOME)


def _stage_view(release: Release, stage: Stage, last: Sequence[Verdict] | None) -> StageView:
    if stage.position > release.position:
        return StageView(stage, StageRecord(stage.position, StageState.WAITING, None, None, None, "", {}), ())
    entered, ended = NOON + _minutes(2 * stage.position), NOON + _minutes(2 * stage.position + 2)
    is_eval = stage.kind is StageKind.EVAL
    evidence = {"done": 720, "planned": 720, "cost_usd": 0.21} if is_eval else {"requests": [812, 790]}
    record = StageRecord(stage.position, StageState.PASSED, entered, None, ended, f"{stage.name} passed", evidence)
    verdicts = (ACCURATE,) if is_eval else PASSED
    if stage.position < release.position:
        return StageView(stage, record, verdicts)
    if release.state.live:
        record = replace(record, state=StageState.RUNNING, ended_at=None, reason="")
    elif release.state is not State.PROMOTED:
        record = replace(record, state=StageState(release.state), reason=release.reason)
    return StageView(stage, record, verdicts if last is None else tuple(last))


def _history(release: Release, stages: Sequence[StageView]) -> tuple[Step, ...]:
    entered = [
        Step(shown.record.entered_at, shown.stage.state, f"{shown.stage.name} begins", DRIVER)
        for shown in stages
        if shown.record.entered_at is not None
    ]
    ended = [] if release.ended_at is None else [Step(release.ended_at, release.state, release.reason, DRIVER)]
    return (Step(NOON, State.PENDING, "opened", "anna (command line)"), *entered, *ended)


def _minutes(number: int) -> timedelta:
    return timedelta(minutes=number)
