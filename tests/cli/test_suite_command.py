"""`softlaunch suite`: golden sets from the command line."""

from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from softlaunch.cli.exits import Exit
from softlaunch.core.arms import ByArm
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.calls.recorded_answers import ComparedDigests, add_answers, open_run
from softlaunch.evals.suites.golden_set import Suite
from softlaunch.evals.suites.suite import load_suite
from softlaunch.metrics import ACCURACY
from softlaunch.store.database import Database
from softlaunch.store.tables import TextRow
from tests.support.builders import APP, NOON, record_app
from tests.support.commands import Run


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """A golden set of two cases, long out of date."""
    path = tmp_path / "golden.jsonl"
    rows = [
        {"suite": {"owner": "anna", "created": "2020-01-01"}},
        {"id": "a", "question": "When do you open?", "expected": "9", "tags": ["hours"]},
        {"id": "b", "question": "Is 7 prime?", "expected": "yes"},
    ]
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return path


def test_check_says_that_it_is_sound_and_what_to_see_to(softlaunch: Run, golden: Path) -> None:
    """A warning is no error."""
    done = softlaunch("suite", "check", str(golden))
    assert done.code == Exit.OK
    assert "is sound: 2 cases" in done.out
    assert "warning: the golden set is from 2020-01-01" in done.out
    told = orjson.loads(softlaunch("suite", "check", str(golden), "--json").out)
    assert (told["cases"], [one["kind"] for one in told["warnings"]]) == (2, ["golden_set_stale"])


def test_check_says_what_so_few_cases_can_show(softlaunch: Run, golden: Path) -> None:
    """Before any call, with what it would take; a policy beside it says how large a loss is tolerated."""
    assert "2 cases can't show 2 points" in softlaunch("suite", "check", str(golden)).out
    policy = golden.with_name("softlaunch.yaml")
    policy.write_text("app: bot\neval: {golden_set: golden.jsonl, tolerance: 90 points}\n")
    told = softlaunch("suite", "check", str(golden), "--policy", str(policy)).out
    assert "2 cases can show 90 points" in told
    assert "An eval makes at most 24 calls" in told
    assert "2 cases can show 90 points" in softlaunch("policy", "check", str(policy)).out
    assert orjson.loads(softlaunch("policy", "check", str(policy), "--json").out)["can_show"]["suffices"]


def test_power_prints_a_table_and_draws_it(softlaunch: Run, golden: Path) -> None:
    """The page is one file with the plot in it."""
    told = orjson.loads(softlaunch("suite", "power", str(golden), "--json").out)
    assert [one["loss"] for one in told["by_true_loss"]] == [-0.02, 0.0, 0.02, 0.05, 0.1, 0.2]
    assert told["calls_at_most"] == 24
    page = Path(told["page"]).read_text()
    assert '<svg class="power"' in page
    assert "true difference, points" in page


def test_flicker_shows_cases_that_slip(
    softlaunch: Run, golden: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over five evals one went from 3 of 3 to 2 of 3; the steady one is counted, and shown when asked for."""
    monkeypatch.setenv("SOFTLAUNCH_DATABASE_URL", database_url)
    record_app(database)
    for number, each in enumerate(["111", "111", "111", "110", "110"]):
        _record_eval(database, number, load_suite(golden), {"a": each, "b": "111"})
    told = softlaunch("suite", "flicker", str(golden), "--app", APP).out
    assert "1 always right, 1 flickering" in told
    assert "flickering, slipping" in told
    assert "3/3 3/3 3/3 2/3 2/3" in told
    found = orjson.loads(softlaunch("suite", "flicker", str(golden), "--app", APP, "--json").out)["cases"]
    assert [(one["stability"], one["slipping"]) for one in found] == [("flickering", True), ("always right", False)]


def _record_eval(database: Database, number: int, suite: Suite, scores: dict[str, str]) -> None:
    run_id, digests = f"eval-{number}", ComparedDigests(suite.digest, ByArm("candidate", "stable"))
    open_run(database, run_id, APP, None, digests, NOON + timedelta(days=number))
    digest_of = {case.id: case.digest for case in suite.cases}
    given = [
        EvalAnswer(
            CallKey(EvalArm.STABLE, case_id, repeat),
            "stable",
            Status.SCORED,
            scores={ACCURACY: float(score)},
            case_digest=digest_of[case_id],
        )
        for case_id, each in scores.items()
        for repeat, score in enumerate(each)
    ]
    add_answers(database, run_id, given)


def test_a_broken_case_is_named(softlaunch: Run, golden: Path) -> None:
    """File, line, key, value and what was expected."""
    with golden.open("a") as file:
        file.write('\n{"id": "c", "question": "?", "expected": "many", "metric": "numeric"}')
    done = softlaunch("suite", "check", str(golden))
    assert done.code == Exit.USAGE
    assert f"{golden}, line 4: expected: 'many': expected a number, for metric numeric" in done.err


def test_stats_count_by_tag_and_metric(softlaunch: Run, golden: Path) -> None:
    """With owner and dates."""
    told = orjson.loads(softlaunch("suite", "stats", str(golden), "--json").out)
    assert (told["cases"], told["metrics"], told["tags"]) == (2, {"contains": 2}, {"hours": 1})
    assert told["header"]["owner"] == "anna"
    assert "owner anna" in softlaunch("suite", "stats", str(golden)).out


def test_add_takes_what_is_new(softlaunch: Run, golden: Path, tmp_path: Path) -> None:
    """Here from CSV; a question that is there already is left out."""
    new = tmp_path / "new.csv"
    new.write_text("id,question,expected\nc,Do you ship to Norway?,yes\nd,when do you OPEN?,9\n")
    told = orjson.loads(softlaunch("suite", "add", str(golden), str(new), "--from", "csv", "--json").out)
    assert (told["added"], told["known"]) == (["c"], ["d"])
    assert [case.id for case in load_suite(golden).cases] == ["a", "b", "c"]
    assert load_suite(golden).header.owner == "anna"
    assert "Added 0 cases" in softlaunch("suite", "add", str(golden), str(new), "--from", "csv").out


def test_refresh_proposes_from_the_traffic_and_add_accepts(softlaunch: Run, golden: Path, tmp_path: Path) -> None:
    """Only what stable answered, and a person stands between."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    record_app(database)
    with database.begin() as session:
        for number, arm in enumerate(["stable", "stable", "candidate", "shadow"]):
            texts = {"question": f"How do I return item {number * 997}?", "answer": "By post."}
            session.add(TextRow(request_id=f"r{number}", arm=arm, app=APP, expires_at=1e12, **texts))  # type: ignore[arg-type]  # texts alone
    database.close()
    out = tmp_path / "proposals.jsonl"
    arguments = ("suite", "refresh", str(golden), "--app", APP, "--out", str(out), "--alike", "0.99")
    assert "Wrote 2 proposals" in softlaunch(*arguments).out
    assert {case.tags for case in load_suite(out).cases} == {("proposed",)}
    assert softlaunch("suite", "add", str(golden), str(out), "--alike", "0.99").code == Exit.OK
    grown = load_suite(golden)
    assert {case.id for case in grown.cases} == {"a", "b", "log-r0", "log-r1"}
    assert grown.header.refreshed is not None
    assert not any("proposed" in case.tags for case in grown.cases)
    nothing_left = softlaunch(*arguments)
    assert nothing_left.code == Exit.USAGE
    assert "none that" in nothing_left.err
    assert "texts.keep" in nothing_left.err
