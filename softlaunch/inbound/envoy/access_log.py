"""The access log service: entries wait in a bounded queue until they are written, and what is lost is counted."""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from softlaunch.gateway.table import RouteTable
from softlaunch.inbound.envoy.entries import read_entry
from softlaunch.inbound.envoy.messages import LogResponse
from softlaunch.inbound.envoy.names import app_and_copy
from softlaunch.inbound.otlp.call_spans import CallSpan
from softlaunch.inbound.otlp.intake import Export, Intake
from softlaunch.ledger.losses import Cause
from softlaunch.ledger.received import Taken
from softlaunch.store.ledger_file import describe_fault

_LOGGER = logging.getLogger(__name__)
_MOST = 50_000
_AT_ONCE = 2_000
_PAUSE_SECONDS = 0.1
_AGAIN_SECONDS = 1.0


class AccessLog:
    """Takes entries of every Envoy. Envoy never sends one again, so that they are kept while the ledger is away."""

    def __init__(self, table: RouteTable, intake: Intake, most: int = _MOST) -> None:
        self._table = table
        self._intake = intake
        self._most = most
        self._waiting: deque[CallSpan] = deque()
        self.lost: Counter[str] = Counter()
        """Entries by app for which there was no room, and that aren't counted in the ledger yet."""
        self.problem = ""

    @property
    def waiting(self) -> int:
        """Entries that aren't in the request log yet."""
        return len(self._waiting)

    async def stream(self, requests: AsyncIterator[Any], context: Any) -> Any:  # noqa: ARG002
        """Take what one log of one Envoy sends, until it leaves."""
        node = log = ""
        async for message in requests:
            if message.HasField("identifier"):
                node, log = message.identifier.node.id, message.identifier.log_name
            app = app_and_copy(log)[0]
            served = self._table.get(app)
            header = "x-user-id" if served is None else served.route.serving.unit.header.lower()
            for entry in message.http_logs.log_entry:
                self.put(read_entry(entry, node, log, header))
        return LogResponse()

    def put(self, call: CallSpan | None) -> None:
        """Keep an entry until it is written; without room the oldest one is lost, and counted."""
        if call is None:
            return
        if len(self._waiting) >= self._most:
            self.lost[self._waiting.popleft().app] += 1
        self._waiting.append(call)

    async def write(self, stopping: Callable[[], bool]) -> None:
        """Write what waits, again and again; once it is told to stop, all that is left."""
        while not (stopping() and not self._waiting):
            written = await self.write_once()
            if stopping() and not written:
                return
            if len(self._waiting) < _AT_ONCE:
                await asyncio.sleep(_PAUSE_SECONDS if written else _AGAIN_SECONDS)

    async def write_once(self) -> bool:
        """Write some of what waits; false where the ledger can't take it."""
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
        lost = Counter(self.lost)
        if not batch and not lost:
            return True
        try:
            await asyncio.to_thread(self._take, batch, lost)
        except Exception as error:  # whatever the ledger does: Envoys go on, and entries wait
            self._complain(describe_fault(error))
            self._waiting.extendleft(reversed(batch))
            while len(self._waiting) > self._most:
                self.lost[self._waiting.popleft().app] += 1
            return False
        self._complain("")
        self.lost -= lost
        return True

    def _take(self, batch: list[CallSpan], lost: Counter[str]) -> None:
        now = time.time()
        missing = [
            Taken(f"{self._intake.receiver_id}-{now}-{app}-{number}", app, None, Cause.LATE)
            for app, count in lost.items()
            for number in range(count)
        ]
        self._intake.take(Export(batch, lost=missing))

    def _complain(self, problem: str) -> None:
        if problem and problem != self.problem:
            _LOGGER.warning("the access log can't be written (%d entries wait): %s", self.waiting, problem)
        self.problem = problem
