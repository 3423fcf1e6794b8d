"""The check on a repository with six changes, each of which it has to call by the right word, within its budget."""

from typing import Any

from tests.pull_requests.conftest import Check
from tests.support.shop_repository import CASES, Shop, answer_as, golden_set

BUDGET = ("--budget-calls", str(2 * CASES))


def the_variant(document: dict[str, Any]) -> dict[str, Any]:
    """The one variant that a change touches."""
    (app,) = document["apps"]
    (variant,) = app["variants"]
    found: dict[str, Any] = variant
    return found


def test_six_commits(shop: Shop, check: Check) -> None:
    """Good, worse, worse in a critical segment, hidden by an edit, on a model that moved, and no change at all."""
    asked = shop.endpoint.asked

    shop.branch("good")
    shop.write_prompt("1.1.0", "Nothing is wrong.")
    shop.repo.commit("A better prompt")
    code, good = check(*BUDGET)
    assert (code, good["outcome"], good["calls"], asked.total()) == (0, "pass", 2 * CASES, 2 * CASES)

    shop.branch("worse")
    shop.write_prompt("1.1.0", "Wrong: every 3")
    shop.repo.commit("A worse prompt")
    asked.clear()
    code, worse = check(*BUDGET)
    assert (code, worse["outcome"]) == (3, "fail")
    assert (worse["calls"], worse["reused"], asked.total()) == (CASES, CASES, CASES)

    shop.branch("worse-for-refunds")
    shop.write_prompt("1.1.0", "Wrong: refunds every 1")
    shop.repo.commit("Better, but for refunds")
    code, segment = check(*BUDGET)
    assert (code, segment["outcome"]) == (3, "fail")
    (judged,) = the_variant(segment)["judged"]
    gates = {gate["name"]: gate["outcome"] for gate in judged["comparison"]["gates"]}
    assert gates["accuracy"] != "fail"
    assert gates["segment refunds"] == "fail"

    shop.branch("hidden")
    shop.write_prompt("1.1.0", "Wrong: every 4")
    shop.write("golden.jsonl", golden_set([number for number in range(CASES) if number % 4]))
    shop.repo.commit("A worse prompt, and a golden set that doesn't ask for it")
    asked.clear()
    code, hidden = check(*BUDGET)
    old, own = the_variant(hidden)["judged"]
    assert (code, hidden["outcome"], old["outcome"], own["outcome"]) == (3, "fail", "fail", "pass")
    assert asked.total() == CASES
    assert len(hidden["apps"][0]["golden_set"]["removed"]) == CASES // 4

    shop.branch("moved")
    shop.write_prompt("1.1.0", "Nothing at all is wrong.")
    shop.repo.commit("A better prompt while the model moves")
    shop.endpoint.by_request = answer_as("steady-2")
    asked.clear()
    code, moved = check(*BUDGET)
    (judged,) = the_variant(moved)["judged"]
    (told,) = judged["comparison"]["moved_models"]
    assert (code, moved["outcome"], asked.total()) == (0, "pass", 2 * CASES)
    assert (told["model"], told["before"], told["now"]) == ("steady", [["steady-1", ""]], [["steady-2", ""]])

    shop.branch("untouched")
    shop.repo.write_file("README.md", "Nothing of the app changes.")
    shop.repo.commit("A page")
    asked.clear()
    code, same = check(*BUDGET)
    assert (code, same["outcome"], same["calls"], asked.total()) == (0, "unchanged", 0, 0)
