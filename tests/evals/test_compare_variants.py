"""Two variants on given cases, within a budget: what checks outside of a release are built on."""

from softlaunch.core.verdict import Outcome
from softlaunch.evals.standalone import Comparison, compare_variants
from softlaunch.evals.suites.golden_set import Suite
from softlaunch.policy.evals import EvalPolicy
from softlaunch.store.database import Database
from tests.evals.arms import cases
from tests.support.endpoints import Endpoint, Reply, variant


def comparison(endpoint: Endpoint, **fields: object) -> Comparison:
    """A hundred cases, asked of `good` and `new`; fields are those of the policy."""
    policy = EvalPolicy.model_validate({"golden_set": None, "repeats": 1, "maximum_repeats": 1, **fields})
    suite = Suite.of(tuple(cases(100)))
    return Comparison("support", variant(endpoint.url, "good"), variant(endpoint.url, "new"), suite, policy)


def test_it_stops_early_and_started_again_it_pays_nothing(database: Database, endpoint: Endpoint) -> None:
    """The same comparison is the same run, in whichever process."""
    endpoint.behaviour = lambda model, question, before: Reply("no" if model == "new" else "yes", delay=0.05)
    first = compare_variants(database, comparison(endpoint, concurrency=4))
    assert first.report is not None
    assert first.report.outcome is Outcome.FAIL
    asked = endpoint.asked.total()
    assert asked < 150
    assert compare_variants(database, comparison(endpoint, concurrency=4)).report == first.report
    assert endpoint.asked.total() == asked


def test_a_budget_that_runs_out_is_said_and_a_larger_one_goes_on(database: Database, endpoint: Endpoint) -> None:
    """Raising a limit makes no other comparison of it."""
    short = compare_variants(database, comparison(endpoint, budget_calls=50))
    assert short.halted == "the budget of 50 calls is used up"
    assert short.report is not None
    assert short.report.outcome is Outcome.INCONCLUSIVE
    whole = compare_variants(database, comparison(endpoint, budget_calls=500))
    assert (whole.halted, whole.done, endpoint.asked.total()) == (None, 200, 200)
