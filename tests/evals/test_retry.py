"""How long a failed call waits before it is tried again."""

import random
from datetime import UTC, datetime

import pytest

from softlaunch.evals.calls.retry import Retries, parse_retry_after

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("0.5", 0.5, id="part of a second"),
        pytest.param("Thu, 01 Jan 2026 12:00:30 GMT", 30.0, id="a date"),
        pytest.param("Thu, 01 Jan 2026 11:00:00 GMT", 0.0, id="a date gone by"),
        pytest.param("soon", None, id="unreadable"),
        pytest.param("7 minutes", None, id="not a number"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_parse_retry_after(header: str | None, seconds: float | None) -> None:
    """Both forms of RFC 9110 are understood, anything else is as if it weren't there."""
    assert parse_retry_after(header, NOW) == seconds


def test_pauses_double_up_to_a_limit_and_use_full_jitter() -> None:
    """Each pause is anywhere between nothing and a ceiling that doubles."""
    retries = Retries(first_seconds=1.0, longest_seconds=4.0)
    rng = random.Random(1)
    for failed, ceiling in ((1, 1.0), (2, 2.0), (3, 4.0), (9, 4.0)):
        pauses = [retries.pause(failed, None, rng) for _ in range(500)]
        assert 0 <= min(pauses) < 0.1 * ceiling
        assert 0.9 * ceiling < max(pauses) <= ceiling


def test_retry_after_is_obeyed_within_bounds() -> None:
    """Never sooner than asked, and never longer than the limit."""
    rng = random.Random(1)
    assert Retries().pause(1, 7.0, rng) >= 7
    assert Retries(longest_seconds=10).pause(1, 3600.0, rng) == 10
