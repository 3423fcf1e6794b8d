"""The patterns that come along, on a labelled list and on drawn texts."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softlaunch.core.redaction import PatternName, Rules, redact
from tests.core.redaction.labelled_texts import HARMLESS, SECRETS, SENTENCES

EVERYTHING = Rules(tuple(PatternName))
_PLANTED = [(name, secret) for name, secrets in SECRETS.items() for secret in secrets]


def test_the_list_has_something_of_every_pattern() -> None:
    """A pattern that nobody has examples of is not measured."""
    assert set(SECRETS) == set(PatternName)


@pytest.mark.parametrize("name", list(PatternName))
def test_recall_of_each_pattern(name: PatternName) -> None:
    """Alone, each finds all of its own in every sentence, and says what was there."""
    for secret in SECRETS[name]:
        for sentence in SENTENCES:
            (redacted,) = redact(Rules((name,)), (sentence.format(secret),))
            assert redacted == sentence.format(f"[{name}]")


def test_all_patterns_together_name_what_they_found() -> None:
    """None takes away what is another's: the placeholder is that of the label."""
    for name, secret in _PLANTED:
        for sentence in SENTENCES:
            assert redact(EVERYTHING, (sentence.format(secret),)) == (sentence.format(f"[{name}]"),)


@pytest.mark.parametrize("text", HARMLESS)
def test_precision(text: str) -> None:
    """What is no secret stays as it is."""
    assert redact(EVERYTHING, (text,)) == (text,)


def test_what_follows_a_card_or_an_account_stays() -> None:
    """Numbers and words behind it are neither taken for a part of it, nor do they hide it."""
    text = "4111 1111 1111 1111 12/27 and DE89 3704 0044 0532 0130 00 IST MEINE IBAN"
    assert redact(EVERYTHING, (text,)) == ("[credit_card] 12/27 and [iban] IST MEINE IBAN",)


def test_only_what_is_asked_for_is_cut_out() -> None:
    """A pattern that the policy leaves out finds nothing."""
    assert redact(Rules((PatternName.EMAIL,)), ("a@example.com +49 30 901820",)) == ("[email] +49 30 901820",)


_PROSE = st.text(st.characters(codec="utf-8", exclude_characters="0123456789", exclude_categories=("Cs", "Nd")))
_GAP = st.sampled_from((" ", "\n", ", ", '" "', " (", ") ", "; ", "\t"))


@pytest.mark.long
@given(st.lists(st.tuples(_PROSE, _GAP, st.sampled_from(_PLANTED), _GAP), min_size=1, max_size=4), _PROSE)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_no_planted_secret_is_left(parts: list[tuple[str, str, tuple[str, str], str]], ending: str) -> None:
    """Whatever stands around them, with a gap between: none of the secrets is in the redacted text."""
    text = "".join(prose + before + secret + after for prose, before, (_, secret), after in parts) + ending
    (redacted,) = redact(EVERYTHING, (text,))
    for _, _, (_, secret), _ in parts:
        assert secret not in redacted


@given(st.text(max_size=400))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_any_text_is_redacted_to_a_text_that_is_redacted(text: str) -> None:
    """Nothing makes it fail, and a second time finds nothing more."""
    (once,) = redact(EVERYTHING, (text,))
    assert redact(EVERYTHING, (once,)) == (once,)


@pytest.mark.parametrize(
    "piece", ["a", "1 ", ":a", "a@", "a.", "1.", "DE12 ", "+(", "eyJ", "eyJ-", "eyJaaaaaaaa.eyJ", "sk-", "4", "0-"]
)
def test_time_grows_with_the_text_alone(piece: str) -> None:
    """Nothing that somebody writes makes the patterns search for long: 100,000 characters take well below 2 s."""
    began = time.process_time()
    redact(EVERYTHING, (piece * (100_000 // len(piece)),))
    assert time.process_time() - began < 2.0
