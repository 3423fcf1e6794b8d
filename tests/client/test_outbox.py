"""What is on its way: nothing is lost in a minute, and what a day loses is counted."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softlaunch.client.errors import ClientError
from softlaunch.client.outbox import Outbox, OutboxLimits, RefusedBatchError
from softlaunch.client.pieces import FEEDBACK, RECORDS
from softlaunch.client.spool import Spool
from softlaunch.client.wire import UnreachableError

APP = "support-bot"


class World:
    """A server, a clock and an outbox whose turns are taken by the test."""

    def __init__(self, folder: Path | None, limits: OutboxLimits | None = None) -> None:
        self.now = 0.0
        self.error: ClientError | None = None
        self.had: list[str] = []
        self.lost: Counter[str] = Counter()
        self.reports: list[str] = []
        self.folder = folder
        self.limits = limits or OutboxLimits()
        self.outbox = self.started()

    def started(self) -> Outbox:
        """An outbox whose thread the test is."""
        spool = None if self.folder is None else Spool(self.folder)
        outbox = Outbox(self.post, spool, self.limits, lambda: self.now)
        outbox._thread = object()  # type: ignore[assignment]
        return outbox

    def post(
        self, kind: str, documents: Sequence[dict[str, Any]], lost: Sequence[dict[str, Any]]
    ) -> Sequence[dict[str, Any]]:
        """Take what comes, or fail."""
        if self.error is not None:
            raise self.error
        self.reports += [report["id"] for report in lost]
        self.had += [document["id"] for document in documents]
        for report in lost:
            self.lost[report["app"]] += report["count"]
        return []

    def put(self, first: int, count: int) -> list[str]:
        """Calls that end now; their ids."""
        ids = [f"{APP}-{number}" for number in range(first, first + count)]
        for one in ids:
            self.outbox.put(RECORDS, {"id": one, "app": APP, "texts": "x" * 150})
        return ids

    def turn(self, times: int = 200) -> None:
        """Let the thread go on."""
        for _ in range(times):
            self.outbox.turn()


def test_a_minute_of_outage_loses_nothing(tmp_path: Path) -> None:
    """500 calls a second for a minute wait in memory and on disk, and all of them are there afterwards, once."""
    world = World(tmp_path / "records", OutboxLimits(in_memory=2_000))
    world.error = UnreachableError("away")
    expected: list[str] = []
    for second in range(60):
        for tenth in range(10):
            expected += world.put(len(expected), 50)
            world.now = second + tenth / 10
            world.outbox.turn()
    world.error = None
    world.now += 60
    world.turn(800)
    assert sorted(world.had) == sorted(expected)
    assert not world.outbox.lost
    assert not list((tmp_path / "records").glob("*.records"))


def test_a_day_loses_the_oldest_and_counts_them(tmp_path: Path) -> None:
    """What is over the bounds goes, the oldest first; the count is told when the server is back, once."""
    world = World(tmp_path / "records", OutboxLimits(in_memory=500, on_disk=2 << 20))
    world.error = UnreachableError("away")
    expected: list[str] = []
    for part in range(144):
        expected += world.put(len(expected), 200)
        world.now = part * 600.0
        world.turn(2)
    lost = world.outbox.lost[APP]
    assert lost > 10_000
    world.error = None
    world.now += 60
    world.turn(800)
    assert world.lost == {APP: lost}
    assert len(world.reports) == len(set(world.reports))
    assert len(world.had) + lost == len(expected)
    assert set(world.had) == set(expected[lost:])


def test_without_a_disk_memory_bounds_it() -> None:
    """Only the newest are kept, and the others are counted."""
    world = World(None, OutboxLimits(in_memory=100))
    world.error = UnreachableError("away")
    expected = world.put(0, 250)
    world.turn()
    world.error, world.now = None, 60.0
    world.turn()
    assert (world.had, world.lost) == (expected[150:], {APP: 150})


def test_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    """A folder that can't be made costs nothing but its use."""
    (tmp_path / "file").write_text("")
    world = World(tmp_path / "file" / "records", OutboxLimits(in_memory=100))
    world.error = UnreachableError("away")
    expected = world.put(0, 100)
    world.turn()
    world.error, world.now = None, 60.0
    world.turn()
    assert world.had == expected


def test_what_a_dead_process_left_is_sent_by_the_next(tmp_path: Path) -> None:
    """Files whose writer is gone are taken over, and those of one that lives are left alone."""
    first = World(tmp_path / "records")
    first.error = UnreachableError("away")
    expected = first.put(0, 30)
    first.outbox.turn()
    first.outbox._spill()
    second = World(tmp_path / "records")
    second.turn()
    assert second.had == []
    assert first.outbox._spool is not None
    first.outbox._spool._lock.close()  # type: ignore[union-attr]  # as the system does when a process dies
    second.now = 120.0
    second.turn()
    assert second.had == expected


def test_a_line_that_was_cut_is_left_out(tmp_path: Path) -> None:
    """A writer that died in the midst of a line loses that line alone."""
    world = World(tmp_path / "records")
    world.error = UnreachableError("away")
    expected = world.put(0, 3)
    world.outbox.turn()
    world.outbox._spill()
    (path,) = (tmp_path / "records").glob("*.records")
    with path.open("a") as file:
        file.write('["records", {"id": "cu')
    world.error, world.now = None, 60.0
    world.turn()
    assert world.had == expected


def test_a_batch_that_nobody_takes_is_counted() -> None:
    """What the server refuses for good is lost, said, and doesn't hold up the rest."""
    world = World(None)
    world.error = RefusedBatchError("400")
    world.put(0, 10)
    world.turn(1)
    world.error = None
    expected = world.put(10, 5)
    world.turn()
    assert (world.had, world.lost) == (expected, {APP: 10})


def test_feedback_goes_behind_its_request() -> None:
    """What is said of a call is never sent before it."""
    world = World(None)
    world.outbox.put(FEEDBACK, {"id": "said"})
    world.put(0, 1)
    world.turn()
    assert world.had == [f"{APP}-0", "said"]


def test_files_are_private(tmp_path: Path) -> None:
    """Nobody but their owner reads what users' names are in."""
    world = World(tmp_path / "records")
    world.error = UnreachableError("away")
    world.put(0, 3)
    world.outbox.turn()
    world.outbox._spill()
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "records").iterdir()}
    assert modes == {0o600}
    assert (tmp_path / "records").stat().st_mode & 0o777 == 0o700
