"""Live parts of pages: rendered by their own templates, once for all who look at them, and sent when they changed."""

import asyncio
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.logs import in_words

PAUSE_SECONDS = 2.0
_COST = 10.0
_TICK_SECONDS = 0.25
_SIGN_OF_LIFE_SECONDS = 15.0
_MOST_STREAMS = 200
_MOST_KEPT = 400


@dataclass(frozen=True, slots=True)
class Rendered:
    """A part of a page, its digest, and until when it is good enough for the next who asks."""

    html: str
    digest: str
    good_until: float


@dataclass(slots=True)
class LiveParts:
    """Renders parts: each every two seconds at most, and so that it takes a tenth of the time at most."""

    clock: Callable[[], float] = time.monotonic
    is_stopping: Callable[[], bool] = lambda: False
    streams: int = 0
    _kept: OrderedDict[str, Rendered] = field(default_factory=OrderedDict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def rendered(self, key: str, render: Callable[[], str], *, fresh: bool = False) -> Rendered:
        """The part of a key; `fresh` renders it anew whatever is kept, for somebody who has just changed something."""
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            held = self._kept.get(key)
            begun = self.clock()
            if held is not None and begun < held.good_until and not fresh:
                return held
            html = render()
            took = self.clock() - begun
            digest = hashlib.sha256(html.encode(errors="replace")).hexdigest()[:20]
            made = Rendered(html, digest, begun + max(PAUSE_SECONDS - 0.5, _COST * took))
        with self._lock:
            self._kept[key] = made
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST_KEPT:
                self._locks.pop(self._kept.popitem(last=False)[0], None)
        return made

    def forget(self) -> None:
        """Render everything anew: somebody changed something."""
        with self._lock:
            self._kept.clear()

    @property
    def is_full(self) -> bool:
        """Whether no more streams are taken."""
        return self.streams >= _MOST_STREAMS

    async def stream(self, key: str, render: Callable[[], str], seen: str) -> AsyncIterator[str]:
        """Events of a part: itself whenever it differs from what was `seen`, trouble, and signs of life."""
        self.streams += 1
        try:
            yield "retry: 2000\n\n"
            trouble, spoke = "", self.clock()
            while not self.is_stopping():
                try:
                    part = await run_in_threadpool(self.rendered, key, render)
                except (SoftlaunchError, SQLAlchemyError) as error:
                    said = str(error) if isinstance(error, SoftlaunchError) else in_words(error)
                    if said != trouble:
                        trouble, spoke = said, self.clock()
                        yield _event("trouble", "", said)
                else:
                    if part.digest != seen or trouble:
                        seen, trouble, spoke = part.digest, "", self.clock()
                        yield _event("part", part.digest, part.html)
                if self.clock() - spoke > _SIGN_OF_LIFE_SECONDS:
                    spoke = self.clock()
                    yield _event("alive", "", "")
                await self._pause()
        finally:
            self.streams -= 1

    async def _pause(self) -> None:
        until = self.clock() + PAUSE_SECONDS
        while self.clock() < until and not self.is_stopping():  # noqa: ASYNC110  (the server's own flag, no event)
            await asyncio.sleep(_TICK_SECONDS)


def _event(name: str, number: str, text: str) -> str:
    lines = "".join(f"data: {line}\n" for line in text.splitlines()) or "data:\n"
    return f"event: {name}\n{f'id: {number}{chr(10)}' if number else ''}{lines}\n"
