"""Regular expressions that other people wrote."""

import pytest

from softlaunch.core.bounded import BeyondLimitsError
from softlaunch.metrics.patterns import found_in, pattern_objection


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        pytest.param("foo|bar", None, id="plain"),
        pytest.param(r"(?P<x>a|b)(?=c)(?<!d)(?P=x)", None, id="look-around and references"),
        pytest.param("x*", "does not match the empty answer", id="matches always"),
        pytest.param("[a", "unterminated", id="no pattern"),
        pytest.param("a{99999999999}", "repetition number is too large", id="a large number"),
        pytest.param("(" * 3000 + ")" * 3000, "nested less deeply", id="nested"),
        pytest.param("a" * 30_000, "at most 20,000 characters", id="long"),
        pytest.param("(?:a?|b?){60}x", None, id="many ways to match nothing"),
    ],
)
def test_patterns_that_can_be_used(pattern: str, said: str | None) -> None:
    """What can't be is said in the place of a traceback."""
    found = pattern_objection(pattern)
    assert (found is None) if said is None else said in str(found)


@pytest.mark.parametrize("pattern", ["b", "^a+b$", "(?i)A B|ab"])
def test_a_pattern_is_found(pattern: str) -> None:
    """Whichever way it is searched for."""
    assert found_in(pattern, "aab" if "+" in pattern else "ab")
    assert not found_in(pattern, "xyz")


@pytest.mark.parametrize("pattern", [r"(a*)*b", r"^(?=(?:a|aa)+$).*"])
def test_a_search_that_takes_too_long_is_ended(pattern: str) -> None:
    """Nothing is known of the answer then."""
    with pytest.raises(BeyondLimitsError, match="longer than"):
        found_in(pattern, "a" * 60 + "!")
