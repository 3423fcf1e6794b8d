"""What a policy may say of texts, and what is said of it where that contradicts something."""

from pathlib import Path

import pytest

from softlaunch.core.redaction import PatternName, Rules
from softlaunch.policy.model import Policy
from softlaunch.policy.texts import RedactPolicy, TextPolicy
from tests.policy.policy_files import HEAD, complaints

_LIVE = "live: {metrics: [{metric: quality}], judge: {models: [judge]}}\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            HEAD + "texts: {keep: maybe}",
            "line 3: texts.keep: expected true, false or until_judged, not 'maybe'",
            id="neither",
        ),
        pytest.param(
            HEAD + "texts: {keep: until_judged}",
            "line 3: texts.keep: live answers aren't judged: declare 'live', or set keep: false",
            id="until nobody has judged them",
        ),
        pytest.param(
            HEAD + _LIVE + "texts: {keep: until_judged}\ngates:\n  - {metric: errors, margin: 1 point}\n"
            "  - {metric: agreement, margin: 1 point, role: guard}",
            "line 7: gates[1].role: agreement compares two answers to the same request, but until_judged keeps few, "
            "and only briefly: keep: true; or make it muted",
            id="a gate on the texts of copies",
        ),
        pytest.param(
            HEAD + "texts: {redact: {}}",
            "line 3: texts.redact: no texts are kept, so there is nothing to redact; leave it out",
            id="nothing to redact",
        ),
        pytest.param(
            HEAD + "texts:\n  keep: true\n  redact: {patterns: [mail]}",
            "line 5: texts.redact.patterns[0]: found 'mail', expected 'api_key', 'email', 'iban', 'credit_card', "
            "'ip_address' or 'phone'; did you mean 'email'?",
            id="an unknown pattern",
        ),
        pytest.param(
            HEAD + "texts:\n  keep: true\n  redact:\n    own:\n      - {name: customer, pattern: '('}",
            "line 7: texts.redact.own[0].pattern: found '(', expected a valid regular expression (missing ), "
            "unterminated subpattern at position 0)",
            id="an expression that doesn't compile",
        ),
        pytest.param(
            HEAD + "texts:\n  keep: true\n  redact:\n    own:\n      - {name: customer, pattern: 'x*'}",
            "line 7: texts.redact.own[0].pattern: expected a regular expression that does not match the empty answer",
            id="an expression that finds nothing at all",
        ),
    ],
)
def test_mistakes_about_texts(tmp_path: Path, text: str, complaint: str) -> None:
    """Each names its line and key, and what to do."""
    assert complaint in complaints(tmp_path, text)


def test_texts_that_wait_for_judges_are_short_lived() -> None:
    """A day unless the policy says otherwise; those that are kept stay for a month."""
    assert TextPolicy.model_validate({"keep": "until_judged"}).retention == 86400
    assert TextPolicy.model_validate({"keep": "until_judged", "retention": "2 h"}).retention == 7200
    assert TextPolicy.model_validate({"keep": True}).retention == 30 * 86400


@pytest.mark.parametrize("keep", [False, True])
def test_what_older_ledgers_hold_means_the_same(*, keep: bool) -> None:
    """Routes and frozen policies of before have keep and retention alone, and are written as they were."""
    held = {"keep": keep, "retention": 604800.0}
    texts = TextPolicy.model_validate(held)
    assert (texts.keeps_all, texts.until_judged) == (keep, False)
    assert "redact" not in texts.model_dump(mode="json")  # a gateway of before knows no such key


def test_a_frozen_policy_keeps_what_is_redacted() -> None:
    """It comes back from the ledger as it was."""
    redact = {"patterns": ["email"], "own": [{"name": "customer", "pattern": r"KD-\d+"}], "function": "ours"}
    policy = Policy.model_validate(
        {"app": "bot", "eval": {"golden_set": None}, "texts": {"keep": True, "redact": redact}}
    )
    again = Policy.model_validate(policy.model_dump(mode="json"))
    assert again.texts.redact == policy.texts.redact
    assert again.texts.redact is not None
    assert again.texts.redact.rules == Rules((PatternName.EMAIL,), (("customer", r"KD-\d+"),), "ours")


def test_all_patterns_are_on_unless_some_are_named() -> None:
    """Who writes `redact: {}` forgets none."""
    assert RedactPolicy().rules.patterns == tuple(PatternName)
