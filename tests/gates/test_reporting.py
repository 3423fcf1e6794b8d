"""Metrics that apps report: harm is found, no harm isn't, and unequal reporting rolls back nothing that is fine."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Interval, Outcome
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Floats, Window
from softlaunch.gates.reporting import Reporting
from softlaunch.policy.release import plan
from tests.support.builders import make_policy

NAME = "ticket_resolved"
POLICY = make_policy(
    metrics=[
        {"name": NAME, "kind": "share", "better": "up", "unit": "user", "window": "3 d"},
        {"name": "handling", "kind": "duration", "better": "down"},
    ],
    gates=[
        {"metric": "errors", "margin": "5 points"},
        {"metric": NAME, "margin": "5 points"},
        {"metric": "handling", "margin": "20 %"},
    ],
)
HALF = plan(POLICY)[3]
LOOK = 10.0
PER_LOOK = 80
FOUR_IN_FIVE, HALF_OF_THEM = ByArm(0.8, 0.8), ByArm(0.5, 0.5)


@dataclass(frozen=True)
class World:
    """What comes of each arm's answers, and how often that is reported: if it was good, and if it wasn't."""

    resolved: ByArm[float] = FOUR_IN_FIVE
    of_good: ByArm[float] = HALF_OF_THEM
    of_bad: ByArm[float] = HALF_OF_THEM
    slower: float = 1.0


def pick(of: ByArm[float], candidate: np.ndarray) -> Floats:
    """Each request's own, by its arm."""
    return np.where(candidate, of.candidate, of.stable)


def window(world: World, rng: np.random.Generator, number: int, *, past: bool = False) -> Window:
    """What a few seconds bring: new users on both arms, some of whom are reported at once."""
    at = np.sort(rng.uniform(number * LOOK, (number + 1) * LOOK, PER_LOOK))
    units = np.arange(PER_LOOK) + (number + 1_000) * PER_LOOK
    candidate = np.zeros(PER_LOOK, np.bool_) if past else rng.random(PER_LOOK) < 0.5
    good = rng.random(PER_LOOK) < pick(world.resolved, candidate)
    heard = rng.random(PER_LOOK) < np.where(good, pick(world.of_good, candidate), pick(world.of_bad, candidate))
    handling = 300 * np.exp(rng.normal(0, 0.4, PER_LOOK)) * np.where(candidate, world.slower, 1.0)
    requests = Events(at, units, candidate, {Metric.ERRORS: np.zeros(PER_LOOK), Metric.UNUSABLE: np.zeros(PER_LOOK)})
    # as telemetry keys what came by name, without a policy at hand
    said = {Metric.reported(NAME): good.astype(np.float64), Metric.reported("handling"): handling}
    ratings = {metric: Events(at, units, candidate, {metric: values}).only(heard) for metric, values in said.items()}
    split = ByArm(int(candidate.sum()), int((~candidate).sum()))
    return Window(0.5, split=split, requests=requests, ratings=ratings, until=(number + 1) * LOOK)


def begun(world: World, rng: np.random.Generator) -> GateSet:
    """The gates of a stage at 50 %, which know what stable was like."""
    past = window(world, rng, -1, past=True)
    for number in range(-2, -20, -1):
        past = window(world, rng, number, past=True).merge(past)
    return GateSet.begin(POLICY, HALF, past)


def watched(world: World, seed: int, looks: int = 60) -> Counter[tuple[str, Outcome]]:
    """How often each gate passed and failed, look by look."""
    rng = np.random.default_rng(seed)
    gates, found = begun(world, rng), Counter[tuple[str, Outcome]]()
    for number in range(looks):
        gates.update(window(world, rng, number))
        found.update((verdict.gate, verdict.outcome) for verdict in gates.verdicts())
    return found


SEEDS = range(10)
HARMFUL = World(resolved=ByArm(0.6, 0.8))
SLOW = World(slower=1.6)
SELECTED = World(of_good=ByArm(0.3, 0.5))
"""A fine candidate whose good ends are reported less often: of what is heard, 71 % are good in place of 80 %."""


@pytest.mark.long
def test_harm_is_found() -> None:
    """Twenty points are rolled back in every run of 4,800 users of whom half are reported, and slowness too."""
    assert all(watched(HARMFUL, seed)[NAME, Outcome.FAIL] for seed in SEEDS)
    assert all(watched(SLOW, seed)["handling", Outcome.FAIL] for seed in range(4))


@pytest.mark.long
def test_a_fine_candidate_passes_and_is_not_rolled_back() -> None:
    """No gate fails at any look of any run; what is reported passes in most of them."""
    runs = [watched(World(), seed) for seed in SEEDS]
    assert not any(count for run in runs for (_, outcome), count in run.items() if outcome is Outcome.FAIL)
    assert sum(run[NAME, Outcome.PASS] > 0 for run in runs) >= 6


@pytest.mark.long
def test_unequal_reporting_does_not_roll_back_a_fine_candidate() -> None:
    """What is heard looks nine points worse, which the missing explain; nor does what can't be judged pass."""
    runs = [watched(SELECTED, seed) for seed in SEEDS]
    assert not any(run[NAME, Outcome.FAIL] for run in runs)
    assert not any(run[NAME, Outcome.PASS] for run in runs)


@pytest.mark.long
def test_harm_beyond_what_is_missing_is_found_all_the_same() -> None:
    """Forty points can't be explained by a tenth fewer reports."""
    world = World(resolved=ByArm(0.4, 0.8), of_good=ByArm(0.45, 0.5), of_bad=ByArm(0.45, 0.5))
    assert all(watched(world, seed)[NAME, Outcome.FAIL] for seed in range(4))


def test_a_verdict_tells_how_many_were_reported() -> None:
    """And why a gate holds, where they are unequal."""
    rng = np.random.default_rng(1)
    gates = begun(SELECTED, rng)
    for number in range(60):
        gates.update(window(SELECTED, rng, number))
    told = {verdict.gate: verdict for verdict in gates.verdicts()}
    assert "reported for" in told[NAME].reason
    assert "of the candidate's users" in told[NAME].reason
    assert told["errors"].reason.endswith("5 points")
    assert "can't be judged fairly" in told[NAME].reason


def test_gates_are_stored_and_go_on() -> None:
    """What was declared comes back with its kind and direction."""
    rng = np.random.default_rng(2)
    gates = begun(HARMFUL, rng)
    for number in range(30):
        gates.update(window(HARMFUL, rng, number))
    again = GateSet.load(POLICY, HALF, gates.dump())
    assert again.verdicts() == gates.verdicts()
    assert again.dump() == gates.dump()


@pytest.mark.parametrize(
    ("heard", "harm"),
    [
        pytest.param(ByArm(500.0, 500.0), Interval(0.1, 0.1), id="equal rates leave the harm as it is"),
        pytest.param(ByArm(400.0, 500.0), Interval(0.05, 0.3), id="a fifth of stable's may be its best or its worst"),
        pytest.param(ByArm(0.0, 500.0), Interval(-1.0, 1.0), id="nothing is known where nothing was heard"),
    ],
)
def test_bounds_of_harm(heard: ByArm[float], harm: Interval) -> None:
    """Trimmed as Lee has it, of arms with 30 % and 20 % harm."""
    found = Reporting(heard, ByArm(1000, 1000)).harm(0.3, 0.2, errors=0.0)
    assert (found.lower, found.upper) == pytest.approx((harm.lower, harm.upper))
