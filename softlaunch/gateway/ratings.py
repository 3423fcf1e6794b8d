"""Which ratings are taken: of requests that were answered, by whom asked, soon enough, and once.

What an app reports came of an answer is taken in the same way, for as long as its policy says, and of requests that
failed too: what came of those counts as well.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from softlaunch.core.request_ids import app_of, asked_at
from softlaunch.core.request_outcome import ARM_FAILURES, RequestOutcome
from softlaunch.core.split import unit_hash
from softlaunch.core.verdict import Per
from softlaunch.gateway.request_seals import Keys, is_sealed
from softlaunch.gateway.requests import retry_after
from softlaunch.gateway.table import RouteTable
from softlaunch.gateway.wire import RefusedError, clipped
from softlaunch.ledger.logged import of_request
from softlaunch.ledger.reported import REPORTED, Spoken, last_request
from softlaunch.ledger.request_log import FeedbackRecord, ScoreRecord
from softlaunch.policy.named_metrics import MetricPolicy
from softlaunch.store.database import Database
from softlaunch.store.tables import FeedbackRow, RequestRow, ScoreRow

Rating = FeedbackRecord | ScoreRecord
Found = TypeVar("Found")

_UNANSWERED = {*ARM_FAILURES, RequestOutcome.REQUEST_AT_FAULT}  # who left an answer half-way may rate it
_REMEMBERED = 20_000  # ratings of this gateway that the ledger may not hold yet
_LOOKS = 8
_PAUSE_SECONDS = 0.15  # the log writes every tenth of a second, and a rating may come right behind its answer
_AT_ONCE = 4
_WAITING = 256


class Ratings:
    """Checks ratings, for the most part without the ledger, which is asked only about requests that were asked."""

    def __init__(self, database: Database, table: RouteTable, keys: Keys, window_seconds: float) -> None:
        """`window_seconds`: how long a request may be rated, from its start."""
        self._database = database
        self._table = table
        self._keys = keys
        self._window_seconds = window_seconds
        self._taken: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._looking = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def check(self, ratings: Sequence[Rating], key: bytes, now: float) -> None:
        """Raises RefusedError unless all of them, of one request, may be taken: 404, 409, 410 or 503."""
        request_id = ratings[0].request_id
        self._check_seal(request_id, key)
        self._check_age(ratings, now)
        if any((request_id, _kind(rating)) in self._taken for rating in ratings):
            raise _heard_already(request_id)
        if self._waiting >= _WAITING:
            raise _later("too many ratings wait to be checked")
        self._waiting += 1
        try:
            async with self._looking:
                await self._check_ledger(request_id, {_kind(rating) for rating in ratings}, _needs_answer(ratings))
        finally:
            self._waiting -= 1

    def declared(self, app: str) -> tuple[MetricPolicy, ...]:
        """The app's own metrics; none of an app that isn't served here."""
        served = self._table.get(app)
        return () if served is None else served.route.serving.metrics

    async def of_unit(self, app: str, unit: str, values: Mapping[str, float], now: float) -> list[ScoreRecord]:
        """Values of a unit, as rows of its last request. Raises RefusedError: 400, 403, 404, 409 or 503."""
        served = self._table.get(app)
        if self._keys.clients and not self._keys.feedback:
            text = "values of a unit are taken with a key for feedback alone; set SOFTLAUNCH_FEEDBACK_KEYS"
            raise RefusedError(403, text, param="unit", code="feedback_key_needed")
        if served is None:
            raise RefusedError(404, f"no app {clipped(app)} is served here", param="app", code="app_not_found")
        route = served.route
        if route.serving.unit.redraw is not None:
            text = (
                "this app's units are drawn afresh, so that it isn't known which request is meant; send its request_id"
            )
            raise RefusedError(400, text, param="unit", code="invalid_value")
        asked = [metric for metric in route.serving.metrics if metric.name in values]
        single = next((metric.name for metric in asked if metric.unit is Per.REQUEST), None)
        if single is not None:
            text = f"'{single}' is of single requests by the policy; send the request_id in place of the unit"
            raise RefusedError(400, text, param="unit", code="invalid_value")
        since = now - min(metric.window for metric in asked)
        pseudonym = unit_hash(unit, route.serving.salt)
        found = await self._ask(partial(self._look_for_unit, app, pseudonym, route.release_id, since))
        if found is None:
            text = "this unit has asked nothing lately, or not since the metric's window; name it as requests do"
            raise RefusedError(404, text, param="unit", code="unit_not_found")
        if found.heard & set(values):
            raise _heard_already(found.request_id)
        return [ScoreRecord(found.request_id, app, name, value, REPORTED, now) for name, value in values.items()]

    async def _ask(self, look: Callable[[], Found]) -> Found:
        """What the ledger says, a few questions at a time. Raises RefusedError with 503."""
        if self._waiting >= _WAITING:
            raise _later("too many ratings wait to be checked")
        self._waiting += 1
        try:
            async with self._looking:
                return await asyncio.to_thread(look)
        except SQLAlchemyError:
            raise _later("the ledger can't be asked about this request") from None
        finally:
            self._waiting -= 1

    def _look_for_unit(self, app: str, unit: int, release_id: str | None, since: float) -> Spoken | None:
        with self._database.read() as session:
            return last_request(session, app, unit, release_id, since)

    def take(self, ratings: Sequence[Rating]) -> None:
        """Remember what was taken, until the ledger has it. Raises RefusedError when another was quicker."""
        if any((rating.request_id, _kind(rating)) in self._taken for rating in ratings):
            raise _heard_already(ratings[0].request_id)
        for rating in ratings:
            self._taken[rating.request_id, _kind(rating)] = None
        while len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)

    def give_back(self, ratings: Sequence[Rating]) -> None:
        """They couldn't be kept after all."""
        for rating in ratings:
            self._taken.pop((rating.request_id, _kind(rating)), None)

    def _check_seal(self, request_id: str, key: bytes) -> None:
        served = self._table.get(app_of(request_id))
        keys = (*self._keys.of_requests, b"") if self._keys.feedback else (key,)
        if asked_at(request_id) is None or served is None or not is_sealed(request_id, served.route.serving.salt, keys):
            text = (
                f"no gateway answered a request {request_id!r} of this key; "
                "send the value of the answer's x-softlaunch-request-id, with the key that asked"
            )
            raise RefusedError(404, text, param="request_id", code="request_not_found")

    def _check_age(self, ratings: Sequence[Rating], now: float) -> None:
        request_id, kinds = ratings[0].request_id, {_kind(rating) for rating in ratings}
        own = [metric.window for metric in self.declared(ratings[0].app) if metric.name in kinds]
        longest = min(own, default=self._window_seconds)
        if now - (asked_at(request_id) or 0.0) > longest:
            text = f"request {request_id} is older than {longest / 3600:g} h, and is rated no more"
            raise RefusedError(410, text, param="request_id", code="request_too_old")

    async def _check_ledger(self, request_id: str, kinds: set[str], needs_answer: bool) -> None:  # noqa: FBT001  (ours)
        for _ in range(_LOOKS):
            try:
                found = await asyncio.to_thread(self._look, request_id)
            except SQLAlchemyError:
                raise _later("the ledger can't be asked about this request") from None
            if found is not None:
                failed, heard = found
                if failed and needs_answer:
                    text = f"request {request_id} wasn't answered, so there is nothing to rate"
                    raise RefusedError(409, text, param="request_id", code="request_failed")
                if heard & kinds:
                    raise _heard_already(request_id)
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        raise _later(f"request {request_id} isn't in the log yet, or its row was lost")

    def _look(self, request_id: str) -> tuple[bool, set[str]] | None:
        """Whether the user's request failed, and what was heard of it; None while its row isn't there."""
        shown = select(col(RequestRow.outcome), col(RequestRow.fell_back)).where(
            of_request(request_id), col(RequestRow.mirrored).is_(False)
        )
        rated = select(col(FeedbackRow.kind)).where(col(FeedbackRow.request_id) == request_id)
        scored = select(col(ScoreRow.metric)).where(col(ScoreRow.request_id) == request_id)
        with self._database.read() as session:
            row = session.execute(shown).first()
            if row is None:
                return None
            return row.outcome in _UNANSWERED and not row.fell_back, {*session.scalars(rated), *session.scalars(scored)}


def _kind(rating: Rating) -> str:
    return rating.kind if isinstance(rating, FeedbackRecord) else rating.metric


def _needs_answer(ratings: Sequence[Rating]) -> bool:
    """Whether they are about the answer itself; what came of a request came of one that failed, too."""
    return any(isinstance(rating, FeedbackRecord) or rating.source != REPORTED for rating in ratings)


def _heard_already(request_id: str) -> RefusedError:
    text = f"request {request_id} has been rated in this way already; the first rating counts"
    return RefusedError(409, text, param="request_id", code="already_rated")


def _later(why: str) -> RefusedError:
    return RefusedError(
        503, f"{why}; try again", kind="server_error", code="feedback_not_checked", headers=retry_after(2)
    )
