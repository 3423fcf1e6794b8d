"""The check on a repository with six changes, each of which it has to call by the right word, within its budget."""

from typing import Any

import pytest

from tests.pull_requests.conftest import Check
from tests.support.shop_repository import CASES, Shop, answer_as, golden_set

BUDGET = ("--budget-calls", str(2 * CASES))

pytestmark = pytest.mark.slow


def the_variant(document: dict[str, Any]) -> dict[str, Any]:
    """The one variant that a change touches."""
    (app,) = document["apps"]
    (variant,) = app["variants"]
    found: dict[str, Any] = variant
    return found


def test_six_commits(shop: Shop, check: Check) -> None:
    """Good, worse, worse in a critical segment, hidden by an edit, on a model that moved, and no change at all."""

    def checked(branch: str, rule: str, text: str | None = None) -> tuple[int, dict[str, Any], int]:
        """Change the prompt on a branch, and check it: the exit code, the document, and the calls that came in."""
        shop.branch(branch)
        shop.write_prompt("1.1.0", rule)
        if text is not None:
            shop.write("golden.jsonl", text)
        shop.repo.commit(branch)
        shop.endpoint.asked.clear()
        code, document = check(*BUDGET)
        return code, document, shop.endpoint.asked.total()

    code, good, asked = checked("good", "Nothing is wrong.")
    assert (code, good["outcome"], good["calls"]) == (0, "pass", asked)
    assert 0 < asked <= 2 * CASES

    code, worse, asked = checked("worse", "Wrong: every 3")
    assert (code, worse["outcome"], worse["calls"]) == (3, "fail", asked)
    assert worse["reused"] > 0
    assert asked <= CASES  # the base has answered already

    code, segment, asked = checked("worse for refunds, better elsewhere", "Wrong: refunds every 1")
    (judged,) = the_variant(segment)["judged"]
    gates = {gate["name"]: gate["outcome"] for gate in judged["comparison"]["gates"]}
    assert (code, segment["outcome"], gates["segment refunds"]) == (3, "fail", "fail")
    assert gates["accuracy"] != "fail"

    kept = golden_set([number for number in range(CASES) if number % 4])
    code, hidden, asked = checked("a loss that the golden set no longer asks for", "Wrong: every 4", kept)
    old, own = the_variant(hidden)["judged"]
    assert (code, hidden["outcome"], old["outcome"], own["outcome"]) == (3, "fail", "fail", "pass")
    assert len(hidden["apps"][0]["golden_set"]["removed"]) == CASES // 4
    assert asked <= 2 * CASES

    shop.endpoint.by_request = answer_as("steady-2")
    code, moved, asked = checked("better, while the model moves", "Nothing at all is wrong.")
    (judged,) = the_variant(moved)["judged"]
    (told,) = judged["comparison"]["moved_models"]
    assert (code, moved["outcome"], moved["calls"]) == (0, "pass", asked)
    assert (told["model"], told["before"], told["now"]) == ("steady", [["steady-1", ""]], [["steady-2", ""]])
    assert asked <= 2 * CASES

    shop.branch("untouched")
    shop.repo.write_file("README.md", "Nothing of the app changes.")
    shop.repo.commit("A page")
    shop.endpoint.asked.clear()
    code, same = check(*BUDGET)
    assert (code, same["outcome"], same["calls"], shop.endpoint.asked.total()) == (0, "unchanged", 0, 0)
