"""Request rows as daily sums: what stays of them once they are archived. Sums add up, and can be subtracted."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlmodel import Session

from softlaunch.core.request_outcome import ARM_FAILURES
from softlaunch.store.tables import DailyRequestRow, FeedbackRow, RequestRow

BUCKET_WIDTH = math.log(1.01)
SHORTEST_MS = 1e-3
Key = tuple[str, str, str, str, bool]
"""Day, app, variant, arm, and whether it was mirrored: whose sums they are."""


def day_of(started_at: float) -> str:
    """The day (UTC) of a request."""
    return f"{datetime.fromtimestamp(started_at, UTC):%Y-%m-%d}"


def bucket_of(latency_ms: float) -> str:
    """The bucket of a latency; bucket n holds those from 1.01^n up to 1.01^(n+1) ms."""
    return str(math.floor(math.log(max(latency_ms, SHORTEST_MS)) / BUCKET_WIDTH))


def add_to_days(session: Session, rows: Iterable[RequestRow], ratings: Sequence[FeedbackRow], sign: int = 1) -> None:
    """Add rows, with their users' ratings, to the sums of their days; with sign -1 subtract them."""
    rated: dict[str, list[float]] = {}
    for rating in ratings:
        rated.setdefault(rating.request_id, []).append(rating.satisfaction)
    sums: dict[Key, DailyRequestRow] = {}
    for row in rows:
        key = (day_of(row.started_at), row.app, row.variant_digest, row.arm, row.mirrored)
        if key not in sums:
            sums[key] = sums_of(session, key)
        _add(sums[key], row, [] if row.mirrored else rated.get(row.request_id, []), sign)
    session.add_all(sums.values())
    session.flush()


def sums_of(session: Session, key: Key) -> DailyRequestRow:
    """The sums of a day as they are, locked; of nothing where there are none yet."""
    return session.get(DailyRequestRow, key, with_for_update=True) or _nothing(key)


def _nothing(key: Key) -> DailyRequestRow:
    day, app, variant_digest, arm, mirrored = key
    return DailyRequestRow(
        day=day,
        app=app,
        variant_digest=variant_digest,
        arm=arm,
        mirrored=mirrored,
        requests=0,
        failed=0,
        latency_ms=0.0,
        latencies={},
        input_tokens=0,
        output_tokens=0,
        priced=0,
        cost_usd=0.0,
        rated=0,
        satisfaction=0.0,
    )


def _add(into: DailyRequestRow, row: RequestRow, ratings: Sequence[float], sign: int) -> None:
    bucket = bucket_of(row.latency_ms)
    counted = {**into.latencies, bucket: into.latencies.get(bucket, 0) + sign}
    into.latencies = {name: count for name, count in counted.items() if count}
    into.requests += sign
    into.failed += sign * (row.outcome in ARM_FAILURES)
    into.latency_ms += sign * row.latency_ms
    into.input_tokens += sign * (row.input_tokens or 0)
    into.output_tokens += sign * (row.output_tokens or 0)
    into.priced += sign * (row.cost_usd is not None)
    into.cost_usd += sign * (row.cost_usd or 0.0)
    into.rated += sign * len(ratings)
    into.satisfaction += sign * sum(ratings)
