"""The endpoint for records: read beside the event loop, confirmed once they are in the log."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from softlaunch.gateway.configuration.exchange import Exchange, Headers, send_json
from softlaunch.gateway.configuration.intake import MOST_AT_ONCE, Lost, RecordIntake
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.requests import retry_after
from softlaunch.gateway.wire import RefusedError, bad_parameter
from softlaunch.ledger.reception import Beats
from softlaunch.ledger.request_log import CONTENT_ERRORS
from softlaunch.store.ledger_file import LedgerChangedError, describe_fault

_LOGGER = logging.getLogger(__name__)
_AT_ONCE = 16
_MOST_LOST = 1_000_000_000


class Recording:
    """Answers `POST /softlaunch/v1/records`.

    Gates wait for whoever takes records, so a server begins to be one with its first records, or when it is told to.
    """

    def __init__(self, intake: RecordIntake, log: LogSink, exchange: Exchange) -> None:
        self.intake = intake
        self._log = log
        self._exchange = exchange
        self._beats: Beats | None = None
        self._opening = asyncio.Lock()
        self._under_way = 0

    @property
    def problem(self) -> str:
        """Why the ledger can't be written, empty while it can."""
        return "" if self._beats is None else self._beats.problem

    async def take(self, headers: Headers, cycle: HttpCycle) -> None:
        """Take the records of a request; it is safe to send them again."""
        if self._under_way >= _AT_ONCE:
            raise _later("as many requests with records wait as are taken at once", 1)
        self._under_way += 1
        try:
            with await self._exchange.read(cycle, headers) as body:
                records, lost = _parts(body)
                answer = await self._write(records, lost)
        finally:
            self._under_way -= 1
        await send_json(cycle, answer)

    async def _write(self, records: Sequence[Any], lost: Sequence[Lost]) -> dict[str, Any]:
        try:
            await self.open()
            answer = await asyncio.to_thread(self.intake.take, records, lost, self._log)
        except CONTENT_ERRORS as error:
            text = f"the ledger can't hold what was recorded: {describe_fault(error)}"
            raise RefusedError(400, text, param="records", code="invalid_value") from error
        except (SQLAlchemyError, LedgerChangedError) as error:
            raise _later(f"the ledger can't be written: {describe_fault(error)}", 2) from error
        return answer.content

    async def open(self) -> None:
        """Begin to be waited for by gates. Raises SQLAlchemy's errors."""
        async with self._opening:
            if self._beats is None:
                beats = Beats(self.intake)
                await asyncio.to_thread(beats.start)
                self._beats = beats
                _LOGGER.info("records of applications are taken as receiver %s", self.intake.receiver_id)

    async def close(self) -> None:
        """Say that no more are taken."""
        if self._beats is not None:
            await asyncio.to_thread(self._beats.stop)


def _parts(body: Mapping[str, Any]) -> tuple[list[Any], list[Lost]]:
    """Records and reports of losses in a body. Raises RefusedError with 400."""
    records, lost = body.get("records", []), body.get("lost", [])
    if not isinstance(records, list) or len(records) > MOST_AT_ONCE:
        raise bad_parameter("records", f"must be a list of at most {MOST_AT_ONCE} records")
    if not isinstance(lost, list) or len(lost) > MOST_AT_ONCE or not all(_is_report(one) for one in lost):
        raise bad_parameter("lost", "must be a list of objects with id, app, and a count of one or more")
    return records, [Lost(one["id"], one["app"], one["count"]) for one in lost]


def _is_report(one: Any) -> bool:
    if not isinstance(one, dict) or isinstance(one.get("count"), bool):
        return False
    named = all(isinstance(one.get(key), str) and 0 < len(one[key]) <= 200 for key in ("id", "app"))
    return named and isinstance(one.get("count"), int) and 0 < one["count"] <= _MOST_LOST


def _later(why: str, seconds: int) -> RefusedError:
    return RefusedError(503, f"{why}; try again", kind="server_error", code="overloaded", headers=retry_after(seconds))
