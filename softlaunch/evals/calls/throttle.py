"""Endpoints' rate limits, obeyed by all calls to an endpoint together, not only by the call that met the limit."""

import asyncio
import random
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import monotonic

from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.retry import parse_retry_after

_LIMITED = ("requests", "tokens")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPREAD = 0.5  # of what is left of a pause, so that not everybody comes back in the same instant
_LOOK_SECONDS = 0.25


class Throttle:
    """When calls to one endpoint may continue. `clock` is monotonic, in seconds."""

    def __init__(
        self, rng: random.Random, *, longest_seconds: float = 60.0, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rng = rng
        self._longest = longest_seconds
        self._clock = clock
        self._until = 0.0

    def hold(self, seconds: float) -> None:
        """Let nobody call for so many seconds from now, or until a later moment that is set already."""
        self._until = max(self._until, self._clock() + min(seconds, self._longest))

    def heed(self, headers: Mapping[str, str], now: datetime) -> None:
        """Hold where an answer's headers say that nothing is left until some moment."""
        seconds = exhausted_for(headers, now)
        if seconds is not None:
            self.hold(seconds)

    async def turn(self, deadline: Deadline) -> bool:
        """Wait until a call may be made, at once where nothing holds; false where the deadline passes meanwhile."""
        late = self._rng.uniform(0.0, _SPREAD)
        while (left := self._until - self._clock()) > 0:
            if deadline.passed:
                return False
            await asyncio.sleep(min(_LOOK_SECONDS, left * (1 + late)))
        return True


def exhausted_for(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until an endpoint takes requests again, from its rate-limit headers; None where some are left.

    Understood are those of OpenAI and of what is like it (`x-ratelimit-remaining-requests: 0`,
    `x-ratelimit-reset-requests: 1m12s`) and of Anthropic (`anthropic-ratelimit-requests-reset` with a moment).
    """
    waits = []
    for what in _LIMITED:
        for remaining, reset in (
            (f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}"),
            (f"anthropic-ratelimit-{what}-remaining", f"anthropic-ratelimit-{what}-reset"),
        ):
            if headers.get(remaining) == "0":
                waits.append(_until(headers.get(reset), now))
    known = [wait for wait in waits if wait is not None]
    return max(known, default=None)


def _until(reset: str | None, now: datetime) -> float | None:
    """Seconds from `1m12s`, `250ms`, `7`, or a moment in ISO 8601."""
    if reset is None:
        return None
    spans = _SPAN.findall(reset)
    if spans and "".join(f"{number}{unit}" for number, unit in spans) == reset.strip():
        return sum(float(number) * _SECONDS[unit] for number, unit in spans)
    try:
        moment = datetime.fromisoformat(reset)
    except ValueError:
        return parse_retry_after(reset, now)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
