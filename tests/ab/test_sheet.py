"""The sheet that people read when figures can't decide."""

import random
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from softlaunch.ab.sheet import NoSheetError, ask_both, choose
from softlaunch.policy.release import Kind, Release, State
from softlaunch.reports.ab_page import write_sheet
from softlaunch.store.database import Database
from tests.support.builders import make_policy, make_release
from tests.support.endpoints import Endpoint, Reply, running_endpoint, variant

BOTH = [(f"c{number}", f"Question {number}?", f"a{number}", f"b{number}") for number in range(100)]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A real endpoint."""
    with running_endpoint() as running:
        yield running


def trial(endpoint: Endpoint, folder: Path) -> Release:
    """A test of one model against another on a golden set of thirty cases."""
    cases = [{"id": f"c{number}", "question": f"Question {number}?", "expected": "yes"} for number in range(30)]
    (folder / "golden.jsonl").write_bytes(b"\n".join(orjson.dumps(case) for case in cases))
    return make_release(
        State.CONCLUDED,
        kind=Kind.AB_TEST,
        policy=make_policy(ab={"sheet_pairs": 10}),
        policy_path=str(folder / "policy.yaml"),
        stable=variant(endpoint.url, "a"),
        candidate=variant(endpoint.url, "b"),
    )


def test_both_are_asked_once_and_shown_without_saying_whose_is_whose(
    database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """As many pairs as the policy wants; asked a second time it costs nothing and is the same sheet."""
    endpoint.behaviour = lambda model, question, before: Reply(f"{model} says yes to {question}")
    release = trial(endpoint, tmp_path)
    pairs = ask_both(database, release)
    assert len(pairs) == 10
    assert endpoint.asked.total() == 60
    assert all(pair.left.startswith("b" if pair.left_is_b else "a") for pair in pairs)
    assert ask_both(database, release) == pairs
    assert endpoint.asked.total() == 60
    page = write_sheet(release, pairs, tmp_path).read_text(encoding="utf-8")
    assert page.count("□ equal") == 10


def test_equal_answers_make_no_sheet(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """And the message says that they are."""
    with pytest.raises(NoSheetError, match="same answers to the whole golden set"):
        ask_both(database, trial(endpoint, tmp_path))


def test_sides_are_thrown_by_lot() -> None:
    """About as often left as right, and differently for each question."""
    left = sum(pair.left_is_b for pair in choose(BOTH, 100, random.Random(3)))
    assert 30 < left < 70
