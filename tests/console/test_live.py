"""Live parts of pages: rendered once for all, sent when they changed, and what is wrong is said."""

import asyncio
from collections.abc import Iterator

import pytest

from softlaunch.console.live import LiveParts
from softlaunch.console.state import Console
from softlaunch.core.errors import SoftlaunchError
from tests.console.browsing import Browser
from tests.console.scenes import WAITING


class Told:
    """A clock that goes a second at each look, and a part whose texts are given; `quiet` wants signs of life, too."""

    def __init__(self, *texts: str | Exception) -> None:
        self.now = 0.0
        self.rendered = 0
        self._texts: Iterator[str | Exception] = iter(texts)
        self.last: str | Exception = ""
        self.quiet = False

    def clock(self) -> float:
        """A second later each time."""
        self.now += 1.0
        return self.now

    def part(self) -> str:
        """The next text; the last one again when there is no other."""
        self.rendered += 1
        self.last = next(self._texts, self.last)
        if isinstance(self.last, Exception):
            raise self.last
        return self.last


async def _events(parts: LiveParts, told: Told, count: int, seen: str = "") -> list[str]:
    found = []
    stream = parts.stream("key", told.part, seen)
    async for event in stream:
        if told.quiet or "event: alive" not in event:
            found.append(event)
        if len(found) == count:
            await stream.aclose()  # type: ignore[attr-defined]
            break
    return found


@pytest.mark.anyio
async def test_a_part_is_sent_when_it_changed() -> None:
    """The first one unless it was seen, then each that differs from the one before."""
    told = Told("one", "one", "two")
    _, first, second = await asyncio.wait_for(_events(LiveParts(told.clock), told, 3), 30)
    assert "event: part" in first
    assert "data: one" in first
    assert "data: two" in second
    assert told.rendered == 3


@pytest.mark.anyio
async def test_what_was_seen_is_not_sent_again() -> None:
    """A page that comes back after a lost connection names what it shows, and hears signs of life until it changes."""
    told = Told("one")
    told.quiet = True
    digest = LiveParts().rendered("key", lambda: "one").digest
    _, event = await asyncio.wait_for(_events(LiveParts(told.clock), told, 2, digest), 30)
    assert "event: alive" in event


@pytest.mark.anyio
async def test_trouble_is_told_once_and_its_end_too() -> None:
    """A ledger that is away is said; the page comes again when it is back."""
    told = Told("one", SoftlaunchError("the ledger is away"), SoftlaunchError("the ledger is away"), "one")
    _, _, trouble, back = await asyncio.wait_for(_events(LiveParts(told.clock), told, 4), 30)
    assert "event: trouble" in trouble
    assert "the ledger is away" in trouble
    assert "data: one" in back


def test_a_part_is_rendered_once_for_all_who_look() -> None:
    """Within the pause the next one gets what is there; after a change of somebody's everybody gets a new one."""
    parts, rendered = LiveParts(lambda: 10.0), []
    for _ in range(5):
        parts.rendered("key", lambda: rendered.append(1) or "text")  # type: ignore[func-returns-value]
    parts.forget()
    parts.rendered("key", lambda: rendered.append(1) or "text")  # type: ignore[func-returns-value]
    assert len(rendered) == 2


@pytest.mark.anyio
async def test_a_stream_ends_with_the_server() -> None:
    """So that a restart waits for nobody."""
    parts = LiveParts(is_stopping=lambda: True)
    assert [event async for event in parts.stream("key", lambda: "text", "")] == ["retry: 2000\n\n"]
    assert parts.streams == 0


@pytest.mark.anyio
async def test_page_and_stream_show_the_same(console: Console) -> None:
    """A page names what it shows by the digest that the stream would send."""
    console.live.is_stopping = lambda: True
    browser = Browser(console)
    page = (await browser.get(f"/releases/{WAITING}")).text
    part = console.live.rendered(f"releases/{WAITING}", lambda: "not rendered again")
    assert f'data-seen="{part.digest}"' in page
    assert part.html.strip() in page
    answer = await browser.get(f"/live/releases/{WAITING}")
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.anyio
async def test_more_streams_than_there_is_room_for_are_refused(console: Console) -> None:
    """With a status; a stream of what isn't there has one, too."""
    assert (await Browser(console).get("/live/releases/none")).status_code == 404
    console.live.streams = 10_000
    assert (await Browser(console).get("/live/apps")).status_code == 503
