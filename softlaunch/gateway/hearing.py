"""What becomes of feedback: one piece, or a batch of which each piece is taken or refused by itself."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from softlaunch.gateway.feedback import parse_feedback, parse_values
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.ratings import Rating, Ratings
from softlaunch.gateway.requests import retry_after
from softlaunch.gateway.wire import RefusedError

MOST_IN_A_BATCH = 200
_AT_ONCE = 8
_KNOWN = "already_rated"


class Hearing:
    """Takes feedback, or says why not."""

    def __init__(self, ratings: Ratings, log: LogSink) -> None:
        self._ratings = ratings
        self._log = log

    async def hear(self, body: Mapping[str, Any], key: bytes) -> tuple[int, dict[str, Any]]:
        """Status and content of the answer. Raises RefusedError for a single piece that isn't taken."""
        if "feedback" not in body:
            return 202, {"request_id": await self._take(body, key), "status": "accepted"}
        pieces = body["feedback"]
        if not isinstance(pieces, list) or not 0 < len(pieces) <= MOST_IN_A_BATCH:
            text = f"'feedback' must be a list of 1 to {MOST_IN_A_BATCH} pieces"
            raise RefusedError(400, text, param="feedback", code="invalid_value")
        return 200, await self._take_all(pieces, key)

    async def _take_all(self, pieces: Sequence[Any], key: bytes) -> dict[str, Any]:
        """What was taken, what was known already, so that a batch may be sent again, and what was refused and why."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def take(piece: Any) -> RefusedError | None:
            async with turns:
                try:
                    if not isinstance(piece, dict):
                        return RefusedError(400, "expected an object", param="feedback", code="invalid_value")
                    await self._take(piece, key)
                except RefusedError as refusal:
                    return refusal
            return None

        results = await asyncio.gather(*map(take, pieces))
        refused = [
            {"at": place, "status": one.status, "code": one.fault.code, "message": one.fault.message}
            for place, one in enumerate(results)
            if one is not None and one.fault.code != _KNOWN
        ]
        taken = sum(one is None for one in results)
        return {"accepted": taken, "known": len(results) - taken - len(refused), "refused": refused}

    async def _take(self, body: Mapping[str, Any], key: bytes) -> str:
        """Take one piece; returns the request that it is of."""
        now = self._log.now()
        records: Sequence[Rating]
        if "unit" in body:
            records = await self._ratings.of_unit(*self._unit(body), now)
        else:
            records = parse_feedback(body, now, self._ratings.declared)
            await self._ratings.check(records, key, now)
        self._ratings.take(records)
        if not self._log.put_feedback(*records):
            self._ratings.give_back(records)
            text = "the request log is full; try again later"
            raise RefusedError(503, text, kind="server_error", code="overloaded", headers=retry_after(5))
        return records[0].request_id

    def _unit(self, body: Mapping[str, Any]) -> tuple[str, str, dict[str, float]]:
        """App, unit and values of a piece that names a unit. Raises RefusedError with 400."""
        app, unit = body.get("app"), body["unit"]
        if not isinstance(app, str) or not app:
            raise RefusedError(400, "'app' must be the name of the app", param="app", code="invalid_value")
        if not isinstance(unit, str) or not unit.strip() or "request_id" in body:
            text = "'unit' must be whom requests are for, as they name it, in place of a request_id"
            raise RefusedError(400, text, param="unit", code="invalid_value")
        return app, unit, parse_values(body.get("metrics"), self._ratings.declared(app))
