"""The log sink: bounded, honest about what it lost, and with a watermark that never promises too much."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from softlaunch.core.redaction import PatternName, Rules
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import Identity, LogSink
from softlaunch.gateway.redaction import Withheld
from softlaunch.gateway.tally import LossAccount
from softlaunch.gateway.texts import WaitingText
from softlaunch.ledger.counters import CounterFile, Owner
from softlaunch.ledger.losses import LossWatch
from softlaunch.ledger.request_log import (
    BreakerTripRecord,
    FeedbackRecord,
    RequestRecord,
    TextRecord,
    Written,
    write_batch,
)
from softlaunch.ledger.routes import read_ledger_id
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import GatewayRow
from tests.support.servers import wait_until

Started = Callable[..., LogSink]


class Clock:
    """A wall clock that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time that was set."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    """A migrated ledger on SQLite."""
    database = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield database
    database.close()


@pytest.fixture
def start(ledger: Database, clock: Clock) -> Iterator[Started]:
    """Start a log sink with these limits."""
    sinks = []

    def started(**limits: Any) -> LogSink:
        sink = LogSink(
            ledger,
            identity=Identity("gw", "here"),
            revisions=lambda: {"bot": 3},
            limits=Limits(**{"heartbeat_seconds": 0.0, **limits}),
            wall_clock=clock,
        )
        sink.start()
        sinks.append(sink)
        return sink

    yield started
    for sink in sinks:
        sink.stop()


def row(started_at: float, request_id: str = "bot-1") -> RequestRecord:
    """A row of the app `bot`."""
    figures: dict[str, Any] = dict.fromkeys(RequestRecord._fields)
    figures |= {"request_id": request_id, "gateway_id": "gw", "app": "bot", "stage": 0, "route_revision": 1, "unit": 1}
    figures |= {"weight_percent": 0, "arm": "stable", "mirrored": False, "variant_digest": "d", "status": 200}
    figures |= {"outcome": "answered", "excused": False, "attempts": 1}
    figures |= {"latency_ms": 1.0, "streamed": False, "fell_back": False, "started_at": started_at}
    return RequestRecord(**figures)


def ask(ledger: Database, sql: str) -> list[Any]:
    """The first column of a query."""
    with ledger.read() as session:
        return [found[0] for found in session.execute(text(sql))]


def complete_until(ledger: Database) -> float:
    """The published watermark; -1 before the first."""
    return next(iter(ask(ledger, "select complete_until from gateways")), -1.0)


def test_an_idle_gateway_is_complete_up_to_now(start: Started, ledger: Database, clock: Clock) -> None:
    """Nothing under way: the log is complete as far as the clock goes."""
    start()
    clock.now = 1010.0
    wait_until(lambda: complete_until(ledger) == 1010.0, "the watermark moves")


def test_a_request_under_way_holds_the_watermark(start: Started, ledger: Database, clock: Clock) -> None:
    """Until a request is closed nobody is told that the log is complete beyond its start."""
    log = start()
    clock.now = 1001.0
    token, started_at = log.begin("bot")
    clock.now = 1002.0
    later, _ = log.begin("bot")
    clock.now = 1010.0
    log.end(later)
    wait_until(lambda: complete_until(ledger) == started_at == 1001.0, "the watermark stands at the first")
    log.put(row(started_at))
    log.end(token)
    wait_until(lambda: complete_until(ledger) == 1010.0, "the watermark moves on")
    assert ask(ledger, "select started_at from requests") == [1001.0]


def test_one_long_request_does_not_hold_the_watermark_for_ever(start: Started, ledger: Database, clock: Clock) -> None:
    """After a minute the log goes on without it, and its row counts at the moment at which it ends."""
    log = start()
    clock.now = 1001.0
    token, started_at = log.begin("bot")
    clock.now = 1060.0
    wait_until(lambda: complete_until(ledger) == 1001.0, "the watermark still waits")
    clock.now = 1070.0
    wait_until(lambda: complete_until(ledger) == 1070.0, "the watermark goes on without it")
    log.put(row(started_at))
    log.end(token)
    wait_until(lambda: ask(ledger, "select started_at from requests") == [1070.0], "the row is where gates will read")


def test_the_watermark_never_passes_a_row_that_is_not_there(start: Started, ledger: Database, clock: Clock) -> None:
    """Whenever a watermark is read, every row before it can be read too."""
    log = start()
    expected = []
    for number in range(300):
        clock.now += 0.01
        token, started_at = log.begin("bot")
        expected.append(started_at)
        log.put(row(started_at, f"bot-{number}"))
        log.end(token)
        until = complete_until(ledger)
        written = ask(ledger, "select started_at from requests")
        assert [at for at in expected if at < until] == [at for at in written if at < until]
    wait_until(lambda: len(ask(ledger, "select 1 from requests")) == 300, "all rows are written")


def log_seven(log: LogSink, clock: Clock) -> None:
    """Seven requests, a second each, that all end at once."""
    begun = []
    for _ in range(7):
        clock.now += 1.0
        begun.append(log.begin("bot"))
    clock.now += 1.0
    log.put(*(row(started_at, f"bot-{number}") for number, (_, started_at) in enumerate(begun)))
    for token, _ in begun:
        log.end(token)


def test_the_watermark_passes_no_row_that_waits_for_the_next_batch(
    start: Started, ledger: Database, clock: Clock
) -> None:
    """In a spike of traffic rows come faster than one batch writes them; gates read none of them too early."""
    log = start(log_batch_rows=2)
    log_seven(log, clock)
    seen: set[tuple[float, int]] = set()

    def watch() -> bool:
        with ledger.read() as session:
            sql = "select complete_until, (select count(*) from requests) from gateways"
            seen.update((until, written) for until, written in session.execute(text(sql)))
        return (1008.0, 7) in seen

    wait_until(watch, "all is written and declared complete")
    assert any(written in {2, 4, 6} for _, written in seen)
    assert all(until <= 1001.0 + written for until, written in seen)


def test_stopping_writes_all_that_waits(start: Started, ledger: Database, clock: Clock) -> None:
    """However many batches it takes; nothing is lost uncounted."""
    log = start(log_batch_rows=2)
    log_seven(log, clock)
    log.stop()
    assert (log.waiting, len(ask(ledger, "select 1 from requests"))) == (0, 7)
    assert ask(ledger, "select count(*) from drops") == [0]
    assert complete_until(ledger) == 1008.0


def test_a_clock_set_back_starts_nothing_before_the_watermark(start: Started, ledger: Database, clock: Clock) -> None:
    """A request that begins after a correction of the clock isn't dated into what was declared complete."""
    log = start()
    clock.now = 1010.0
    wait_until(lambda: complete_until(ledger) == 1010.0, "the watermark moves")
    clock.now = 900.0
    _, started_at = log.begin("bot")
    assert started_at >= 1010.0


def test_after_a_clock_was_set_back_the_watermark_moves_on(start: Started, ledger: Database, clock: Clock) -> None:
    """Gates go on seeing, and the gateway is heard at the time that everybody else's clock shows."""
    log = start()
    clock.now = 1010.0
    wait_until(lambda: complete_until(ledger) == 1010.0, "the watermark moves")
    clock.now = 900.0
    wait_until(lambda: complete_until(ledger) > 1010.1, "the watermark moves on")
    assert log.now() > 1010.1
    with ledger.read() as session:
        assert session.get_one(GatewayRow, "gw").heard_at == 900.0


def fill_the_disk(database: Database) -> Callable[[], None]:
    """Let the database's file grow no further; returns what gives the space back."""
    pages: dict[str, int] = {"max": 1}

    def limit(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages['max']}")

    event.listen(database.engine, "checkout", limit)

    def free() -> None:
        pages["max"] = 1_000_000

    return free


def test_a_full_disk_is_survived_and_counted(start: Started, ledger: Database, clock: Clock) -> None:
    """What fits in memory is written when there is space again, the rest is counted, and together it is everything."""
    log = start(log_rows=50)
    free = fill_the_disk(ledger)
    wide = "w" * 2000
    for number in range(200):
        clock.now += 0.01
        token, started_at = log.begin("bot")
        log.put(row(started_at, f"bot-{number}-{wide}"))
        log.end(token)
    wait_until(lambda: log.failed_writes > 0, "a write fails")
    assert log.waiting == 50
    assert log.dropped_total["bot"] == 150
    assert complete_until(ledger) <= 1000.01
    free()
    wait_until(lambda: ask(ledger, "select sum(count) from drops") == [150], "the drops are written")
    assert len(ask(ledger, "select 1 from requests")) == 50
    wait_until(lambda: complete_until(ledger) == clock.now, "the watermark passes what was counted")
    for _ in range(3):
        clock.now += 1.0
        wait_until(lambda: complete_until(ledger) == clock.now, "a later batch is written")
    assert ask(ledger, "select sum(count) from drops") == [150]


def test_a_batch_that_was_committed_unheard_is_written_once(
    start: Started, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks between the commit and its confirmation; what came meanwhile is written after it."""
    write = write_batch
    unheard: list[object] = []

    def breaks_once(*arguments: Any) -> Written:
        written = write(*arguments)
        if arguments[1] and not unheard:
            unheard.append(arguments[1])
            log.put(row(1000.5, "bot-2"))
            raise OperationalError("", {}, Exception("the connection is lost"))
        return written

    monkeypatch.setattr("softlaunch.gateway.log.write_batch", breaks_once)
    log = start()
    log.drop("bot")
    log.put(row(1000.0, "bot-1"))
    wait_until(lambda: log.waiting == 0 and bool(unheard), "all is written")
    assert ask(ledger, "select request_id from requests order by id") == ["bot-1", "bot-2"]
    assert ask(ledger, "select sum(count) from drops") == [1]


def test_what_the_database_lost_is_counted(start: Started, ledger: Database, caplog: pytest.LogCaptureFixture) -> None:
    """A standby takes over that hadn't got the last batches: their requests are missing, and gates see how many."""
    log = start()
    token, _ = log.begin("bot")
    log.put(row(1000.0, "bot-1"))
    log.end(token)
    wait_until(lambda: bool(ask(ledger, "select 1 from requests")), "a batch is written")
    before = one_row(ledger, "select batches, counts from gateways")
    for number in (2, 3):
        token, _ = log.begin("bot")
        log.put(row(1000.0, f"bot-{number}"))
        log.end(token)
        wait_until(lambda number=number: len(ask(ledger, "select 1 from requests")) == number, "another one is")
    with ledger.begin() as session:
        session.execute(text("delete from requests where request_id <> 'bot-1'"))
        session.execute(text("update gateways set batches = :batches, counts = :counts"), before)
    wait_until(lambda: log.lost_total["bot"] == 2, "the gateway has noticed")
    assert ask(ledger, "select count from drops where cause = 'rewound'") == [2]
    said = "of bot it had taken 2 requests that it hasn't got any more"
    wait_until(lambda: said in caplog.text, "it has said so")  # another thread counts, and then says it


def one_row(ledger: Database, sql: str) -> dict[str, Any]:
    """The only row of a query, by column."""
    with ledger.read() as session:
        return dict(session.execute(text(sql)).mappings().one())


def test_an_idle_gateway_writes_only_its_heartbeats(start: Started, ledger: Database, clock: Clock) -> None:
    """Hundreds of gateways share a ledger; what is logged is written at once all the same."""
    log = start(heartbeat_seconds=3600.0)
    wait_until(lambda: complete_until(ledger) == 1000.0, "the first heartbeat")
    clock.now = 1010.0
    time.sleep(0.5)
    assert complete_until(ledger) == 1000.0
    log.put(row(1005.0))
    wait_until(lambda: complete_until(ledger) == 1010.0, "the row is written, and a heartbeat with it")


def test_feedback_is_refused_rather_than_lost(start: Started, ledger: Database) -> None:
    """A full queue tells the sender of feedback to come back."""
    free = fill_the_disk(ledger)
    log = start(log_rows=2)
    rating = FeedbackRecord("bot-" + "x" * 100_000, "bot", 1.0, "thumbs", 5.0)
    assert log.put_feedback(rating, rating._replace(kind="stars"))
    wait_until(lambda: log.failed_writes > 0, "a write fails")
    assert not log.put_feedback(rating)
    free()
    wait_until(lambda: len(ask(ledger, "select 1 from feedback")) == 2, "the ratings are written")


def test_a_full_queue_still_takes_the_trip_of_a_breaker(start: Started, ledger: Database) -> None:
    """The news that a candidate fails is the last thing to be dropped."""
    log = start(log_rows=0)
    log.put(BreakerTripRecord("gw", "bot", "bot-1", 3, "why", 5.0), row(1000.0))
    wait_until(lambda: ask(ledger, "select reason from breaker_trips") == ["why"], "the trip is written")
    wait_until(lambda: ask(ledger, "select count from drops") == [1], "the row is counted")


def test_texts_too_large_for_memory_cost_their_row_nothing(start: Started, ledger: Database) -> None:
    """A row is written without its texts when the texts that wait are too many, and that is counted."""
    log = start(log_text_bytes=100)
    log.put(row(1000.0))
    log.put_text(WaitingText.of(TextRecord("bot-1", "stable", "bot", "q" * 80, "a" * 80, 2000.0), None))
    log.put(row(1000.0, "bot-2"))
    log.put_text(WaitingText.of(TextRecord("bot-2", "stable", "bot", "q", "a", 2000.0), None))
    wait_until(lambda: ask(ledger, "select request_id from texts") == ["bot-2"], "the small text is written")
    assert ask(ledger, "select request_id from requests") == ["bot-1", "bot-2"]
    assert log.dropped_total["bot"] == 0
    assert log.texts.redaction.withheld == {("bot", Withheld.FULL): 1}


def test_texts_are_redacted_before_they_are_written(start: Started, ledger: Database) -> None:
    """By the rules that came with each; a text that can't be redacted costs its row nothing."""
    log = start()
    rules = Rules((PatternName.EMAIL,))
    for number, used in enumerate((rules, None, Rules(function="unheard"))):
        text = f"{number} a@example.com"
        log.put(row(1000.0, f"bot-{number}"))
        log.put_text(WaitingText.of(TextRecord(f"bot-{number}", "stable", "bot", text, text, 2000.0), used))
    wait_until(lambda: len(ask(ledger, "select 1 from requests")) == 3, "the rows are written")
    assert ask(ledger, "select question from texts order by question") == ["0 [email]", "1 a@example.com"]


def test_a_batch_that_is_tried_again_is_not_redacted_again(
    start: Started, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that is away for a while costs no more time with it."""
    asked: list[tuple[str, ...]] = []

    def redacted(_app: str, _rules: Rules, many: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        asked.extend(many)
        return [("redacted", "redacted", "")]

    failures = iter([OperationalError("", {}, Exception("away")), OperationalError("", {}, Exception("away")), None])
    write = write_batch

    def fails_twice(*arguments: Any) -> Written:
        error = next(failures, None)
        if error is not None:
            raise error
        return write(*arguments)

    monkeypatch.setattr("softlaunch.gateway.log.write_batch", fails_twice)
    log = start()
    monkeypatch.setattr(log.texts.redaction, "apply_all", redacted)
    log.put_text(WaitingText.of(TextRecord("bot-1", "stable", "bot", "q", "a", 2000.0), Rules()))
    wait_until(lambda: ask(ledger, "select question from texts") == ["redacted"], "the text is written")
    assert asked == [("q", "a", "")]


def test_the_log_deletes_texts_whose_time_is_over(start: Started, ledger: Database, clock: Clock) -> None:
    """A gateway runs wherever texts are written: none outlives its time by more than a minute or so."""
    log = start()
    log.put_text(WaitingText.of(TextRecord("bot-1", "stable", "bot", "ZEBRA", "a", 1100.0, until_judged=True), None))
    wait_until(lambda: ask(ledger, "select request_id from texts") == ["bot-1"], "the text is written")
    clock.now = 1200.0
    wait_until(lambda: ask(ledger, "select request_id from texts") == [], "the text is deleted")


def test_heartbeats_tell_what_was_begun_and_what_is_accounted_for(start: Started, ledger: Database) -> None:
    """Requests under way are begun and not logged; dropped ones are accounted for."""
    sink = start(log_rows=1_000)
    first, started_at = sink.begin("bot")
    sink.begin("bot")
    third, _ = sink.begin("bot")
    sink.put(row(started_at))
    sink.end(first)
    sink.drop("bot")
    sink.end(third)

    def counts() -> dict[str, Any]:
        told = ask(ledger, "select counts from gateways")
        return json.loads(told[0]).get("bot", {}) if told else {}

    wait_until(lambda: counts().get("logged") == 2, "the heartbeat tells of what was written")
    assert counts()["begun"] == 3


def test_a_gateway_that_stops_in_order_leaves_no_counts(ledger: Database, clock: Clock, tmp_path: Path) -> None:
    """And one that couldn't write its last rows leaves them to be counted as lost."""

    def stopped(name: str, *, broken: bool) -> None:
        owner = Owner(name, "here", 1000.0, read_ledger_id(ledger))
        account = LossAccount(CounterFile(tmp_path / "counts", owner), LossWatch(ledger, None))
        limits = Limits(heartbeat_seconds=0.0)
        named: dict[str, Any] = {"identity": Identity(name, "here"), "revisions": dict, "limits": limits}
        sink = LogSink(ledger, wall_clock=clock, account=account, **named)
        sink.start()
        token, started_at = sink.begin("bot")
        if broken:
            with ledger.begin() as session:
                session.execute(text("alter table requests rename to gone"))
        sink.put(row(started_at))
        sink.end(token)
        sink.stop()

    stopped("in-order", broken=False)
    assert list((tmp_path / "counts").iterdir()) == []
    stopped("broken", broken=True)
    assert [path.name for path in (tmp_path / "counts").iterdir()] == ["broken.counts"]
