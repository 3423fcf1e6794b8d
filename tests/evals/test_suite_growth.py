"""Golden sets that grow: what is new to them, how they are written, what is proposed."""

from datetime import date
from pathlib import Path

import pytest

from softlaunch.evals.suites.case import Case
from softlaunch.evals.suites.golden_set import Suite, SuiteHeader
from softlaunch.evals.suites.suite import SuiteError, load_suite
from softlaunch.evals.suites.suite_growth import Logged, append_cases, grown_by, propose

TODAY = date(2026, 11, 24)


def case(name: str, question: str, **fields: object) -> Case:
    """A case that expects yes."""
    return Case.model_validate({"id": name, "question": question, "expected": "yes", **fields})


SUITE = Suite.of((case("a", "When do you open on Mondays?"), case("b", "Is 7 prime?")))


def test_questions_that_are_alike_are_known() -> None:
    """By id, by word, in any order; numbers and other words make another question."""
    new = [
        case("a", "Anything else?"),
        case("c", "when do you open on  mondays"),
        case("d", "On Mondays, when do you open?"),
        case("e", "Is 9 prime, too?"),
        case("f", "Is 9 prime, too?"),
    ]
    grown = grown_by(SUITE, new)
    assert [one.id for one in grown.added] == ["e"]
    assert grown.known == ("a", "c", "d", "f")


def test_other_numbers_make_another_question() -> None:
    """However alike the words around them: a golden set of sums is not one case."""
    sums = [case(f"s{number}", f"How much is {number} % of 250, rounded to whole euros?") for number in range(10, 30)]
    assert len(grown_by(None, sums).added) == 20
    assert grown_by(Suite.of(tuple(sums)), [case("x", "How much is 12 % of 250 rounded to whole euros")]).known == (
        "x",
    )


def test_order_numbers_of_users_make_no_other_question() -> None:
    """What is drawn from traffic is to be varied: one question about an order is enough, sums are not."""
    asked = [Logged(f"o{n}", f"Where on earth is my order {n}, please?", "Soon.") for n in range(4_711_000, 4_711_009)]
    asked += [Logged(f"s{n}", f"Could you tell me how much is {n} % of 80?", "Some.") for n in range(10, 13)]
    drawn = propose(SUITE, asked, 50, seed=1)
    assert sorted(str(one["id"])[:5] for one in drawn) == ["log-o", "log-s", "log-s", "log-s"]


@pytest.mark.parametrize("name", ["golden.jsonl", "golden.yaml"])
def test_cases_are_added_to_either_form(tmp_path: Path, name: str) -> None:
    """What was there stays, and the header is dated."""
    path = tmp_path / name
    metrics = ["numeric:tolerance=0.5", {"metric": "contains:expected=a", "label": "says a"}]
    first = case("a", "How much?", expected=7, metrics=metrics, tags=["x"], weight=2.0)
    assert append_cases(path, [first], TODAY).created == TODAY
    header = append_cases(path, [case("b", "Is it?")], date(2026, 12, 1), refreshed=True)
    assert (header.created, header.refreshed) == (TODAY, date(2026, 12, 1))
    read = load_suite(path)
    assert read.cases == (first, case("b", "Is it?"))
    assert read.header == header
    assert not list(tmp_path.glob("*.partial"))


def test_nothing_is_no_golden_set(tmp_path: Path) -> None:
    """A file without cases could never be read again."""
    with pytest.raises(SuiteError, match="nothing to write"):
        append_cases(tmp_path / "golden.jsonl", [], TODAY)


def test_proposals_are_new_drawn_and_for_a_person() -> None:
    """The same seed draws the same; what the set has, or another proposal, isn't proposed again."""
    logged = [Logged(f"r{number}", f"What about item {number * 997}?", "It is blue.") for number in range(40)]
    logged += [Logged("x", "is 7 PRIME?", "yes"), Logged("y", " ", "?")]
    found = propose(SUITE, logged, 10, seed=3, similarity=0.99)
    assert len(found) == 10
    assert found == propose(SUITE, logged[::-1], 10, seed=3, similarity=0.99)
    assert found != propose(SUITE, logged, 10, seed=4, similarity=0.99)
    everything = propose(SUITE, logged, 100, seed=3, similarity=0.99)
    assert len(everything) == 40
    assert all(one["tags"] == ["proposed"] and one["expected"] == "It is blue." for one in everything)


@pytest.mark.parametrize(
    ("header", "kinds"),
    [
        pytest.param({"created": "2026-11-01"}, [], id="young"),
        pytest.param({"created": "2025-01-01", "refreshed": "2026-06-01"}, [], id="refreshed in time"),
        pytest.param({"created": "2026-05-01"}, ["golden_set_stale"], id="old"),
        pytest.param({}, ["golden_set_undated"], id="nobody knows"),
    ],
)
def test_old_golden_sets_warn(header: dict[str, str], kinds: list[str]) -> None:
    """After six months without a refresh."""
    suite = Suite.of(SUITE.cases, SuiteHeader.model_validate(header))
    assert [one.kind for one in suite.warnings(TODAY)] == kinds
