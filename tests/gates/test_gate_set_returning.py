"""All gates of a stage whose users come back: what is found, what passes, and that a restart changes nothing."""

import json
import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Floats, Units, Window
from softlaunch.policy.release import plan
from tests.support.builders import make_policy
from tests.support.regulars import Harm, Regulars, no_harm, slower, windows

POLICY = make_policy(
    gates=[
        {"metric": "errors", "margin": "5 points"},
        {"metric": "latency", "margin": "25 %"},
        {"metric": "cost", "margin": "25 %"},
        {"metric": "satisfaction", "margin": "20 points", "role": "guard"},
    ]
)
TENTH, HALF = plan(POLICY)[2:4]
LATENCY = 1


def begin(people: Regulars) -> GateSet:
    """A panel of the stage with this share."""
    return GateSet.begin(POLICY, TENTH if people.share == 0.1 else HALF, people.history())


def first_failure(seed: int, harm: Harm, seconds: float) -> tuple[float, set[str]]:
    """When any gate fails, and which; infinite where none does."""
    people = Regulars(np.random.default_rng(seed))
    panel = begin(people)
    for window in people.stage(seconds, harm):
        panel.update(window)
        failing = {verdict.gate for verdict in panel.verdicts() if verdict.outcome is Outcome.FAIL}
        if failing:
            return window.until, failing
    return float("inf"), set()


def failing(share: float, since: float = 0.0, visit: int = 0) -> Harm:
    """So many of a unit's requests fail from a moment on, or from so many visits on."""

    def harm(metric: Metric, values: Floats, at: Floats, before: Units) -> Floats:
        if metric is not Metric.ERRORS:
            return values
        drawn = (at * 7919) % 1  # as good as random
        return np.where((at >= since) & (before >= visit) & (drawn < share), 1.0, values)

    return harm


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("harm", "gate"),
    [
        pytest.param(slower(3.0, since=120.0), "latency", id="three times as slow"),
        pytest.param(failing(0.25, since=120.0), "errors", id="every fourth fails"),
    ],
)
def test_harm_that_begins_late_in_a_fixed_population_is_rolled_back(seed: int, harm: Harm, gate: str) -> None:
    """30 of 300 users are the candidate's, and all of them were seen when it was still fine."""
    when, gates = first_failure(seed, harm, 480.0)
    assert 120 < when < 360
    assert gates == {gate}


@pytest.mark.parametrize("seed", range(2))
def test_harm_from_the_second_request_on_is_rolled_back(seed: int) -> None:
    """Nobody's first request shows it."""
    when, gates = first_failure(seed, failing(0.25, visit=1), 480.0)
    assert when < 300
    assert gates == {"errors"}


@pytest.mark.parametrize("seed", range(3))
def test_a_fine_candidate_is_not_rolled_back(seed: int) -> None:
    """A quarter of an hour, a look every five seconds."""
    assert first_failure(seed, no_harm, 900.0) == (float("inf"), set())


@cache
def stored(seconds: float = 500.0) -> str:
    """A panel of 4,000 users half of whom are the candidate's, after a while."""
    people = Regulars(np.random.default_rng(1), users=4000, rate=40.0, share=0.5)
    panel = begin(people)
    for window in people.stage(seconds, look=10.0):
        panel.update(window)
    return json.dumps(panel.dump())


def settled() -> GateSet:
    """The same, to be asked."""
    return GateSet.load(POLICY, HALF, json.loads(stored()))


def test_a_fine_candidate_passes() -> None:
    """And is shown with what its users met, request by request."""
    panel = settled()
    for verdict in panel.verdicts():
        assert verdict.outcome is Outcome.PASS, verdict.reason
        assert verdict.candidate_met is not None
        assert verdict.stable_met is not None
        requests = verdict.candidate_met.requests + verdict.stable_met.requests
        assert requests == pytest.approx(500 * 40 / (3 if verdict.gate == "satisfaction" else 1), rel=0.02)
        assert verdict.candidate_count < verdict.candidate_met.requests
        assert verdict.candidate_met.users == pytest.approx(1400 if verdict.gate == "satisfaction" else 2000, rel=0.1)


def test_what_people_met_blocks_a_pass_that_first_visits_allow() -> None:
    """The evidence of first visits was all there before; then every request became slower by half."""
    panel = settled()
    harmed = panel.plain.arms[Metric.LATENCY].candidate
    harmed.add(np.full(20_000, 499.0), np.full(20_000, 1200.0))
    verdict = panel.verdicts()[LATENCY]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "over all requests, not yet sure" in verdict.reason


def test_what_people_meet_lately_blocks_a_pass() -> None:
    """Plain figures of the whole stage are still good, and those of the round that runs aren't."""
    panel = settled()
    assert panel.returning is not None
    running = panel.returning.evidence_of(Metric.ERRORS).short.bets[Metric.ERRORS]
    running.sums.clear()
    on_candidate = np.arange(400) % 2 == 0
    running.note("harm", 0.2 * on_candidate, on_candidate)
    errors, *others = panel.verdicts()
    assert errors.outcome is Outcome.INCONCLUSIVE
    assert errors.reason == "looks worse by 20 points on average lately, not yet sure"
    assert {verdict.outcome for verdict in others} == {Outcome.PASS}


def suspicious(panel: GateSet, odds: float, harm: float) -> GateSet:
    """The same with such odds of harm in first visits, of such an increase of latency."""
    assert panel.returning is not None
    bets = panel.returning.evidence_of(Metric.LATENCY).visit.bets[Metric.LATENCY]
    for kind, weights in bets.weights.items():
        bets.grow(kind, np.full(len(weights), math.log(odds)) - bets.log_e_values.get(kind, 0.0))
    on_candidate = np.arange(1000) % 2 == 0
    bets.sums.clear()
    bets.note("log", np.log1p(harm) * on_candidate + 0.001 * (np.arange(1000) % 7), on_candidate)
    return panel


@pytest.mark.parametrize(
    ("factor", "odds", "harm", "outcome"),
    [
        pytest.param(4.0, 2.1, 0.3, Outcome.INCONCLUSIVE, id="wide margin"),
        pytest.param(4.0, 1.9, 0.3, Outcome.PASS, id="too little evidence"),
        pytest.param(4.0, 2.1, 0.2, Outcome.PASS, id="of harm that is accepted"),
        pytest.param(1.0, 2.1, 0.3, Outcome.PASS, id="the policy's own margin"),
    ],
)
def test_a_widened_margin_lets_nobody_pass_who_looks_harmful(
    factor: float, odds: float, harm: float, outcome: Outcome
) -> None:
    """The evidence of this stage would be lost with it, and the next one has to begin anew."""
    panel = suspicious(GateSet.load(POLICY, replace(HALF, margin_factor=factor), json.loads(stored())), odds, harm)
    verdict = panel.verdicts()[LATENCY]
    assert verdict.outcome is outcome, verdict.reason
    if outcome is Outcome.INCONCLUSIVE:
        assert verdict.reason == "looks worse by 30 % on average in users' first visits, not yet sure"


@pytest.mark.parametrize(
    ("deadlines", "progress"),
    [
        pytest.param({"deadline": 1000.0}, 0.49, id="time"),
        pytest.param({"deadline": 1000.0, "deadline_requests": 12_500}, 0.8, id="requests"),
        pytest.param({"deadline": 1000.0, "deadline_units": 2500}, 0.8, id="units"),
        pytest.param({"deadline": None}, None, id="none"),
    ],
)
def test_how_much_of_a_stage_is_over_goes_by_the_deadline_that_comes_first(
    deadlines: dict[str, Any], progress: float | None
) -> None:
    """About 2,000 of the candidate's users in 500 s made 10,000 requests."""
    panel = GateSet.load(POLICY, replace(HALF, **deadlines), json.loads(stored()))
    assert panel.progress == (None if progress is None else pytest.approx(progress, rel=0.02))


def test_lost_rows_are_compared_with_requests_not_with_visits() -> None:
    """A visit has many requests: one in a hundred of these may be lost."""
    panel = settled()
    panel.dropped = 190
    assert {verdict.outcome for verdict in panel.verdicts()} == {Outcome.PASS}
    panel.dropped = 210
    assert {verdict.outcome for verdict in panel.verdicts()} == {Outcome.ERROR}


def everything(stage: list[Window]) -> tuple[Events, dict[Metric, Events]]:
    """What a log has of these windows."""
    requests, ratings = Events(np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_)), dict[Metric, Events]()
    for window in stage:
        assert window.requests is not None
        requests = requests.together(window.requests)
        for metric, said in window.ratings.items():
            ratings[metric] = said.together(ratings[metric]) if metric in ratings else said
    return requests, ratings


def read_again(stage: list[Window], edges: list[float]) -> list[Window]:
    """The same requests and ratings in windows with these ends."""
    requests, ratings = everything(stage)
    return [
        Window(
            0.1,
            requests=requests.only((requests.at >= early) & (requests.at < late)),
            ratings={metric: said.only((said.at >= early) & (said.at < late)) for metric, said in ratings.items()},
            until=late,
        )
        for early, late in zip([-np.inf, *edges], edges, strict=False)
    ]


@pytest.mark.parametrize("past", [200.0, 5.0], ids=["known before", "hardly known before"])
@pytest.mark.parametrize("looks", [1, 4, 7, 40, 83], ids=lambda looks: f"after {looks} looks")
def test_a_restart_changes_nothing(looks: int, past: float) -> None:
    """Stored, loaded, and told again whom it has seen, a panel goes on to the last digit as one that never stopped."""
    people = Regulars(np.random.default_rng(9), users=80, rate=15.0)
    history, stage = people.history(past), people.stage(450.0, slower(1.3, since=200.0))
    kept = GateSet.begin(POLICY, TENTH, history)
    for window in stage[:looks]:
        kept.update(window)
    again = GateSet.load(POLICY, TENTH, json.loads(json.dumps(kept.dump(), allow_nan=False)))
    assert again.verdicts() == kept.verdicts()
    until = stage[looks - 1].until
    cuts = np.sort(np.random.default_rng(looks).uniform(0, until, looks // 3)).tolist()
    again.remember(read_again(stage[:looks], [*cuts, until]))
    for window in stage[looks:]:
        kept.update(window)
        again.update(window)
    assert again.verdicts() == kept.verdicts()
    assert json.dumps(again.dump()) == json.dumps(kept.dump())
    assert kept.dump()["returning"]["books"]["requests"]["round"]["number"] > 3


def test_a_panel_that_remembers_nothing_would_book_users_again() -> None:
    """So that the test above can fail."""
    people = Regulars(np.random.default_rng(9), users=120)
    past, stage = people.history(), people.stage(300.0)
    kept = GateSet.begin(POLICY, TENTH, past)
    for window in stage[:40]:
        kept.update(window)
    again = GateSet.load(POLICY, TENTH, kept.dump())
    for window in stage[40:]:
        kept.update(window)
        again.update(window)
    assert again.dump() != kept.dump()


def test_a_panel_that_was_stored_before_users_who_come_back_were_evidence_goes_on() -> None:
    """Without them, and without plain figures: gates find harm themselves, as they did."""
    old = GateSet.begin(POLICY, TENTH, replace(Regulars(np.random.default_rng(1)).history(), requests=None)).dump()
    for name in ("returning", "plain", "obstacles"):
        del old[name]
    for gate in old["gates"].values():
        del gate["heard"]
        gate["scale"] = {
            name: list(zip(np.cumsum(held["steps"]).tolist(), held["weight"], strict=True))
            if isinstance(held, dict)
            else held
            for name, held in gate["scale"].items()
        }
    again = GateSet.load(POLICY, TENTH, json.loads(json.dumps(old)))
    again.remember([])
    assert again.returning is None
    for window in windows(Regulars(np.random.default_rng(2)).requests(0.0, 60.0, no_harm), [30.0, 60.0], 0.1):
        again.update(window)
    verdicts = again.verdicts()
    assert {verdict.outcome for verdict in verdicts} == {Outcome.INCONCLUSIVE}
    assert verdicts[0].candidate_met is not None


def test_what_is_stored_of_a_long_stage_stays_small() -> None:
    """Whoever came: under 100 kB, most of it the figures of the last minutes, and whom it has seen isn't in it."""
    assert len(stored()) < 100_000
    assert len(stored(seconds=100.0)) > 0.5 * len(stored())
