"""The parts of a check that decide without asking: moved models, what would decide, what could be shown, whose turn."""

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from softlaunch.core.quantities import Margin
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.suites.case import Case
from softlaunch.evals.suites.golden_set import Suite
from softlaunch.policy.evals import EvalPolicy
from softlaunch.pull_requests.asking import Allowed, why_not_asked
from softlaunch.pull_requests.deciding import spread_of, what_would_decide
from softlaunch.pull_requests.moved_models import moved_models
from softlaunch.pull_requests.planning import plan_comparison
from softlaunch.pull_requests.turns import taking_turns
from softlaunch.store.database import Database
from tests.support.endpoints import instruction, variant

STEADY = variant("http://one.example/v1", "steady", prompt=instruction("You help."))


def answer(arm: EvalArm, case: int, repeat: int, value: float, **more: object) -> EvalAnswer:
    """A scored answer."""
    key = CallKey(arm, f"c{case}", repeat)
    fields = {"variant_digest": STEADY.digest, "scores": {"accuracy": value}, **more}
    return EvalAnswer(key, status=Status.SCORED, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reused", "fresh", "moved"),
    [
        pytest.param([("m-1", None)], [("m-2", None)], True, id="another model"),
        pytest.param([("m", "fp-a")], [("m", "fp-b")], True, id="another fingerprint"),
        pytest.param([("m", "fp-a"), ("m", "fp-b")], [("m", "fp-b"), ("m", "fp-c")], False, id="one of several"),
        pytest.param([(None, None)], [("m-2", None)], False, id="who answered before isn't known"),
        pytest.param([("m-1", None)], [], False, id="nobody was asked"),
    ],
)
def test_a_model_has_moved_where_no_identity_is_shared(
    reused: list[tuple[str | None, str | None]], fresh: list[tuple[str | None, str | None]], *, moved: bool
) -> None:
    """Providers serve several fingerprints at a time, so one that is new says nothing by itself."""
    answers = [
        answer(EvalArm.STABLE, number, 0, 1.0, resolved_model=model, fingerprint=mark, reused=is_reused)
        for is_reused, named in ((True, reused), (False, fresh))
        for number, (model, mark) in enumerate(named)
    ]
    assert bool(moved_models(answers, {STEADY.digest: STEADY})) is moved


def drawn(*, chance_of_a_case: bool) -> list[EvalAnswer]:
    """Four fifths of two arms' answers are right: by chance at every repeat, or drawn once for each case of an arm."""
    rng = random.Random(1)
    return [
        answer(arm, case, repeat, value if chance_of_a_case else float(rng.random() < 0.8))
        for arm in EvalArm
        for case in range(200)
        for value in [float(rng.random() < 0.8)]
        for repeat in range(2)
    ]


@pytest.mark.parametrize(
    ("chance_of_a_case", "way"),
    [
        pytest.param(False, "repeats of each case (there are 2)", id="chance within cases: repeats"),
        pytest.param(True, "or a tolerance of", id="chance between cases: no number of repeats"),
    ],
)
def test_what_would_decide_goes_by_what_varies(*, chance_of_a_case: bool, way: str) -> None:
    """More cases always help; repeats only against the chance of one answer."""
    cases = [Case(id=f"c{n}", question="q", expected="yes") for n in range(200)]
    answers = drawn(chance_of_a_case=chance_of_a_case)
    spread = spread_of(answers, "accuracy")
    assert (spread.within == 0) is chance_of_a_case
    report = compare(cases, answers, EvalPolicy(golden_set="x", tolerance=Margin.parse("2 points")))
    (said,) = what_would_decide(report, answers)
    assert "more cases (there are 200)" in said
    assert way in said


def test_a_plan_counts_what_is_recorded() -> None:
    """Recorded answers are not asked again, and cost what is left what they have cost."""
    suite = Suite.of(tuple(Case(id=f"c{n}", question="q" * n, expected="yes") for n in range(1, 11)))
    other = variant("http://one.example/v1", "steady", prompt=instruction("You help well."))
    recorded = {
        (STEADY.digest, case.digest, 0): answer(EvalArm.STABLE, 0, 0, 1.0, cost_usd=0.5) for case in suite.cases[:4]
    }
    plan = plan_comparison((STEADY, other), suite, EvalPolicy(golden_set="x", repeats=1, maximum_repeats=1), recorded)
    assert (plan.calls, plan.most_calls, plan.reusable) == (20, 20, 4)
    assert plan.cost_usd == pytest.approx(6 * 0.5, rel=0.05)
    assert "as 4 recorded answers" in plan.basis


@pytest.mark.parametrize("header", [False, True], ids=["as the key", "as a header"])
def test_a_key_stays_with_its_host(*, header: bool) -> None:
    """What the base sends to one host goes to another one only where that host is allowed."""
    keyed = {"headers": {"x-token": {"env": "KEY"}}} if header else {"api_key_env": "KEY"}
    here, there = (variant(f"https://{host}.example/v1", "m", **keyed).model for host in ("here", "there"))
    environment = {"KEY": "secret"}
    assert why_not_asked([here], Allowed.by([here], ()), environment) == ()
    (objection,) = why_not_asked([there], Allowed.by([here], ()), environment)
    assert "KEY to there.example" in objection
    assert why_not_asked([there], Allowed.by([here], ["there.example"]), environment) == ()


def _hold(url: str, log: str, name: str) -> None:
    with taking_turns(Database(url), "shop"), Path(log).open("a") as file:
        file.write(f"{name} begins\n")
        file.flush()
        time.sleep(0.2)
        file.write(f"{name} ends\n")


@pytest.mark.long
def test_one_process_at_a_time(database_url: str, tmp_path: Path) -> None:
    """Of two processes the second begins when the first has ended; another app waits for nobody."""
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_hold, args=(database_url, str(log), name)) for name in ("a", "b")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    lines = log.read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["begins", "ends", "begins", "ends"]
    with taking_turns(Database(database_url), "shop"), taking_turns(Database(database_url), "other"):
        pass
