"""Calls of `softlaunch_eval` and markers that say too little, or what isn't there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from softlaunch.core.errors import SoftlaunchError
from softlaunch.pytest_plugin.evals import EvalUsageError, SoftlaunchEval, wanted_by
from softlaunch.pytest_plugin.outcomes import EvalResult
from tests.support.endpoints import running_endpoint
from tests.support.shop_repository import CASES, Shop


@pytest.fixture
def evaluate(tmp_path: Path) -> Iterator[SoftlaunchEval]:
    """The fixture of a dry run, in a repository whose app has the variants `current` and `next`."""
    with running_endpoint() as endpoint:
        shop = Shop.make(tmp_path / "repo", endpoint)
        shop.write_prompt("1.1.0", "Nothing is wrong.")
        both = "current: {prompt: support@1.0.0, model: steady}\n  next: {prompt: support@1.1.0, model: steady}"
        shop.write("variants.yaml", f"stable: current\nvariants:\n  {both}\n")
        yield SoftlaunchEval(shop.path, None, "http://elsewhere.example/v1", wanted_by([], None), [])
        assert endpoint.asked.total() == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({}, "name the app", id="no app"),
        pytest.param({"app": "other"}, "there are: shop", id="an app that isn't there"),
        pytest.param({"app": "shop"}, "compared with itself", id="nothing to compare with"),
        pytest.param({"app": "shop", "variant": "gone"}, "has current, next", id="no such variant"),
        pytest.param({"app": "shop", "variant": "next", "cases": ["no"]}, "has no case 'no'", id="no such case"),
        pytest.param({"app": "shop", "base": "gone"}, "no commit 'gone'", id="no such revision"),
    ],
)
def test_what_is_wrong_with_a_call_is_said(evaluate: SoftlaunchEval, given: dict[str, Any], said: str) -> None:
    """A mistake in a test fails it with what to write instead."""
    with pytest.raises(SoftlaunchError, match=said):
        evaluate(**given)


@pytest.mark.parametrize("app", ["shop", "apps/shop"], ids=["by its name", "by its folder"])
def test_a_dry_call_is_planned_and_skips(evaluate: SoftlaunchEval, app: str) -> None:
    """Nothing is asked, so nothing is judged, and the assertion skips the test; the report has the plan."""
    result: EvalResult = evaluate(app, variant="next")
    assert (result.verdict, result.interval, result.calls, result.cost_usd) == ("not judged", None, 0, None)
    assert f"it takes {2 * CASES} calls" in str(result)
    assert evaluate.found[0]["eval"] == "shop, next"
    with pytest.raises(pytest.skip.Exception, match="--softlaunch-dry"):
        result.assert_no_worse()


def test_the_nearest_marker_counts() -> None:
    """A marker of a test goes before that of its module, and both before the command line's base."""
    nearest_first: list[dict[str, Any]] = [{"app": "mine", "budget_usd": 1.0}, {"app": "ours", "base": "main"}]
    wanted = wanted_by(nearest_first, "origin/main")
    assert (wanted.app, wanted.base, wanted.budget_usd) == ("mine", "main", 1.0)
    with pytest.raises(EvalUsageError, match="not 'budget'"):
        wanted_by([{"budget": 1}], None)
