"""When a failed call is tried again, and after how long."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Retries:
    """Exponential backoff with full jitter; `attempts` counts the first one, too.

    What an endpoint asks for with Retry-After is obeyed up to `longest_seconds`. Rate limits are no attempts: they are
    waited out for up to `patience_seconds`.
    """

    attempts: int = 5
    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    patience_seconds: float = 300.0

    def pause(self, failed_attempts: int, asked: float | None, rng: random.Random) -> float:
        """Seconds to wait after so many failed attempts (at least one); `asked` is what the endpoint wants."""
        ceiling = min(self.longest_seconds, self.first_seconds * 2.0 ** min(failed_attempts - 1, _DOUBLINGS))
        jitter = rng.uniform(0.0, ceiling)
        return jitter if asked is None else min(self.longest_seconds, asked + jitter)


def parse_retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header, which is a number or a date; None where it is absent or unreadable."""
    if header is None:
        return None
    try:
        return max(0.0, float(header)) if header.strip()[:1].isdigit() else _until(header, now)
    except ValueError:
        return None


def _until(header: str, now: datetime) -> float:
    moment = parsedate_to_datetime(header)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
