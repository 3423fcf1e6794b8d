"""How much traffic an app has had lately, by how many users, and how much of it was rated and scored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select
from sqlmodel import Session, col

from softlaunch.core.api import Api
from softlaunch.core.request_outcome import GIVEN
from softlaunch.core.split import unit_hash
from softlaunch.ledger.logged import NEWEST_FIRST
from softlaunch.policy.route import Arm
from softlaunch.store.tables import AppRow, FeedbackRow, RequestRow, ScoreRow

_NEWEST = 20_000
_RECENT = 7 * 86400.0
_SCORED = 3000
_ASKED_FOR_NAMES = 500


@dataclass(frozen=True, slots=True, eq=False)
class TrafficRate:
    """Requests of users over a stretch of `seconds`.

    `at` (epoch seconds, ascending) and `units` have shape (requests,). `users` says how many distinct units the first
    so many of the requests came from, ascending: ((1, 1), (100, 80)). `shares` are the shares of requests that were
    rated (`satisfaction`) or scored, by metric. `unnamed` is the share of the newest 500 that named no unit, in [0, 1].
    """

    at: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    units: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    users: tuple[tuple[int, int], ...]
    shares: dict[str, float]
    unnamed: float = 0.0

    @property
    def requests(self) -> int:
        """How many there were."""
        return len(self.at)

    @property
    def seconds(self) -> float:
        """How long they took."""
        return max(float(self.at[-1] - self.at[0]), 1.0)


def read_traffic_rate(session: Session, app: str, now: float) -> TrafficRate | None:
    """The newest 20,000 requests of users in the last seven days; None with fewer than two."""
    rows = session.execute(
        select(col(RequestRow.unit), col(RequestRow.started_at), col(RequestRow.request_id))
        .where(col(RequestRow.app) == app, col(RequestRow.arm).in_([Arm.STABLE, Arm.CANDIDATE]))
        .where(col(RequestRow.started_at) >= now - _RECENT, col(RequestRow.started_at) < now)
        .order_by(*NEWEST_FIRST)
        .limit(_NEWEST)
    ).all()
    if len(rows) < 2:
        return None
    ordered = sorted(rows, key=lambda row: row.started_at)
    units = np.array([row.unit for row in ordered], dtype=np.int64)
    at = np.array([row.started_at for row in ordered], dtype=np.float64)
    begun = float(at[0])
    rated = select(func.count()).where(col(FeedbackRow.app) == app, col(FeedbackRow.received_at) >= begun)
    scored = (
        select(col(ScoreRow.metric), func.count())
        .where(col(ScoreRow.app) == app, col(ScoreRow.received_at) >= begun)
        .group_by(col(ScoreRow.metric))
    )
    counts = {"satisfaction": session.execute(rated).scalar_one()}
    counts.update((name, count) for name, count in session.execute(scored).all())
    return TrafficRate(
        at=at,
        units=units,
        users=_distinct(units),
        shares={name: min(1.0, count / len(units)) for name, count in counts.items()},
        unnamed=_unnamed(session, app, [(row.unit, row.request_id) for row in rows[:_ASKED_FOR_NAMES]]),
    )


def has_traffic(session: Session, app: str, since: float) -> bool:
    """Whether an app has had any request since then (epoch seconds)."""
    lately = select(col(RequestRow.id)).where(col(RequestRow.app) == app, col(RequestRow.started_at) >= since)
    return session.execute(lately.limit(1)).first() is not None


def read_unnamed(session: Session, app: str) -> float:
    """The share of an app's newest 500 requests of users that named no unit, in [0, 1]; zero without any."""
    rows = session.execute(
        select(col(RequestRow.unit), col(RequestRow.request_id))
        .where(col(RequestRow.app) == app, col(RequestRow.arm).in_([Arm.STABLE, Arm.CANDIDATE]))
        .order_by(*NEWEST_FIRST)
        .limit(_ASKED_FOR_NAMES)
    ).all()
    return _unnamed(session, app, [(row.unit, row.request_id) for row in rows]) if rows else 0.0


def read_apis(session: Session, app: str) -> frozenset[Api]:
    """The APIs by which an app's newest 500 requests of users were answered; empty without any.

    What an older gateway served was a chat.
    """
    rows = session.execute(
        select(col(RequestRow.api))
        .where(col(RequestRow.app) == app, col(RequestRow.arm).in_([Arm.STABLE, Arm.CANDIDATE]))
        .where(col(RequestRow.outcome).in_(GIVEN))
        .order_by(*NEWEST_FIRST)
        .limit(_ASKED_FOR_NAMES)
    ).scalars()
    return frozenset(Api(api or Api.CHAT) for api in rows)


def _unnamed(session: Session, app: str, requests: Sequence[tuple[int, str]]) -> float:
    """The share of requests whose unit is made of their own id, because they named nobody."""
    salt = session.execute(select(col(AppRow.salt)).where(col(AppRow.name) == app)).scalar()
    if salt is None:
        return 0.0
    return sum(unit == unit_hash(request_id, salt) for unit, request_id in requests) / len(requests)


def read_scores(session: Session, app: str, variant_digest: str, metric: str) -> list[tuple[int, float]]:
    """Unit and value of the newest 3,000 scores that a variant's answers to users got in one metric."""
    found = (
        select(col(RequestRow.unit), col(ScoreRow.value))
        .join(RequestRow, col(RequestRow.request_id) == col(ScoreRow.request_id))
        .where(col(ScoreRow.app) == app, col(ScoreRow.metric) == metric)
        .where(col(RequestRow.variant_digest) == variant_digest, col(RequestRow.arm) == Arm.STABLE)
        .order_by(col(ScoreRow.id).desc())
        .limit(_SCORED)
    )
    return [(row.unit, row.value) for row in session.execute(found)]


def _distinct(units: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> tuple[tuple[int, int], ...]:
    """Distinct units among the first 1, 2, 4, ... requests, and among all."""
    firsts = np.sort(np.unique(units, return_index=True)[1])
    counts = [*(2**power for power in range(len(units).bit_length()) if 2**power < len(units)), len(units)]
    return tuple((count, int(np.searchsorted(firsts, count))) for count in counts)
