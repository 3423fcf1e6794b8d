"""Recorded requests through the gates: when and why they would have decided."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.replay.conclusion import Conclusion, Replayed
from softlaunch.forecast.replay.replay import replay
from softlaunch.forecast.replay.rows import Rows, SamplesError
from softlaunch.forecast.replay.stages import StageNames
from softlaunch.forecast.replay.windows import Looks
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Window
from softlaunch.policy.gating import Adjustment
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage
from tests.support.builders import make_policy

GATES = [
    {"metric": "errors", "margin": "5 points"},
    {"metric": "latency", "margin": "20 %"},
    {"metric": "satisfaction", "margin": "10 points", "role": "guard"},
]
POLICY = make_policy(gates=GATES, stages=[{"weight_percent": 10}, {"weight_percent": 50}, {"weight_percent": 100}])
MEASURED = frozenset({Metric.ERRORS, Metric.LATENCY})


def stage_of(name: str, policy: Policy = POLICY) -> Stage:
    """A stage of a policy by its name."""
    return StageNames(policy).by_name(name)


def recorded(count: int, *, stage: str = "canary 50 %", first: int = 1, seed: int = 3, **harm: float) -> Rows:
    """Ten requests a second, each of a unit of its own; `errors` is added to 1 %, `latency` is a factor."""
    rng = np.random.default_rng(seed)
    found = stage_of(stage)
    candidate = rng.random(count) < harm.get("share", found.candidate_share)
    failed = rng.random(count) < 0.01 + candidate * harm.get("errors", 0.0)
    slower = np.where(candidate, harm.get("latency", 1.0), 1.0)
    return Rows(
        source="samples.csv",
        first=first,
        last=first + count - 1,
        stage=found,
        ts=1_772_366_400 + np.arange(first, first + count) / 10,
        candidate=candidate,
        units=np.arange(first, first + count),
        named=np.zeros(count, dtype=np.bool_),
        values={Metric.ERRORS: failed.astype(float), Metric.LATENCY: 800 * slower * rng.lognormal(0, 0.4, count)},
    )


def run(*rows: Rows, looks: Looks | None = None, measured: Any = MEASURED, policy: Policy = POLICY) -> Replayed:
    """What the gates conclude."""
    return replay(policy, rows, looks or Looks(), measured)


def test_a_harmless_candidate_passes_and_is_told_when() -> None:
    """At the row of the look that had evidence from every required gate."""
    done = run(recorded(6000))
    assert (done.conclusion, done.metric) == (Conclusion.PASS, None)
    assert done.at is not None
    assert 100 < done.at.row < 6000
    assert done.reason == f"canary 50 % passed at row {done.at.row:,}"
    assert done.exposed == done.at.exposed == int(recorded(6000).candidate[: done.at.row].sum())


@pytest.mark.parametrize(
    ("harm", "metric"),
    [
        pytest.param({"errors": 0.3}, "errors", id="fails a third of the time"),
        pytest.param({"latency": 2.0}, "latency", id="twice as slow"),
    ],
)
def test_a_harmful_candidate_is_rolled_back(harm: dict[str, Any], metric: str) -> None:
    """The failing gate is named, and rows after the decision are never read."""

    def rows() -> Iterator[Rows]:
        yield recorded(3000, **harm)
        raise AssertionError("read on after the rollback")

    done = replay(POLICY, rows(), Looks(), MEASURED)
    assert (done.conclusion, done.metric) == (Conclusion.ROLLBACK, metric)
    assert "canary 50 %" in done.reason
    assert done.at is not None
    assert done.exposed < 500
    assert [one.verdict.gate for one in done.gates] == ["errors", "latency", "satisfaction"]
    assert max(done.gates, key=lambda one: one.evidence).verdict.gate == metric


def test_the_stretches_that_a_file_comes_in_change_nothing() -> None:
    """A window that spans two of them is the same window."""
    whole = recorded(4000)
    torn = [whole.part(start, min(start + 37, 4000)) for start in range(0, 4000, 37)]
    assert run(*torn).at == run(whole).at


def test_a_required_metric_without_a_column_never_passes() -> None:
    """Nothing was measured, so nothing is known."""
    rows = recorded(6000)
    done = run(replace(rows, values={Metric.ERRORS: rows.values[Metric.ERRORS]}), measured={Metric.ERRORS})
    assert (done.conclusion, done.metric, done.at) == (Conclusion.INCONCLUSIVE, "latency", None)
    assert done.reason == "latency: no data: the samples have no column for it (canary 50 %)"
    assert done.exposed == int(rows.candidate.sum())


@pytest.mark.parametrize("share", [pytest.param(0.0, id="no candidate"), pytest.param(1.0, id="no stable")])
def test_one_empty_arm_never_passes(share: float) -> None:
    """Where one arm has nothing, there is nothing to compare, and the split can't be the intended one."""
    done = run(recorded(3000, share=share))
    assert (done.conclusion, done.at) == (Conclusion.ERROR, None)


def test_values_that_are_all_missing_never_pass() -> None:
    """A column of nothing is no data."""
    rows = recorded(3000)
    done = run(replace(rows, values={metric: np.full(3000, np.nan) for metric in MEASURED}))
    assert (done.conclusion, done.metric) == (Conclusion.INCONCLUSIVE, "errors")
    assert "no data from candidate and stable" in done.reason


def test_no_rows_are_inconclusive() -> None:
    """There was no stage to judge."""
    assert run().conclusion is Conclusion.INCONCLUSIVE


def test_a_split_that_is_off_is_an_error() -> None:
    """Half of the units at a weight of ten percent: whatever did that may do more."""
    done = run(recorded(3000, stage="canary 10 %", share=0.5))
    assert (done.conclusion, done.at) == (Conclusion.ERROR, None)
    assert "split is off" in done.reason


def test_every_stage_must_pass() -> None:
    """A short second stage leaves the whole undecided, and says which one lacks what."""
    first = recorded(8000, stage="canary 10 %")
    done = run(first, recorded(60, first=8001))
    assert done.conclusion is Conclusion.INCONCLUSIVE
    assert done.reason.endswith("(canary 50 %)")
    assert [stage.passed is not None for stage in done.stages] == [True, False]


def test_a_release_that_passes_all_stages_passes() -> None:
    """The reason names the row for each of them."""
    done = run(recorded(8000, stage="canary 10 %"), recorded(6000, first=8001, seed=4))
    assert done.conclusion is Conclusion.PASS
    assert done.at is not None
    assert done.at.row > 8000
    assert done.reason.startswith("canary 10 % passed at row")
    assert "; canary 50 % passed at row" in done.reason


def test_a_last_stage_without_stable_is_not_judged() -> None:
    """Few go on asking stable when everybody is on the candidate; what was shown before stands."""
    before, after = recorded(6000), recorded(2000, stage="canary 100 %", first=6001, share=1.0)
    done = run(before, after)
    assert (done.conclusion, done.at) == (Conclusion.PASS, run(before).at)
    assert done.reason.endswith("canary 100 % has no request of stable to compare with and wasn't judged")
    alone = run(recorded(2000, stage="canary 100 %", share=1.0))
    assert alone.conclusion is not Conclusion.PASS
    undecided = run(recorded(40), recorded(2000, stage="canary 100 %", first=41, share=1.0))
    assert undecided.conclusion is Conclusion.INCONCLUSIVE


def test_harm_in_a_later_stage_ends_the_release() -> None:
    """However good the stage before it was."""
    done = run(recorded(8000, stage="canary 10 %"), recorded(3000, first=8001, latency=2.0))
    assert (done.conclusion, done.metric) == (Conclusion.ROLLBACK, "latency")
    assert done.stages[0].passed is not None


def test_copies_are_no_exposure() -> None:
    """Nobody sees what a shadow answers."""
    done = run(recorded(4000, stage="shadow"))
    assert done.conclusion is Conclusion.PASS
    assert done.exposed == 0


def test_many_requests_of_few_users_are_few_observations() -> None:
    """Each unit counts once in a stage, so thirty of them prove nothing however much they ask."""
    rows = recorded(6000)
    of_few = replace(rows, units=rows.candidate * 100 + np.arange(6000) % 30, named=np.ones(6000, dtype=np.bool_))
    done = run(of_few)
    assert done.conclusion is Conclusion.INCONCLUSIVE
    assert done.gates[0].verdict.candidate_count <= 40


def test_stages_out_of_the_policys_order_are_refused() -> None:
    """They share one alpha, a place for each, so a release that shrinks is two releases."""
    with pytest.raises(SamplesError, match=r"row 1001: canary 10 % comes after canary 50 %"):
        run(recorded(1000), recorded(1000, stage="canary 10 %", first=1001))


def test_traffic_of_before_the_release_is_history() -> None:
    """Stable's rows at a weight of zero teach the reference, and make no stage."""
    before = replace(recorded(2000), stage=None, candidate=np.zeros(2000, dtype=np.bool_))
    done = run(before, recorded(3000, first=2001, latency=2.0))
    without = run(recorded(3000, first=2001, latency=2.0))
    assert done.at is not None
    assert without.at is not None
    assert done.at.row <= without.at.row
    assert [stage.stage.name for stage in done.stages] == ["canary 50 %"]


@pytest.mark.parametrize("adjust_for", [("request_size",), ("own_past", "request_size")])
def test_requests_are_replayed_beside_their_size(adjust_for: tuple[str, ...]) -> None:
    """What stable's rows of before a stage foretell; what their users were used to isn't known."""

    def sized(rows: Rows, seed: int) -> Rows:
        scale = np.random.default_rng(seed).normal(size=len(rows))
        latency = rows.values[Metric.LATENCY] * np.exp(scale)
        sizes = {Adjustment.REQUEST_SIZE: np.exp(6 + scale)}
        return replace(rows, values={**rows.values, Metric.LATENCY: latency}, covariates=sizes)

    before = replace(recorded(3000), stage=None, candidate=np.zeros(3000, dtype=np.bool_))
    told = sized(before, 1), sized(recorded(9000, first=3001, latency=1.5), 2)
    gates = [{**gate, "adjust_for": adjust_for} if gate["metric"] == "latency" else gate for gate in GATES]
    adjusted = run(*told, policy=POLICY.model_copy(update={"gates": make_policy(gates=gates).gates}))
    plain = run(*told)
    assert (adjusted.conclusion, adjusted.metric) == (Conclusion.ROLLBACK, "latency")
    assert adjusted.exposed < 0.5 * plain.exposed


@pytest.fixture
def histories(monkeypatch: pytest.MonkeyPatch) -> list[Window]:
    """What stages were told of the time before them."""
    told: list[Window] = []
    begin = GateSet.begin

    def listening(policy: Policy, stage: Stage, history: Window, *more: Any) -> GateSet:
        told.append(history)
        return begin(policy, stage, history, *more)

    monkeypatch.setattr(GateSet, "begin", listening)
    return told


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[Window]:
    """What panels were fed."""
    fed: list[Window] = []
    update = GateSet.update

    def listening(panel: GateSet, window: Window) -> None:
        fed.append(window)
        update(panel, window)

    monkeypatch.setattr(GateSet, "update", listening)
    return fed


def test_a_stage_knows_the_latest_of_what_stable_did_before_it(histories: list[Window]) -> None:
    """Three thousand requests with their times and values, and what was rated of them."""
    before = recorded(5000, stage="canary 10 %")
    satisfied = np.where(np.arange(5000) % 10 == 0, 0.75, np.nan)
    run(
        replace(before, values={**before.values, Metric.SATISFACTION: satisfied}),
        recorded(500, first=5001),
        measured={*MEASURED, Metric.SATISFACTION},
    )
    requests, ratings = histories[1].requests, histories[1].ratings[Metric.SATISFACTION]
    assert requests is not None
    latest = np.flatnonzero(~before.candidate)[-3000:]
    assert requests.at.tolist() == before.ts[latest].tolist()
    assert not requests.candidate.any()
    assert requests.values[Metric.LATENCY].tolist() == before.values[Metric.LATENCY][latest].tolist()
    assert ratings.units.tolist() == before.units[latest[(latest % 10) == 0]].tolist()
    assert histories[1].until == requests.at[-1]


def test_a_file_that_begins_with_the_release_shows_how_often_its_users_come(histories: list[Window]) -> None:
    """When requests are made says nothing about arms; what became of them isn't known beforehand."""
    rows = recorded(4000)
    run(replace(rows, units=np.arange(4000) % 700, named=np.ones(4000, dtype=np.bool_)))
    requests = histories[0].requests
    assert requests is not None
    assert requests.at.tolist() == rows.ts[:3000].tolist()
    assert requests.units.tolist() == (np.arange(3000) % 700).tolist()
    assert not requests.candidate.any()
    assert not requests.values
    assert not histories[0].stable


def test_traffic_of_before_the_release_comes_first(histories: list[Window]) -> None:
    """What is ahead fills up what is missing of three thousand."""
    before = replace(recorded(1000), stage=None, candidate=np.zeros(1000, dtype=np.bool_))
    after = recorded(4000, first=1001)
    run(before, after)
    requests = histories[0].requests
    assert requests is not None
    assert requests.at.tolist() == [*before.ts.tolist(), *after.ts[:2000].tolist()]
    assert np.flatnonzero(~np.isnan(requests.values[Metric.LATENCY])).tolist() == list(range(1000))


def test_gates_are_fed_every_request_of_a_split(windows: list[Window]) -> None:
    """Once, in order, and complete up to the last row of the window."""
    rows = recorded(900)
    units = np.arange(900) % 30
    of_few = replace(rows, candidate=units < 15, units=units, named=np.ones(900, dtype=np.bool_))
    run(of_few)
    requests = [window.requests for window in windows if window.requests is not None]
    assert np.concatenate([one.at for one in requests]).tolist() == rows.ts.tolist()
    assert [window.until for window in windows] == [one.at[-1] for one in requests]


@pytest.mark.parametrize("stage", ["shadow", "canary 100 %"])
def test_copies_are_judged_by_what_both_arms_answered(windows: list[Window], stage: str) -> None:
    """There nobody is on an arm."""
    run(recorded(300, stage=stage))
    assert {(window.requests, len(window.ratings)) for window in windows} == {(None, 0)}
