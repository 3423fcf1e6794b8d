"""Gates that count sessions: what they find that requests don't show, what they don't, and that a restart is none."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Per, Verdict
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Floats, Units, Window
from softlaunch.gates.rules import rules
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage, StageKind, plan
from tests.support.builders import make_policy
from tests.support.sessions import Guests, Harm, no_harm


def policy(*gates: dict[str, Any], **changes: Any) -> Policy:
    """Half of the users on the candidate; a session is over after twenty seconds."""
    session = {"timeout": 20, "longest": 300, "user_period": 400}
    return make_policy(gates=gates, session=session, **changes)


def per_session(metric: str, margin: str, **more: Any) -> dict[str, Any]:
    """A gate that counts sessions."""
    return {"metric": metric, "margin": margin, "per": "session", **more}


ERRORS = policy(per_session("errors", "6 points"))
LATENCY = policy(per_session("latency", "20 %"))


def half(of: Policy) -> Stage:
    """The canary stage of 50 %."""
    return next(stage for stage in plan(of) if stage.weight_percent == 50)


def begin(of: Policy, guests: Guests) -> GateSet:
    """The gates of that stage, which know twenty minutes of stable."""
    return GateSet.begin(of, half(of), guests.history())


def run(of: Policy, guests: Guests, seconds: float, harm: Harm = no_harm) -> tuple[float, list[Verdict]]:
    """When a gate fails, infinite where none does, and the verdicts then."""
    panel = begin(of, guests)
    for window in guests.stage(seconds, harm):
        panel.update(window)
        if any(verdict.outcome is Outcome.FAIL for verdict in panel.verdicts()):
            return window.until, list(panel.verdicts())
    return float("inf"), list(panel.verdicts())


def third_fails(metric: Metric, values: Floats, _at: Floats, rank: Units) -> Floats:
    """The third request of every session fails."""
    return np.where(rank == 2, 1.0, values) if metric is Metric.ERRORS else values


@pytest.mark.parametrize("seed", range(2))
def test_harm_late_in_a_session_is_found(seed: int) -> None:
    """Every session's third request fails: three in four have one. It is said per what."""
    when, (errors, _) = run(ERRORS, Guests(np.random.default_rng(seed)), 300.0, third_fails)
    assert when < 120
    assert "on average in users' first sessions, more than the acceptable 6 points per session" in errors.reason
    assert errors.per is Per.SESSION
    assert errors.name == "errors per session"


def test_sessions_that_take_longer_in_all_are_harm_though_each_answer_is_as_fast() -> None:
    """A candidate that has to be asked twice as often; per request nothing is wrong with it."""
    guests = [Guests(np.random.default_rng(3), candidate_turns=2.0) for _ in range(2)]
    when, (latency, *_) = run(LATENCY, guests[0], 400.0)
    assert when < 200
    assert "per session" in latency.reason
    per_request = policy({"metric": "latency", "margin": "20 %"})
    assert run(per_request, guests[1], 400.0)[0] == float("inf")


@pytest.mark.parametrize("per", ["session", "user"])
def test_a_fine_candidate_passes(per: str) -> None:
    """By the first session, or the first period, of each user, beside what all of them were like."""
    of = policy(per_session("errors", "10 points", per=per), per_session("latency", "30 %", per=per))
    when, verdicts = run(of, Guests(np.random.default_rng(4), users=1500), 1000.0)
    assert when == float("inf")
    for verdict in verdicts:
        assert verdict.outcome is (Outcome.PASS if verdict.gate != "unusable" else Outcome.INCONCLUSIVE), verdict.reason
    errors = verdicts[0]
    assert errors.candidate_met is not None
    assert errors.candidate_met.requests > errors.candidate_count > 500
    assert errors.candidate_met.value == pytest.approx(0.02 if per == "session" else 0.045, abs=0.01)
    assert errors.reason == f"harm is below the margin of 10 points per {per}"


def test_what_people_met_is_counted_in_sessions() -> None:
    """The share of those with a failure, and how long they take in all; those that go on aren't counted."""
    guests = Guests(np.random.default_rng(5), troubled=0.5, trouble=1.0)
    panel = begin(policy(per_session("errors", "30 points"), per_session("latency", "50 %")), guests)
    asked = 0
    for window in guests.stage(600.0):
        panel.update(window)
        asked += len(window.requests or ())
    errors, latency = panel.verdicts()[:2]
    assert errors.stable_met is not None
    assert latency.stable_met is not None
    assert errors.candidate_met is not None
    assert errors.stable_met.requests + errors.candidate_met.requests == pytest.approx(asked / 4.6, rel=0.1)
    assert errors.stable_met.value == pytest.approx(0.55, abs=0.07)
    assert latency.stable_met.value == pytest.approx(3400, rel=0.25)
    assert panel.sessions.by_stream
    assert all(len(held.open) for held in panel.sessions.by_stream.values())


def test_a_session_that_people_met_blocks_a_pass() -> None:
    """As a request does: first visits were fine, and what follows isn't."""
    guests = Guests(np.random.default_rng(6), users=1500)
    panel = begin(policy(per_session("errors", "10 points")), guests)
    for window in guests.stage(600.0):
        panel.update(window)
    panel.plain.arms[Metric.ERRORS].candidate.add(np.full(20_000, 599.0), np.full(20_000, 1.0))
    assert "over all sessions, not yet sure" in panel.verdicts()[0].reason


CORRELATED = policy(per_session("errors", "1 point"), alpha=0.2)


def clusters(seed: int) -> Guests:
    """A few users who come often; every session of a third of them fails, whatever serves them."""
    return Guests(np.random.default_rng(seed), users=24, between=60.0, troubled=0.33, trouble=0.95)


def by_session(stage: list[Window]) -> Iterator[Window]:
    """The same as if every session were another user."""
    known: dict[int, tuple[float, int]] = {}
    for window in stage:
        assert window.requests is not None
        units = []
        for at, unit in zip(window.requests.at.tolist(), window.requests.units.tolist(), strict=True):
            latest, visit = known.get(unit, (at, 0))
            known[unit] = at, visit + (at - latest >= 20.0)
            units.append(unit + 1000 * known[unit][1])
        yield replace(window, requests=replace(window.requests, units=np.array(units, np.int64)))


def is_false_alarm(seed: int, *, clustered: bool) -> bool:
    """Whether a candidate that changes nothing is rolled back within twenty minutes."""
    guests = clusters(seed)
    panel, stage = begin(CORRELATED, guests), guests.stage(1200.0, look=20.0)
    for window in stage if clustered else by_session(stage):
        panel.update(window)
        if panel.verdicts()[0].outcome is Outcome.FAIL:
            return True
    return False


@pytest.mark.parametrize("seed", range(2))
def test_users_who_resemble_themselves_are_no_harm(seed: int) -> None:
    """Though every session of a third of them fails, and they come twenty times."""
    assert not is_false_alarm(seed, clustered=True)


@pytest.mark.long
def test_false_alarms_are_within_alpha_where_sessions_of_a_user_are_alike() -> None:
    """And would not be, were each session another user: it is users who are drawn."""
    runs, rule = 100, rules(CORRELATED, half(CORRELATED))[0]
    alarms = sum(is_false_alarm(seed, clustered=True) for seed in range(runs))
    assert alarms <= binom.ppf(0.99, runs, rule.alpha)
    assert sum(is_false_alarm(seed, clustered=False) for seed in range(50)) > binom.ppf(0.99, 50, rule.alpha)


AT_MARGIN = policy(per_session("errors", "6 points"))


def as_bad_as_the_margin(metric: Metric, values: Floats, at: Floats, rank: Units) -> Floats:
    """A hundredth more than six sessions in a hundred fail with their first request."""
    if metric is not Metric.ERRORS:
        return values
    return np.where((rank == 0) & ((at * 7919) % 1 < 0.07), 1.0, values)


@pytest.mark.long
def test_a_candidate_as_bad_as_its_margin_hardly_ever_passes() -> None:
    """And one that is fine does, on the same traffic."""
    passes = []
    for harm in (as_bad_as_the_margin, no_harm):
        runs = [run(AT_MARGIN, Guests(np.random.default_rng(s), users=1200), 500.0, harm)[1][0] for s in range(40)]
        passes.append(sum(verdict.outcome is Outcome.PASS for verdict in runs))
    assert passes[0] <= binom.ppf(0.99, 40, 1 - AT_MARGIN.confidence)
    assert passes[1] >= 36


@pytest.mark.long
@pytest.mark.parametrize(
    "turns",
    [pytest.param(4.0, id="short sessions", marks=pytest.mark.soak), pytest.param(30.0, id="sessions of a minute")],
)
def test_sessions_that_are_longer_on_the_candidate_hardly_ever_pass(turns: float) -> None:
    """Though those that are over first are short ones; as long as stable's they pass."""
    of, passes = policy(per_session("latency", "25 %")), []
    for factor in (1.3, 1.0):
        passed = 0
        for seed in range(30):
            guests = Guests(np.random.default_rng(seed), 1200, 600.0, turns=turns, candidate_turns=factor)
            panel = begin(of, guests)
            for window in guests.stage(400.0):
                panel.update(window)
                if panel.verdicts()[0].outcome is Outcome.PASS:
                    passed += 1
                    break
        passes.append(passed)
    assert passes[0] <= binom.ppf(0.99, 30, 1 - of.confidence)
    assert passes[1] >= 24


RESTARTED = policy(
    per_session("errors", "6 points"),
    per_session("latency", "20 %", adjust_for=["own_past"]),
    per_session("satisfaction", "20 points"),
    per_session("quality", "20 points", per="user"),
)


def everything(stage: list[Window], edges: list[float]) -> list[Window]:
    """The same requests and ratings in windows with these ends."""

    def between(events: list[Events], early: float, late: float) -> Events:
        whole = events[0]
        for more in events[1:]:
            whole = whole.together(more)
        return whole.only((whole.at >= early) & (whole.at < late))

    return [
        Window(
            0.5,
            requests=between([window.requests for window in stage if window.requests is not None], early, late),
            ratings={
                metric: between([window.ratings[metric] for window in stage], early, late)
                for metric in (Metric.SATISFACTION, Metric.QUALITY)
            },
            until=late,
        )
        for early, late in zip([-np.inf, *edges], edges, strict=False)
    ]


@pytest.mark.parametrize("looks", [1, 5, 30])
def test_a_restart_changes_nothing(looks: int) -> None:
    """Sessions that go on aren't stored; read again in other windows, they end as they would have."""
    guests = Guests(np.random.default_rng(9), users=120, between=100.0)
    history, past, stage = guests.history(), guests.requests(-4000.0, -1300.0), guests.stage(600.0, third_fails)
    kept = GateSet.begin(RESTARTED, half(RESTARTED), history, past)
    for window in stage[:looks]:
        kept.update(window)
    again = GateSet.load(RESTARTED, half(RESTARTED), json.loads(json.dumps(kept.dump(), allow_nan=False)))
    assert again.verdicts() == kept.verdicts()
    again.learn_past(past)
    until = stage[looks - 1].until
    cuts = np.sort(np.random.default_rng(looks).uniform(0, until, looks // 2)).tolist()
    again.remember(everything(stage[:looks], [*cuts, until]))
    recalled = GateSet.load(RESTARTED, half(RESTARTED), json.loads(json.dumps(kept.dump())))
    recalled.recall(again)
    for window in stage[looks:]:
        for panel in (kept, again, recalled):
            panel.update(window)
    assert again.verdicts() == recalled.verdicts() == kept.verdicts()
    assert json.dumps(again.dump()) == json.dumps(recalled.dump()) == json.dumps(kept.dump())


def test_a_panel_that_remembers_nothing_would_miss_sessions() -> None:
    """So that the test above can fail."""
    guests = Guests(np.random.default_rng(9), users=120, between=100.0)
    kept, stage = begin(ERRORS, guests), guests.stage(300.0)
    for window in stage[:10]:
        kept.update(window)
    again = GateSet.load(ERRORS, half(ERRORS), kept.dump())
    for window in stage[10:]:
        kept.update(window)
        again.update(window)
    assert again.dump() != kept.dump()


def test_sessions_are_learnt_from_a_longer_past() -> None:
    """A short one has no session from its beginning to its end, and bets begin later."""
    guests = Guests(np.random.default_rng(10))
    history, longer = guests.history(15.0), guests.history()
    known = [GateSet.begin(LATENCY, half(LATENCY), history, longer=more) for more in (None, longer)]
    edges = [panel.dump()["returning"]["books"]["sessions"]["channels"]["latency"]["edges"] for panel in known]
    assert edges[0] == [None] * 3
    assert edges[1][0] > 3000


def test_where_requests_of_a_unit_can_not_be_told_apart_nothing_is_judged() -> None:
    """Not request by request in place of session by session."""
    guests = Guests(np.random.default_rng(11))
    of = policy(per_session("errors", "6 points"), {"metric": "latency", "margin": "20 %"})
    panel = GateSet.begin(of, half(of), replace(guests.history(), requests=None))
    for window in guests.stage(200.0, third_fails):
        panel.update(replace(window, requests=None, ratings={}))
    errors = panel.verdicts()[0]
    assert errors.outcome is Outcome.INCONCLUSIVE
    assert errors.candidate_count == 0
    assert errors.reason == "can't count per session: it isn't known which requests are of one unit"


def test_on_copies_gates_count_requests() -> None:
    """A sample of requests has no sessions; the verdict says per what it is."""
    of = policy(per_session("errors", "6 points"), {"metric": "latency", "margin": "20 %"})
    for stage in plan(of):
        if stage.kind is StageKind.EVAL:
            continue
        wanted = Per.SESSION if 0 < stage.weight_percent < 100 else Per.REQUEST
        assert [rule.per for rule in rules(of, stage)] == [wanted, Per.REQUEST, wanted]
        assert GateSet.begin(of, stage).verdicts()[0].per is wanted


def test_lost_rows_are_compared_with_requests_not_with_sessions() -> None:
    """A session has many requests: one in a hundred of these may be lost."""
    guests = Guests(np.random.default_rng(12))
    panel = begin(ERRORS, guests)
    asked = 0
    for window in guests.stage(100.0):
        panel.update(window)
        asked += len(window.requests or ())
    panel.dropped = int(0.009 * asked)
    assert panel.verdicts()[0].outcome is not Outcome.ERROR
    panel.dropped = int(0.011 * asked)
    assert panel.verdicts()[0].outcome is Outcome.ERROR
