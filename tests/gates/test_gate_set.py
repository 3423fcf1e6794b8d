"""All gates of a stage: what they share."""

import json
from typing import Any

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Per, Role
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Observations, Window
from softlaunch.gates.rules import rules, stage_weights
from softlaunch.policy.release import plan, topline_plan
from tests.support.builders import Harms, arm, make_policy, traffic

POLICY = make_policy(
    gates=[
        {"metric": "errors", "margin": "20 points"},
        {"metric": "latency", "margin": "50 %"},
        {"metric": "satisfaction", "margin": "30 points", "role": "guard"},
        {"metric": "cost", "margin": "10 %", "role": "muted"},
        {"metric": "unusable", "margin": "20 points", "role": "muted"},
    ],
    alpha=0.012,
    stages=[{"weight_percent": 4}, {"weight_percent": 50}, {"weight_percent": 100}],
)
SHADOW, FIRST, HALF, ALL = plan(POLICY)[1:]


def filled(looks: int = 10, **changes: Any) -> GateSet:
    """A panel of the 50 % stage after some looks at a harmless candidate."""
    rng = np.random.default_rng(5)
    panel = GateSet.begin(POLICY, HALF, Window(0.5, {}, arm(1000, rng)))
    for _ in range(looks):
        panel.update(traffic(0.5, 200, rng, changes))
    return panel


def harmed(panel: GateSet, **e_values: float) -> GateSet:
    """The panel with material harm and so much evidence of it in these gates."""
    rng = np.random.default_rng(1)
    bad = arm(200, rng, errors=0.9, latency=3.0, cost=3.0, satisfaction=0.1)
    good = arm(200, rng)
    for gate in panel.gates:
        metric = gate.rule.metric
        if metric.value in e_values:
            gate.scale.note(gate.scale.tally(bad[metric]), gate.scale.tally(good[metric]))
            gate.counts = ByArm(200, 200)
            gate.above[:] = np.log(e_values[metric.value])
    return panel


def failed(panel: GateSet) -> list[str]:
    """The gates that fail."""
    return [verdict.gate for verdict in panel.verdicts() if verdict.outcome is Outcome.FAIL]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="shadow and three stages"),
        pytest.param({"shadow": None}, id="no shadow"),
        pytest.param({"shadow": None, "stages": [{"weight_percent": 100}]}, id="blue-green"),
        pytest.param({"stages": [{"weight_percent": weight} for weight in (1, 5, 20, 50, 100)]}, id="five stages"),
    ],
)
def test_the_stages_share_one_budget(changes: dict[str, Any]) -> None:
    """Weights of the stages that look at traffic add up to one; the first of the canary has most, the shadow least."""
    policy = make_policy(**changes)
    weights = stage_weights(policy, plan(policy)[1])
    judged = [stage for stage in plan(policy) if stage.position]
    assert sum(weights.values()) == pytest.approx(1.0)
    assert set(weights) == {stage.position for stage in judged}
    ordered = [weights[stage.position] for stage in judged if stage.weight_percent]
    assert ordered == sorted(ordered, reverse=True)
    assert min(weights.values()) == (ordered[-1] if policy.shadow is None else weights[1])


def test_what_follows_a_promotion_shares_the_budget_too() -> None:
    """It counts as one more stage behind the canary's, before the shadow; its rounds have equal parts."""
    policy = make_policy(topline={"rounds": 4})
    weights = stage_weights(policy, plan(policy)[1])
    of_rounds = stage_weights(policy, topline_plan(policy)[0])
    assert sum(weights.values()) + sum(of_rounds.values()) == pytest.approx(1.0)
    assert len(set(of_rounds.values())) == 1
    assert weights[1] < sum(of_rounds.values()) < min(weights[position] for position in (2, 3, 4))


def test_what_follows_a_promotion_is_judged_on_copies() -> None:
    """By what copies have: nobody rates an answer that nobody saw, and no sessions are seen in single requests."""
    gates = [{"metric": "errors", "margin": "5 points", "per": "session"}, {"metric": "quality", "margin": "2 points"}]
    policy = make_policy(topline={}, gates=gates, session={"timeout": 60})
    known = rules(policy, topline_plan(policy)[0])
    assert {rule.metric: rule.per for rule in known} == {Metric.ERRORS: Per.REQUEST, Metric.UNUSABLE: Per.REQUEST}


def test_a_gate_alone_may_spend_its_part_of_the_budget() -> None:
    """Of three gates that can stop a release, each has a third of the stage's part: 24 % in the second of four."""
    assert [rule.alpha for rule in rules(POLICY, HALF)] == pytest.approx([0.012 / 3 * 0.24] * 5)


def test_a_wider_stage_passes_more_but_rolls_back_no_later() -> None:
    """Below 5 % margins for passing are four times as wide; what is material stays the policy's margin."""
    rule = rules(POLICY, FIRST)[0]
    assert (rule.margin, rule.material) == pytest.approx((0.8, 0.2))


@pytest.mark.parametrize("stage", [pytest.param(SHADOW, id="shadow"), pytest.param(ALL, id="100 %")])
def test_satisfaction_is_not_judged_on_copies(stage: Any) -> None:
    """Nobody rates an answer that nobody saw."""
    judged = {rule.metric for rule in rules(POLICY, stage)}
    assert judged == {Metric.ERRORS, Metric.UNUSABLE, Metric.LATENCY, Metric.COST}


def test_every_gate_gives_one_verdict_with_its_role() -> None:
    """In the order of the policy."""
    assert [(verdict.gate, verdict.role, verdict.outcome) for verdict in filled().verdicts()] == [
        ("errors", Role.REQUIRED, Outcome.PASS),
        ("latency", Role.REQUIRED, Outcome.PASS),
        ("satisfaction", Role.GUARD, Outcome.PASS),
        ("cost", Role.MUTED, Outcome.PASS),
        ("unusable", Role.MUTED, Outcome.PASS),
    ]


def test_a_log_with_holes_turns_a_pass_into_an_error() -> None:
    """What is missing may be what went wrong; the verdict says how much it was."""
    panel = filled()
    panel.dropped = 200
    told = [(verdict.outcome, verdict.reason) for verdict in panel.verdicts()]
    assert told == [(Outcome.ERROR, "the request log lost 200 requests in this stage")] * 5


def test_a_log_with_holes_excuses_no_harm() -> None:
    """A fail stays a fail."""
    panel = filled(errors=0.5)
    panel.dropped = 200
    assert panel.verdicts()[0].outcome is Outcome.FAIL


def test_a_few_lost_rows_are_tolerated() -> None:
    """Up to one in a hundred."""
    panel = filled()
    panel.dropped = 20
    assert panel.verdicts()[0].outcome is Outcome.PASS
    panel.dropped = 21
    assert panel.verdicts()[0].outcome is Outcome.ERROR


def test_lost_rows_without_any_that_arrived_are_an_error() -> None:
    """A log that lost everything isn't merely short of data."""
    panel = GateSet.begin(POLICY, HALF)
    panel.dropped = 1
    assert {verdict.outcome for verdict in panel.verdicts()} == {Outcome.ERROR}


def test_without_data_every_gate_is_inconclusive() -> None:
    """An empty panel passes nothing."""
    assert {verdict.outcome for verdict in GateSet.begin(POLICY, HALF).verdicts()} == {Outcome.INCONCLUSIVE}


def test_a_stored_panel_goes_on_with_the_same_verdicts() -> None:
    """Evidence and the count of lost rows survive JSON; infinities and NaN aren't among what is stored."""
    panel = filled()
    panel.dropped = 7
    text = json.dumps(panel.dump(), allow_nan=False)
    again = GateSet.load(POLICY, HALF, json.loads(text))
    assert again.dropped == 7
    assert [(one.gate, one.outcome, one.interval) for one in again.verdicts()] == [
        (one.gate, one.outcome, one.interval) for one in panel.verdicts()
    ]
    assert len(text) < 60_000


def test_a_panel_stored_before_there_was_a_gate_goes_on_with_a_fresh_one() -> None:
    """A release under way while softlaunch is brought up to date: what the others know is kept."""
    panel = filled()
    stored = panel.dump()
    del stored["gates"]["unusable"]
    again = GateSet.load(POLICY, HALF, stored)
    *others, unusable = again.verdicts()
    assert others == list(panel.verdicts()[:-1])
    assert (unusable.gate, unusable.outcome, unusable.reason) == (
        "unusable",
        Outcome.INCONCLUSIVE,
        "no data from candidate and stable",
    )


@pytest.mark.parametrize(("e_value", "fails"), [(1030, []), (1050, ["errors"])], ids=["just short", "enough"])
def test_a_gate_fails_by_its_own_part_of_the_budget(e_value: float, fails: list[str]) -> None:
    """One over its alpha: an e-value of 1,042 here."""
    panel = harmed(GateSet.begin(POLICY, HALF), errors=e_value)
    assert panel.log_evidence_of_harm(Metric.ERRORS) == pytest.approx(np.log(e_value))
    assert failed(panel) == fails


def test_no_gate_fails_by_what_others_have_shown() -> None:
    """Scores come by another clock than requests do, so that evidence of several gates may not be put together."""
    short = {"errors": 1030.0, "latency": 1030.0, "satisfaction": 1030.0}
    assert failed(harmed(GateSet.begin(POLICY, HALF), **short)) == []
    assert failed(harmed(GateSet.begin(POLICY, HALF), **{**short, "latency": 1e9})) == ["latency"]


def test_no_gate_is_saved_by_what_others_have_not_shown() -> None:
    """Evidence of one gate against harm takes nothing from another's evidence of it."""
    panel = harmed(GateSet.begin(POLICY, HALF), errors=1050, latency=1e-9, satisfaction=1e-9)
    assert failed(panel) == ["errors"]


def test_muted_gates_do_not_count() -> None:
    """However sure their harm, nobody else fails; and they take no part of the budget."""
    panel = harmed(GateSet.begin(POLICY, HALF), cost=1e9)
    assert panel.log_evidence_of_harm(Metric.ERRORS) == pytest.approx(0.0)
    assert failed(panel) == ["cost"]
    assert panel.verdicts()[3].role is Role.MUTED


def test_harm_that_is_not_material_does_not_count() -> None:
    """Evidence of a trifle, or of what has vanished since, is as good as none."""
    begun = GateSet.begin(POLICY, HALF)
    begun.gates[0].above[:] = np.log(1e9)
    assert failed(begun) == []


@pytest.mark.parametrize("stage", [SHADOW, FIRST, HALF, ALL], ids=["shadow", "4 %", "50 %", "100 %"])
def test_every_stage_begins_without_evidence(stage: Any) -> None:
    """An e-process begins at one, whatever earlier stages showed: their users come back, so the stages depend."""
    panel = GateSet.begin(POLICY, stage)
    assert {panel.log_evidence_of_harm(gate.rule.metric) for gate in panel.gates} == {0.0}


def test_evidence_without_end_is_still_a_number() -> None:
    """An e-value beyond any float rolls back, and is stored."""
    panel = harmed(GateSet.begin(POLICY, HALF), errors=2.0)
    panel.gates[0].above[:] = 5000.0
    assert failed(panel) == ["errors"]
    json.dumps(panel.dump(), allow_nan=False)
    assert np.isfinite(panel.log_evidence_of_harm(Metric.ERRORS))


STRICT = make_policy(
    alpha=0.1,
    gates=[
        {"metric": "errors", "margin": "0.01 points"},
        {"metric": "latency", "margin": "0.1 %"},
        {"metric": "satisfaction", "margin": "0.01 points", "role": "guard"},
    ],
    stages=[{"weight_percent": 10}, {"weight_percent": 50}, {"weight_percent": 100}],
)


def rolls_back(seed: int, harms: Harms | None = None) -> bool:
    """Whether a release is rolled back at any of 6 looks in each of its 4 stages, where any harm is material."""
    rng = np.random.default_rng(seed)
    history = Window(0.5, {}, arm(500, rng))
    for stage in plan(STRICT)[1:]:
        panel = GateSet.begin(STRICT, stage, history)
        for _ in range(6):
            panel.update(traffic(stage.candidate_share, 120, rng, harms))
            if failed(panel):
                return True
    return False


@pytest.mark.long
def test_false_rollbacks_of_a_whole_release_stay_within_alpha() -> None:
    """Over all gates, stages and looks, at most 10 % of releases without harm are rolled back."""
    assert sum(rolls_back(seed) for seed in range(20)) <= 0.1 * 20


def test_releases_with_harm_are_rolled_back() -> None:
    """Under the same conditions slow and failing candidates never get through."""
    assert all(rolls_back(seed, {"errors": 0.15, "latency": 1.5}) for seed in range(10))


def split_so(panel: GateSet, candidate: int, stable: int) -> GateSet:
    """The panel after a window that assigned so many units."""
    panel.update(Window(0.5, {}, {}, ByArm(candidate, stable)))
    return panel


def test_a_split_that_is_off_turns_a_pass_into_an_error() -> None:
    """It says what was meant and what was seen."""
    told = [(verdict.outcome, verdict.reason) for verdict in split_so(filled(), 250, 750).verdicts()]
    why = "25 % of the users fell on the candidate instead of 50 %: the split is off"
    assert told == [(Outcome.ERROR, why)] * 5


def test_a_split_that_is_off_excuses_no_harm() -> None:
    """A fail stays a fail."""
    assert split_so(filled(errors=0.5), 250, 750).verdicts()[0].outcome is Outcome.FAIL


def test_a_split_by_chance_is_no_error() -> None:
    """Also over many windows; and once it isn't seen at all, as with copies, it can't be off."""
    panel = filled()
    rng = np.random.default_rng(3)
    for _ in range(50):
        on_candidate = int(rng.binomial(200, 0.5))
        split_so(panel, on_candidate, 200 - on_candidate)
        assert panel.verdicts()[0].outcome is Outcome.PASS
    assert panel.split.candidate + panel.split.stable == 50 * 200
    panel.update(Window(0.5))
    assert panel.split.candidate + panel.split.stable == 50 * 200


def through_gateways(window: Window) -> Window:
    """The window as two gateways saw it, each a part of the units, merged."""

    def half(seen: Any, odd: int) -> dict[Metric, Observations]:
        parts = {metric: observed.units % 2 == odd for metric, observed in seen.items()}
        return {
            metric: Observations(observed.units[parts[metric]], observed.values[parts[metric]])
            for metric, observed in seen.items()
        }

    halves = [Window(window.candidate_share, half(window.candidate, odd), half(window.stable, odd)) for odd in (0, 1)]
    return halves[0].merge(halves[1])


@pytest.mark.parametrize("errors", [0.0, 0.3], ids=["no harm", "harm"])
def test_two_gateways_give_the_same_verdicts_as_one(errors: float) -> None:
    """Merged by window, what each saw of the traffic says what one would have seen."""
    rng = np.random.default_rng(5)
    history = Window(0.5, {}, arm(1000, rng))
    one, two = (GateSet.begin(POLICY, HALF, history) for _ in range(2))
    for _ in range(10):
        window = traffic(0.5, 100, rng, {"errors": errors})
        one.update(window)
        two.update(through_gateways(window))
        assert one.verdicts() == two.verdicts()
    for metric in (gate.rule.metric for gate in one.gates):
        assert one.log_evidence_of_harm(metric) == pytest.approx(two.log_evidence_of_harm(metric))


def test_a_stored_panel_keeps_its_evidence_and_the_split() -> None:
    """A driver that takes over decides by the same."""
    panel = split_so(harmed(GateSet.begin(POLICY, HALF), errors=300, satisfaction=7), 30, 40)
    again = GateSet.load(POLICY, HALF, json.loads(json.dumps(panel.dump())))
    assert again.dump() == panel.dump()
    assert again.split == ByArm(30, 40)
    for metric, e_value in ((Metric.ERRORS, 300), (Metric.SATISFACTION, 7), (Metric.COST, 1)):
        assert again.log_evidence_of_harm(metric) == pytest.approx(np.log(e_value), abs=1e-6)


def test_a_stage_of_a_million_requests_is_a_small_document() -> None:
    """Under 64 kB, and hardly larger than after a tenth of them: what is kept doesn't grow with what was seen."""
    rng = np.random.default_rng(5)
    panel = GateSet.begin(POLICY, HALF, Window(0.5, {}, arm(3000, rng)))
    sizes = []
    for _ in range(10):
        panel.update(traffic(0.5, 100_000, rng))
        sizes.append(len(json.dumps(panel.dump())))
    assert sizes[-1] < 64_000
    assert sizes[-1] < 1.2 * sizes[0]
