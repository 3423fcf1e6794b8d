"""Asking judges about the answers to copies: with a real endpoint, on a real ledger."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from softlaunch.catalog.records import record_model
from softlaunch.core.clock import utc_now
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.judges.agreement import Estimate
from softlaunch.policy.model import Policy
from softlaunch.shadow.copies import copy_judgements_after, spent_on_copies
from softlaunch.shadow.judge import CopyJudge
from softlaunch.store.database import Database
from softlaunch.store.tables import CopyJudgementRow
from tests.support.copied import BEGUN, scope_of, shadow_policy, trust_judge, write
from tests.support.endpoints import Endpoint, Reply, running_endpoint, variant
from tests.support.servers import wait_until

GUARD = {"metric": "preference", "margin": "5 points", "role": "guard"}
SHOWN = {"metric": "preference", "margin": "5 points"}


@pytest.fixture
def ledger(migrated_file: Path, tmp_path: Path) -> Database:
    """A ledger on SQLite; what is stored is tested on both databases elsewhere."""
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    return Database(f"sqlite:///{tmp_path / 'ledger.db'}")


def prefers_good(model: str, prompt: str, before: int) -> Reply:
    """Prefers the answer that says so, in whatever order."""
    first, second = ("good" in part for part in re.findall(r"<answer_[ab]>\n(.*?)\n</", prompt))
    return Reply("[[C]]" if first == second else f"[[{'A' if first else 'B'}]]")


@pytest.fixture
def judging(ledger: Database) -> Iterator[Endpoint]:
    """An endpoint that plays the judge whom the policy names."""
    with running_endpoint() as endpoint:
        endpoint.behaviour = prefers_good
        with ledger.begin() as session:
            record_model(session, variant(endpoint.url, "judge").model, "models.yaml", utc_now())
        yield endpoint


def judge_of(ledger: Database) -> CopyJudge:
    """A judge that lives at the time of the copies and soon gives up."""
    return CopyJudge(ledger, retries=Retries(attempts=1), clock=lambda: BEGUN + 100)


def judge_all(ledger: Database, policy: Policy, judge: CopyJudge, count: int) -> dict[tuple[str, int], float | None]:
    """Look as a driver does until so many pairs were judged: their values by arm and unit."""
    scope = scope_of(policy)
    assert policy.shadow is not None
    judging = policy.shadow.judging

    def said() -> int:
        assert judge.work(scope, policy, judging, BEGUN) == ""
        with ledger.read() as session:
            return len(copy_judgements_after(session, scope, 0))

    try:
        wait_until(lambda: said() >= count, f"{count} pairs are judged")
    finally:
        judge.close()
    with ledger.read() as session:
        return {(one.arm.value, one.unit): one.value for one in copy_judgements_after(session, scope, 0)}


def test_both_copies_are_judged_in_both_orders(ledger: Database, judging: Endpoint) -> None:
    """A judge sees the candidate's answer, and stable's second one, beside the user's; every call is priced."""
    write(ledger, [("good", "poor", "good"), ("poor", "good"), ("poor", "poor", "good")])
    policy = shadow_policy(SHOWN)
    found = judge_all(ledger, policy, judge_of(ledger), 5)
    assert found == {
        ("shadow", 0): 0.0,
        ("control", 0): 0.5,
        ("shadow", 1): 1.0,
        ("shadow", 2): 0.5,
        ("control", 2): 1.0,
    }
    with ledger.read() as session:
        calls, usd = spent_on_copies(session, scope_of(policy))
        reasons = set(session.exec(select(CopyJudgementRow.reason)))
    assert (calls, judging.asked.total()) == (10, 10)
    assert usd == pytest.approx(10 * 30e-6)
    assert reasons == {""}  # a reason would keep texts beyond their retention


def test_a_judge_below_the_floor_decides_nothing_and_costs_nothing(ledger: Database, judging: Endpoint) -> None:
    """A gate that may stop a release says what to do first, and nobody is paid for what couldn't count."""
    write(ledger, [("good", "poor")])
    policy = shadow_policy(GUARD)
    assert policy.shadow is not None
    judge = judge_of(ledger)
    told = judge.work(scope_of(policy), policy, policy.shadow.judging, BEGUN)
    assert "judge can't gate: it hasn't been compared with people's labels" in told
    trust_judge(ledger, Estimate(0.45, 0.3, 0.6))
    told = judge.work(scope_of(policy), policy, policy.shadow.judging, BEGUN)
    assert "kappa 0.45 against people on 200 labels, at least 0.30" in told
    assert not judging.asked
    trust_judge(ledger, Estimate(0.7, 0.6, 0.8))
    assert judge_all(ledger, policy, judge, 1) == {("shadow", 0): 0.0}


def test_the_budget_of_the_stage_ends_it(ledger: Database, judging: Endpoint) -> None:
    """Also for whoever resumes it in another process; the figures say that no more is asked."""
    write(ledger, [("good", "poor")] * 20)
    policy = shadow_policy(SHOWN, shadow={"floor_percent": 50, "judging": {"budget_calls": 12, "concurrency": 1}})
    assert policy.shadow is not None
    first = judge_of(ledger)
    judge_all(ledger, policy, first, 6)
    assert judging.asked.total() == 12
    assert first.spent_out("support-bot-1") == "Judges are no longer asked: the budget of 12 calls is used up."
    second = judge_of(ledger)
    assert second.work(scope_of(policy), policy, policy.shadow.judging, BEGUN) == ""
    second.close()
    assert second.spent_out("support-bot-1")
    assert judging.asked.total() == 12


def test_what_was_judged_is_not_paid_twice(ledger: Database, judging: Endpoint) -> None:
    """The next driver asks only about the rest."""
    write(ledger, [("good", "poor")] * 3)
    policy = shadow_policy(SHOWN)
    judge_all(ledger, policy, judge_of(ledger), 3)
    write(ledger, [("good", "good")] * 4, first=3)
    judge_all(ledger, policy, judge_of(ledger), 7)
    assert judging.asked.total() == 14


def test_only_a_sample_is_judged(ledger: Database, judging: Endpoint) -> None:
    """A tenth of the units, told by their pseudonyms."""
    write(ledger, [("good", "poor")] * 20)
    policy = shadow_policy(SHOWN, shadow={"floor_percent": 50, "judging": {"sample_percent": 0.05}})
    assert set(judge_all(ledger, policy, judge_of(ledger), 5)) == {("shadow", number) for number in range(5)}


def test_a_judge_that_fails_is_counted_and_says_why(ledger: Database, judging: Endpoint) -> None:
    """No verdict, no score; what it said in its place is kept."""
    write(ledger, [("good", "poor")])
    judging.behaviour = lambda model, prompt, before: Reply("Hm.")
    assert judge_all(ledger, shadow_policy(SHOWN), judge_of(ledger), 1) == {("shadow", 0): None}
    with ledger.read() as session:
        assert session.exec(select(CopyJudgementRow.reason)).one() == "judge said what can't be read: 'Hm.'"


def test_a_judge_that_is_not_recorded_is_an_obstacle(ledger: Database) -> None:
    """It says which, and the look goes on."""
    policy = shadow_policy(SHOWN)
    assert policy.shadow is not None
    told = judge_of(ledger).work(scope_of(policy), policy, policy.shadow.judging, BEGUN)
    assert told.startswith("judges can't be asked:")
    assert "judge" in told
