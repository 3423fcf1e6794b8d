"""What the check says of a change, and what it asks for it."""

import json
from typing import Any

import pytest

from softlaunch.core.errors import NotFoundError
from softlaunch.integrations.git.repository import GitError
from tests.pull_requests.conftest import Check
from tests.support.commands import run, run_json
from tests.support.endpoints import Reply
from tests.support.shop_repository import CASES, Shop, golden_set

_MODELS = "- {{name: steady, provider: test, model: steady, endpoint: '{url}', api_key_env: SHOP_KEY}}\n"


def judged(document: dict[str, Any]) -> dict[str, Any]:
    """The first judgement of the first variant."""
    found: dict[str, Any] = document["apps"][0]["variants"][0]["judged"][0]
    return found


def test_a_dry_check_says_what_it_would_take(shop: Shop, check: Check) -> None:
    """Every file is read, the variants that are touched are named, and no model is asked."""
    shop.write_prompt("1.1.0", "Nothing is wrong.")
    code, document = check("--dry")
    plan = judged(document)["plan"]
    assert (code, document["outcome"], shop.endpoint.asked.total()) == (0, "not judged", 0)
    assert document["apps"][0]["variants"][0]["changed"] == ["prompt", "message 1 (system)", "purpose"]
    assert (plan["cases"], plan["calls"], plan["reusable"]) == (CASES, 2 * CASES, 0)
    assert plan["cost_usd"] > 0
    assert "120 cases can't show" in plan["shows"]


def test_a_missing_key_is_no_pass(shop: Shop, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody asked for a dry check, one that can't ask is undecided, and says what to set."""
    monkeypatch.delenv("SHOP_KEY", raising=False)
    shop.write("models.yaml", _MODELS.format(url=shop.endpoint.url))
    shop.repo.commit("A key")
    shop.write_prompt("1.1.0", "Nothing is wrong.")
    code, document = check(base="HEAD")
    assert (code, document["outcome"], shop.endpoint.asked.total()) == (5, "not judged", 0)
    assert document["not_asked_because"] == ["no key for model steady: set the variable SHOP_KEY in the environment"]
    assert check("--dry", base="HEAD")[0] == 0


def test_a_key_goes_nowhere_that_the_base_does_not_send_it(
    shop: Shop, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pull request that points a model at another host gets no key sent there, unless somebody allows the host."""
    monkeypatch.setenv("SHOP_KEY", "secret")
    shop.write("models.yaml", _MODELS.format(url="https://api.example.com/v1"))
    shop.repo.commit("A key")
    shop.write("models.yaml", _MODELS.format(url=shop.endpoint.url))
    code, document = check(base="HEAD")
    host = shop.endpoint.url.split("/")[2]
    assert (code, document["outcome"], shop.endpoint.asked.total()) == (5, "not judged", 0)
    assert f"would send the key in SHOP_KEY to {host}" in document["not_asked_because"][0]


def test_broken_files_are_told_and_nothing_is_asked(shop: Shop, check: Check) -> None:
    """The message names the file from the repository's top, and the line."""
    shop.write("variants.yaml", "stable: current\nvariants:\n  current: {prompt: support@9.0.0, model: steady}\n")
    code, document = check()
    assert (code, document["outcome"], shop.endpoint.asked.total()) == (2, "broken", 0)
    assert document["apps"][0]["problem"].startswith("apps/shop/variants.yaml, line 3: variants.current.prompt: found")


def test_a_link_out_of_the_repository_is_no_file_of_an_app(shop: Shop, check: Check) -> None:
    """A pull request can't have a file of the machine that checks it sent to a model."""
    secret = shop.path.parent / "secret.md"
    secret.write_text("You know the secret.")
    shop.write_prompt("1.1.0", "Nothing is wrong.")
    version = shop.path / "apps/shop/prompts/support/v1.1.0.md"
    version.unlink()
    version.symlink_to(secret)
    code, document = check()
    assert (code, document["outcome"]) == (2, "broken")
    assert "leads out of the repository" in document["apps"][0]["problem"]
    shop.repo.git("add", "--all")
    shop.repo.commit("A link")
    code, document = check("--head", "HEAD", base="HEAD~1")
    assert "found 'support@1.1.0', expected one of: support@1.0.0" in document["apps"][0]["problem"]


def test_a_prompt_that_cant_be_rendered_fails_without_a_call(shop: Shop, check: Check) -> None:
    """Every case lacks the variable that the new version needs, which takes no call to see."""
    shop.write_prompt("1.1.0", "You help {{ customer }}.")
    code, document = check("--dry")
    assert (code, document["outcome"], shop.endpoint.asked.total()) == (3, "fail", 0)
    assert "needs a value for: customer (120 cases, such as c0, c1, c2)" in judged(document)["reason"]


def test_what_sends_the_same_is_not_asked(shop: Shop, check: Check) -> None:
    """A version that changes only what is said about it is another variant with the same answers."""
    shop.write_prompt("1.1.0", "Wrong: every 10")
    code, document = check()
    assert (code, document["outcome"], document["calls"]) == (0, "pass", 0)
    assert "what is sent to the model is the same" in judged(document)["reason"]


def test_what_no_eval_can_see_is_for_people(shop: Shop, check: Check) -> None:
    """Another price asks nothing; neither does a fallback model, but whether that is good only a person can say."""
    models = (shop.path / "apps/shop/models.yaml").read_text()
    shop.write("models.yaml", models.replace("input_usd_per_million: 1", "input_usd_per_million: 2"))
    code, document = check()
    assert (code, document["outcome"], document["calls"]) == (0, "pass", 0)
    shop.write("models.yaml", models + models.replace("name: steady", "name: spare"))
    shop.write(
        "variants.yaml",
        "stable: current\nvariants:\n  current: {prompt: support@1.0.0, model: steady, fallbacks: [spare]}\n",
    )
    code, document = check()
    assert (code, document["outcome"], document["calls"]) == (5, "review", 0)
    assert "fallback models differ, which no eval can see" in judged(document)["reason"]


def test_a_later_eval_takes_the_answers_over(shop: Shop, check: Check) -> None:
    """What the check has paid for, an eval with `reuse` doesn't pay again: a release's is the same."""
    run("apply", str(shop.path / "apps/shop"))
    shop.write_prompt("1.1.0", "Nothing is wrong.")
    assert check()[0] == 0
    run("apply", str(shop.path / "apps/shop"))
    shop.endpoint.asked.clear()
    document = run_json("eval", "run", "shop", "--prompt", "support@1.1.0", "--reuse", "1 d")
    assert (document["outcome"], shop.endpoint.asked.total()) == ("pass", 0)


def test_a_version_that_no_variant_has_yet_is_checked(shop: Shop, check: Check) -> None:
    """As `release start --prompt` would release it: on the variant that is stable."""
    variants = (shop.path / "apps/shop/variants.yaml").read_text()
    shop.write_prompt("1.1.0", "Nothing is wrong.")
    shop.write("variants.yaml", variants)
    _, document = check("--dry")
    (variant,) = document["apps"][0]["variants"]
    assert variant["variant"] == "support@1.1.0"
    assert variant["why"] == "new and in no variant yet, compared on current, which is stable"


def test_a_version_that_is_edited_in_place_is_judged_and_told(shop: Shop, check: Check) -> None:
    """The answers are what they are; that `apply` will refuse it is said beside."""
    shop.write_prompt("1.0.0", "Wrong: every 2")
    code, document = check("--dry")
    (note,) = document["apps"][0]["notes"]
    assert (code, document["apps"][0]["variants"][0]["variant"]) == (0, "current")
    assert "prompt support@1.0.0 was edited in place" in note


def test_an_edit_of_the_policy_hides_nothing(shop: Shop, check: Check) -> None:
    """A wider tolerance that comes with a worse prompt counts only from the next change on."""
    policy = (shop.path / "apps/shop/softlaunch.yaml").read_text()
    shop.write("softlaunch.yaml", policy.replace("5 points", "60 points").replace("  segments: [refunds]\n", ""))
    shop.write_prompt("1.1.0", "Wrong: every 3")
    code, document = check()
    old, own = document["apps"][0]["variants"][0]["judged"]
    assert (code, old["outcome"], own["outcome"]) == (3, "fail", "pass")
    assert {"key": "eval.tolerance", "before": "5 points", "after": "60 points"} in document["apps"][0]["policy"]
    assert "no longer critical: refunds" in document["apps"][0]["notes"]


def test_a_golden_set_alone_asks_nothing(shop: Shop, check: Check) -> None:
    """Its cases are listed as removed, added and edited, and no variant is touched."""
    text = golden_set(range(1, CASES + 1)).replace("answer 7.", "answer seven.")
    shop.write("golden.jsonl", text)
    code, document = check()
    changes = document["apps"][0]["golden_set"]
    assert (code, document["outcome"], document["calls"]) == (0, "unchanged", 0)
    assert (changes["removed"], changes["added"]) == (["c0"], [f"c{CASES}"])
    assert changes["edited"] == [{"id": "c7", "keys": ["expected"]}]


def test_an_undecided_check_says_what_would_decide(shop: Shop, check: Check) -> None:
    """Ten cases show nothing within five points; the budget that ran out is told first."""
    shop.write("golden.jsonl", golden_set(range(1, 11)))
    shop.repo.commit("Fewer cases")
    shop.write_prompt("1.1.0", "Wrong: every 9")
    code, document = check(base="HEAD")
    assert (code, document["outcome"]) == (5, "inconclusive")
    assert "more cases (there are 10)" in judged(document)["would_decide"][0]
    shop.write_prompt("1.2.0", "Wrong: every 8")
    _, document = check("--budget-calls", "4", base="HEAD")
    assert document["calls"] <= 4
    assert "the budget of 4 calls is used up" in judged(document)["would_decide"][0]


def test_calls_that_failed_are_tried_again(shop: Shop, check: Check) -> None:
    """An outage of the provider is not the last word: what failed is asked again, what was answered isn't."""
    shop.write("golden.jsonl", golden_set(range(1, 11)))
    shop.repo.commit("Fewer cases")
    shop.write_prompt("1.1.0", "Nothing is wrong.")
    answer, broken = shop.endpoint.by_request, {"question 3", "question 4"}

    def failing(body: Any) -> Reply:
        return Reply(status=400) if body["messages"][-1]["content"] in broken else answer(body)  # type: ignore[misc]

    shop.endpoint.by_request = failing
    _, document = check(base="HEAD")
    assert judged(document)["comparison"]["candidate"]["unscored"] == 2
    broken.clear()
    shop.endpoint.asked.clear()
    _, document = check(base="HEAD")
    assert (judged(document)["comparison"]["candidate"]["unscored"], shop.endpoint.asked.total()) == (0, 4)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        pytest.param(("--app", "other"), NotFoundError, "there are: shop", id="an app that isn't there"),
        pytest.param(("--head", "gone"), GitError, "no commit 'gone'", id="a revision that isn't there"),
    ],
)
def test_what_is_wrong_with_an_option_is_said(
    check: Check, options: tuple[str, ...], error: type[Exception], said: str
) -> None:
    """A mistake on the command line is told with what there is."""
    with pytest.raises(error, match=said):
        check(*options)


def test_files_are_written_beside_what_is_printed(shop: Shop, check: Check) -> None:
    """One check, and as many files as CI wants, each in the format of its ending."""
    shop.write_prompt("1.1.0", "Nothing is wrong.")
    folder = shop.path.parent
    names = ["check.md", "check.json", "check.xml", "check.txt"]
    options = [part for name in names for part in ("--write", str(folder / name))]
    code, printed = check("--dry", "--format", "github", *options)
    assert (code, printed.startswith("::notice title=")) == (0, True)
    begins = [(folder / name).read_text().split("\n")[0] for name in names]
    assert begins[0] == "<!-- softlaunch check -->"
    assert json.loads((folder / "check.json").read_text())["outcome"] == "not judged"
    assert begins[2].startswith("<?xml")
    assert begins[3].startswith("Checked the work tree against commit")
