"""Recorded users who come back: harm that begins late or is one user's, what is missing, and what is no harm at all."""

from collections.abc import Mapping

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.replay.conclusion import Conclusion, Replayed
from softlaunch.forecast.replay.replay import replay
from softlaunch.forecast.replay.rows import Rows
from softlaunch.forecast.replay.stages import StageNames
from softlaunch.forecast.replay.windows import Looks
from softlaunch.gates.observations import Flags, Floats, Units
from tests.support.builders import make_policy

BEGINNING = 1_772_366_400.0
MARGINS = {Metric.ERRORS: "2 points", Metric.LATENCY: "30 %", Metric.QUALITY: "2 points"}


def replayed(
    at: Floats,
    units: Units,
    candidate: Flags,
    values: Mapping[Metric, Floats],
    *,
    weight: int = 50,
    looks: Looks | None = None,
) -> Replayed:
    """What gates on these metrics conclude of requests, seconds after the beginning, at a weight."""
    policy = make_policy(
        shadow=None,
        stages=[{"weight_percent": weight}, {"weight_percent": 100}],
        gates=[{"metric": metric.value, "margin": MARGINS[metric]} for metric in values],
    )
    order = np.argsort(at, kind="stable")
    rows = Rows(
        source="samples.csv",
        first=1,
        last=len(at),
        stage=StageNames(policy).by_name(f"{weight} %"),
        ts=BEGINNING + at[order],
        candidate=candidate[order],
        units=units[order],
        named=np.ones(len(at), dtype=np.bool_),
        values={metric: column[order] for metric, column in values.items()},
    )
    return replay(policy, [rows], looks or Looks(), values.keys())


def fixed_population(*, errors: float = 0.005, latency: float = 1.0) -> Replayed:
    """Three hundred users, thirty of them on the candidate, who ask ten times a second for twelve minutes.

    After a minute, before anything can have passed, the candidate fails this often and takes so many times as long.
    """
    rng = np.random.default_rng(21)
    at = np.arange(7200) / 10
    units = rng.integers(0, 300, len(at))
    candidate = (rng.permutation(300) < 30)[units]
    harmed = candidate & (at >= 60)
    failed = rng.random(len(at)) < np.where(harmed, errors, 0.005)
    took = rng.lognormal(5, 0.3, len(at)) * np.where(harmed, latency, 1.0)
    return replayed(at, units, candidate, {Metric.ERRORS: failed.astype(float), Metric.LATENCY: took}, weight=10)


@pytest.mark.parametrize(
    ("harm", "metric"),
    [
        pytest.param({"errors": 0.2}, "errors", id="a fifth of the requests fail"),
        pytest.param({"latency": 3.0}, "latency", id="three times as slow"),
    ],
)
def test_harm_to_the_same_users_all_the_time_is_rolled_back(harm: dict[str, float], metric: str) -> None:
    """Though every user had been seen before it began."""
    done = fixed_population(**harm)
    assert (done.conclusion, done.metric) == (Conclusion.ROLLBACK, metric)


def conversations(users: int, turns: int, *, seed: int) -> tuple[np.random.Generator, Floats, Units, Flags, Units]:
    """Users who begin within fifty minutes and come back every three.

    Random numbers for what else happens; when, who, whether on the candidate, and which of the user's turns.
    """
    rng = np.random.default_rng(seed)
    began = rng.uniform(0, 3000, users)
    at = began[:, None] + np.cumsum(rng.exponential(180, (users, turns)), axis=1)
    units = np.repeat(np.arange(users), turns)
    return rng, at.ravel(), units, (rng.random(users) < 0.5)[units], np.tile(np.arange(turns), users)


def test_harm_from_the_second_request_on_is_rolled_back() -> None:
    """The first request of everybody was fine."""
    rng, at, units, candidate, turn = conversations(900, 8, seed=22)
    harmed = candidate & (turn > 0)
    failed = rng.random(len(at)) < np.where(harmed, 0.3, 0.005)
    done = replayed(at, units, candidate, {Metric.ERRORS: failed.astype(float)})
    assert (done.conclusion, done.metric) == (Conclusion.ROLLBACK, "errors")


def test_later_turns_that_are_worse_in_both_arms_alike_are_no_harm() -> None:
    """Longer conversations are slower, and fail more often, whoever answers."""
    rng, at, units, candidate, turn = conversations(700, 8, seed=23)
    failed = rng.random(len(at)) < 0.02 * (1 + turn / 4)
    took = rng.lognormal(6, 0.4, len(at)) * np.where(turn > 0, 1.5, 1.0)
    done = replayed(at, units, candidate, {Metric.ERRORS: failed.astype(float), Metric.LATENCY: took})
    assert done.conclusion is not Conclusion.ROLLBACK


def test_a_harmless_candidate_passes_where_users_come_back() -> None:
    """A visit's mean tells more of a user than one request does; nobody is evidence twice."""
    rng, at, units, candidate, _ = conversations(1000, 10, seed=24)
    own = rng.normal(0, 0.034, 1000)[units]
    quality = np.clip(0.8 + own + rng.normal(0, 0.146, len(at)), 0, 1)
    failed = (rng.random(len(at)) < 0.005).astype(float)
    done = replayed(at, units, candidate, {Metric.ERRORS: failed, Metric.QUALITY: quality})
    assert done.conclusion is Conclusion.PASS
    assert all(one.verdict.candidate_count <= 520 for one in done.gates)


def test_what_one_user_meets_is_no_pass() -> None:
    """A third of the candidate's requests fail, all of them one user's; that is no evidence, and no pass either."""
    rng = np.random.default_rng(25)
    units = np.where(rng.random(4000) < 0.2, 5000, rng.integers(0, 3000, 4000))
    candidate = np.append(rng.random(3000) < 0.5, np.ones(2001, dtype=np.bool_))[units]
    failed = (units == 5000) | (rng.random(4000) < 0.005)
    done = replayed(np.arange(4000) / 3, units, candidate, {Metric.ERRORS: failed.astype(float)})
    assert (done.conclusion, done.metric) == (Conclusion.INCONCLUSIVE, "errors")
    met = done.gates[0].verdict.candidate_met
    assert met is not None
    assert met.value == pytest.approx(failed[candidate].mean())


def test_a_slow_tail_is_rolled_back_where_nothing_is_known_of_the_time_before() -> None:
    """One in twelve requests takes four times as long; the typical one doesn't."""
    rng = np.random.default_rng(31)
    count = 6000
    candidate = rng.random(count) < 0.5
    took = rng.lognormal(6, 0.3, count) * np.where(candidate & (rng.random(count) < 0.08), 4.0, 1.0)
    done = replayed(np.arange(count) / 5, np.arange(count), candidate, {Metric.LATENCY: took})
    assert (done.conclusion, done.metric) == (Conclusion.ROLLBACK, "latency")
    assert "at the 95th percentile" in done.reason
    met = done.gates[0].verdict.candidate_met, done.gates[0].verdict.stable_met
    slow = [one.slow for one in met if one is not None and one.slow is not None]
    assert slow[0] > 1.3 * slow[1]


def test_what_is_missing_because_it_was_slow_is_no_pass() -> None:
    """What is left of the candidate's latencies looks fine."""
    rng = np.random.default_rng(26)
    count = 4000
    candidate = rng.random(count) < 0.5
    took = rng.lognormal(6, 0.4, count) * np.where(candidate, 1.2, 1.0)
    took[candidate & (took > 450)] = np.nan
    done = replayed(np.arange(count) / 3, np.arange(count), candidate, {Metric.LATENCY: took})
    assert (done.conclusion, done.metric) == (Conclusion.ERROR, "latency")
    assert "of the candidate's answers and 100 % of stable's" in done.reason


def test_scores_of_four_times_as_many_answers_in_one_arm_are_compared() -> None:
    """Which a judge does who scores all of the candidate's; that it does is told."""
    rng = np.random.default_rng(27)
    count = 20_000
    candidate = rng.random(count) < 0.02
    scored = candidate | (rng.random(count) < 0.08)
    quality = np.clip(rng.normal(np.where(candidate, 0.7, 0.85), 0.15), 0, 1)
    values = {Metric.ERRORS: np.zeros(count), Metric.QUALITY: np.where(scored, quality, np.nan)}
    looks = Looks(seconds=1e5, rows=1000)
    done = replayed(np.arange(count) / 20, np.arange(count), candidate, values, weight=2, looks=looks)
    assert (done.conclusion, done.metric) == (Conclusion.ROLLBACK, "quality")
    assert done.notes[0].startswith("quality was scored for 100 % of the candidate's answers and ")


@pytest.mark.parametrize(
    ("both", "conclusion"),
    [
        pytest.param(20, Conclusion.PASS, id="a few"),
        pytest.param(200, Conclusion.ERROR, id="many"),
    ],
)
def test_users_on_both_arms_are_told_and_too_many_never_pass(both: int, conclusion: Conclusion) -> None:
    """They are evidence of the arm that they met first; of 3,000 users 30 make no difference."""
    rng = np.random.default_rng(30)
    units = np.concatenate([np.arange(3000), rng.choice(3000, both, replace=False)])
    first = rng.random(3000) < 0.5
    candidate = np.concatenate([first, ~first[units[3000:]]])
    failed = (rng.random(len(units)) < 0.01).astype(float)
    done = replayed(np.arange(len(units)) / 10, units, candidate, {Metric.ERRORS: failed})
    assert done.conclusion is conclusion
    assert done.strays == (both, both)
    assert f"{both} users were on both arms; their {both} requests on the second one were left out" in done.notes
    assert ("users must keep their arm" in done.reason) is (conclusion is Conclusion.ERROR)


def test_units_that_change_arms_with_the_stage_are_on_one_arm_in_each() -> None:
    """As the weight grows users go over to the candidate."""
    policy = make_policy(
        shadow=None,
        stages=[{"weight_percent": weight} for weight in (10, 50, 100)],
        gates=[{"metric": "errors", "margin": "5 points"}],
    )
    rng = np.random.default_rng(29)
    place = rng.random(3000)
    stages = [
        Rows(
            source="samples.csv",
            first=first,
            last=first + 2999,
            stage=StageNames(policy).by_name(f"{weight} %"),
            ts=BEGINNING + np.arange(first, first + 3000) / 10,
            candidate=place < weight / 100,
            units=np.arange(3000),
            named=np.ones(3000, dtype=np.bool_),
            values={Metric.ERRORS: (rng.random(3000) < 0.01).astype(float)},
        )
        for first, weight in ((1, 10), (3001, 50))
    ]
    done = replay(policy, stages, Looks(), {Metric.ERRORS})
    assert (done.strays, done.notes) == ((0, 0), ())
    assert done.conclusion is Conclusion.PASS
