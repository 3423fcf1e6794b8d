"""`softlaunch suite`: golden sets from the command line."""

from pathlib import Path

import orjson
import pytest

from softlaunch.cli.exits import Exit
from softlaunch.evals.suites.suite import load_suite
from softlaunch.store.database import Database
from softlaunch.store.tables import TextRow
from tests.support.builders import APP, record_app
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
