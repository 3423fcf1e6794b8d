"""What endpoints say of their limits, and that everybody keeps to it."""

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.throttle import Throttle, exhausted_for

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="nothing said"),
        pytest.param({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "1s"}, None, id="some left"),
        pytest.param({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m12s"}, 72.0, id="OpenAI"),
        pytest.param({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "250ms"}, 0.25, id="tokens"),
        pytest.param({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7"}, 7.0, id="seconds"),
        pytest.param({"x-ratelimit-remaining-requests": "0"}, None, id="no moment"),
        pytest.param({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, None, id="unreadable"),
        pytest.param(
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-01-01T12:00:30Z",
            },
            30.0,
            id="Anthropic",
        ),
    ],
)
def test_headers(headers: Mapping[str, str], seconds: float | None) -> None:
    """The longest wait that is asked for, or none."""
    assert exhausted_for(headers, NOW) == seconds


def test_a_hold_is_for_everybody_and_never_shortened() -> None:
    """A later, shorter hold doesn't let anybody go earlier."""
    now = 100.0
    throttle = Throttle(random.Random(1), clock=lambda: now)
    throttle.hold(50)
    throttle.hold(1)
    assert asyncio.run(throttle.turn(Deadline(0))) is False
    now = 151.0
    assert asyncio.run(throttle.turn(Deadline(0))) is True


def test_a_hold_is_bounded() -> None:
    """An endpoint that asks for a day is asked again after a minute."""
    now = 0.0
    throttle = Throttle(random.Random(1), longest_seconds=60, clock=lambda: now)
    throttle.hold(86400)
    now = 61.0
    assert asyncio.run(throttle.turn(Deadline(0))) is True
