"""What remains of a gate's promises where requests are only counted: by simulation, in both directions."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role
from softlaunch.gates.gate import Gate
from softlaunch.gates.observations import Units
from softlaunch.gates.rules import GateRule
from softlaunch.telemetry.sources.counts import Buckets, Dispersion, Piece, Pieces
from softlaunch.telemetry.sources.resolution import too_coarse

ALPHA, RATE, MARGIN = 0.05, 0.02, 0.01
RULE = GateRule(Metric.ERRORS, Role.REQUIRED, MARGIN, MARGIN, ALPHA, 0.95, counted=True)
Rng = np.random.Generator


@dataclass(frozen=True)
class Traffic:
    """300 requests a piece in bursts of up to twice `burst` requests, which resemble each other.

    `alike` is the correlation within a burst. The error rate wanders from piece to piece, for both arms.
    """

    share: float
    burst: int
    alike: float
    harm: float = 0.0

    def pieces(self, count: int, rng: Rng) -> Iterator[Piece]:
        """Pieces of time."""
        rates = np.clip(RATE * np.exp(0.06 * rng.normal(size=count).cumsum()), 0, 0.2)
        for place, rate in enumerate(rates):
            sizes = rng.integers(1, 2 * self.burst, rng.poisson(300 / self.burst))
            of_candidate = rng.random(len(sizes)) < self.share
            mean, spread = np.where(of_candidate, rate + self.harm, rate), 1 / self.alike - 1
            failed = rng.binomial(sizes, rng.beta(mean * spread, (1 - mean) * spread))
            arms = (of_candidate, ~of_candidate)
            candidate, stable = (np.array([(sizes - failed)[arm].sum(), failed[arm].sum()]) for arm in arms)
            yield Piece(float(place), ByArm(candidate, stable))


def judged(traffic: Traffic, seed: int, count: int = 160) -> Outcome:
    """What a gate with half an hour of stable's past says at the end of so many pieces, or as soon as it fails."""
    rng = np.random.default_rng(seed)
    pieces, gate = Pieces(Metric.ERRORS, Buckets.of_shares(), 5), Gate.begin(RULE)
    gate.learn(pieces.learn(list(Traffic(0.0, traffic.burst, traffic.alike).pieces(60, rng))))
    for piece in traffic.pieces(count, rng):
        window = pieces.take(piece)
        if window is not None:
            gate.update(window)
            if gate.judge().outcome is Outcome.FAIL:
                break
    return gate.judge().outcome


def share(traffic: Traffic, outcome: Outcome, runs: int = 40, count: int = 160) -> float:
    """How often a gate comes to an outcome, within so many pieces."""
    return float(np.mean([judged(traffic, seed, count) is outcome for seed in range(runs)]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", [pytest.param(0.05, id="at 5 %", marks=pytest.mark.soak), pytest.param(0.5, id="at 50 %")]
)
@pytest.mark.parametrize(
    ("burst", "alike"), [pytest.param(5, 0.3, id="users with some requests"), pytest.param(40, 0.4, id="long bursts")]
)
@pytest.mark.long
def test_false_alarms_stay_within_alpha(part: float, burst: int, alike: float) -> None:
    """However much requests resemble each other, a candidate that changes nothing fails in at most 5 % of runs."""
    assert share(Traffic(part, burst, alike), Outcome.FAIL) <= ALPHA


@pytest.mark.slow
@pytest.mark.long
def test_without_the_measured_dispersion_bursts_raise_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The traffic is hard enough to tell: taken one by one, its requests raise far too many alarms."""
    monkeypatch.setattr(Dispersion, "factor", 1.0)
    assert share(Traffic(0.5, 40, 0.4), Outcome.FAIL) > 3 * ALPHA


@pytest.mark.slow
@pytest.mark.long
def test_harm_is_found_and_its_absence_shown() -> None:
    """Errors of 10 % in place of 2 % fail nearly always at 5 %, and a fine candidate nearly always passes at 50 %."""
    assert share(Traffic(0.05, 5, 0.3, harm=0.08), Outcome.FAIL) >= 0.9
    assert share(Traffic(0.5, 5, 0.3), Outcome.PASS) >= 0.8


@pytest.mark.slow
def test_plain_harm_is_found_within_a_few_pieces() -> None:
    """What the arms differ by all the time is harm, and doesn't count as dispersion, which would put it off."""
    sooner = share(Traffic(0.05, 5, 0.1, harm=0.3), Outcome.FAIL, runs=20, count=12)
    assert sooner >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("burst", [5, 40])
@pytest.mark.long
def test_harm_at_the_margin_does_not_pass(burst: int) -> None:
    """A candidate that is exactly as bad as the margin passes in at most 5 % of runs."""
    assert share(Traffic(0.5, burst, 0.3, harm=MARGIN), Outcome.PASS) <= 0.05


def latencies(rng: Rng, bounds: Units, median: float, count: int) -> Units:
    """A histogram of log-normal values."""
    return np.histogram(median * rng.lognormal(0, 0.7, count), [0, *bounds, np.inf])[0]


def judged_latency(factor: float, seed: int, margin: float = 0.1) -> Outcome:
    """What a gate says of a candidate that takes so much longer, by the buckets of a usual client library."""
    rng = np.random.default_rng(seed)
    bounds = np.array([100, 250, 500, 1000, 2500, 5000, 10_000])
    rule = GateRule(Metric.LATENCY, Role.REQUIRED, margin, margin, ALPHA, 0.95, counted=True)
    pieces = Pieces(Metric.LATENCY, Buckets.of_bounds([*bounds, np.inf]), 1)
    gate = Gate.begin(rule)
    nothing = np.zeros(8, np.int64)
    past = [Piece(float(place), ByArm(nothing, latencies(rng, bounds, 800, 300))) for place in range(40)]
    gate.learn(pieces.learn(past))
    for place in range(80):
        counts = ByArm(latencies(rng, bounds, 800 * factor, 150), latencies(rng, bounds, 800, 150))
        window = pieces.take(Piece(100.0 + place, counts))
        if window is not None:
            gate.update(window)
    assert too_coarse(Metric.LATENCY, pieces) == ""
    return gate.judge().outcome


@pytest.mark.long
@pytest.mark.parametrize(
    ("factor", "expected"),
    [pytest.param(1.0, Outcome.PASS, id="the same"), pytest.param(1.3, Outcome.FAIL, id="slower")],
)
def test_coarse_buckets_tell_a_change_of_latency(factor: float, expected: Outcome) -> None:
    """Values are spread within their bucket, so that a margin smaller than a bucket can be judged."""
    assert np.mean([judged_latency(factor, seed) is expected for seed in range(20)]) >= 0.9


@pytest.mark.long
def test_coarse_buckets_do_not_pass_what_is_as_slow_as_the_margin() -> None:
    """The spread doesn't hide a change of latency that the margin forbids."""
    assert Outcome.PASS not in [judged_latency(1.1, seed) for seed in range(20)]


def _pieces(stable: list[int], candidate: list[int]) -> Pieces:
    pieces = Pieces(Metric.LATENCY, Buckets.of_bounds([1000, 2500, np.inf]), 1)
    pieces.take(Piece(0.0, ByArm(np.array(candidate), np.array(stable))))
    return pieces


@pytest.mark.parametrize(
    ("stable", "candidate", "complaint"),
    [
        pytest.param(
            [90, 110, 0], [90, 110, 0], "55 % of stable's values are in one bucket, from 1000 to 2500", id="coarse"
        ),
        pytest.param(
            [100, 95, 5], [90, 80, 30], "15 % of an arm's values are beyond the last bound of 2500", id="long"
        ),
        pytest.param([30, 20, 0], [30, 20, 0], "", id="too few to say"),
    ],
)
def test_buckets_that_hide_changes_are_told(stable: list[int], candidate: list[int], complaint: str) -> None:
    """A gate whose buckets can't show its margin says where bounds are lacking."""
    assert too_coarse(Metric.LATENCY, _pieces(stable, candidate)).startswith(complaint)
    assert bool(too_coarse(Metric.LATENCY, _pieces(stable, candidate))) == bool(complaint)


def test_the_state_goes_on_where_it_was_dumped() -> None:
    """Pieces that were stored take the next one as those that never were."""
    rng = np.random.default_rng(1)
    pieces = Pieces(Metric.ERRORS, Buckets.of_shares(), 5)
    some = list(Traffic(0.05, 5, 0.3).pieces(30, rng))
    for piece in some[:-1]:
        pieces.take(piece)
    again = Pieces.load(Metric.ERRORS, 5, pieces.dump())
    pieces.take(some[-1])
    again.take(some[-1])
    assert pieces.dump() == again.dump()


def test_time_without_a_candidate_tells_nothing() -> None:
    """What stable alone answered, because nobody watched, isn't compared with what came later."""
    pieces = Pieces(Metric.ERRORS, Buckets.of_shares(), 5)
    pieces.take(Piece(0.0, ByArm(np.array([50, 0]), np.array([50, 0]))))
    pieces.take(Piece(1.0, ByArm(np.array([0, 0]), np.array([0, 100]))))
    assert pieces.waiting is None
