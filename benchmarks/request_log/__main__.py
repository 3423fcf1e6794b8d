"""Measure a large request log on PostgreSQL: python -m benchmarks.request_log {writing,sustained,size,asked}."""

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.request_log import server
from benchmarks.request_log.asking import ask
from benchmarks.request_log.history import Past
from benchmarks.request_log.history import fill as fill_days
from benchmarks.request_log.looks import Looker, look_on
from benchmarks.request_log.rows import APP, GATEWAY, beat, fill, records
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import Identity, LogSink
from softlaunch.ledger import request_log
from softlaunch.ledger.request_log import Heartbeat, write_batch
from softlaunch.store.database import Database
from softlaunch.store.days import DAY_SECONDS, keep_days
from softlaunch.store.migrate import open_database

_RATE = 5000
_BATCH = 5000
_LOOKS = 30
_PLAIN = (
    "DROP TABLE requests CASCADE",
    "ALTER TABLE plain RENAME TO requests",
    "ALTER TABLE requests ADD PRIMARY KEY (id)",
    "CREATE INDEX ix_requests_request_id ON requests (request_id)",
    "CREATE INDEX ix_requests_lately ON requests (app, started_at)",
    "CREATE INDEX ix_requests_units ON requests (release_id, stage, unit, started_at) WHERE release_id IS NOT NULL",
)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.request_log", description=__doc__)
    parser.add_argument("what", choices=["writing", "sustained", "size", "asked"])
    parser.add_argument("--rounds", type=int, default=5, help="of writing, after one to warm up")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each round, and of what is sustained")
    parser.add_argument("--large", type=int, default=100, help="millions of rows of the larger ledger that is asked")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 10, 100], help="millions of rows")
    arguments = parser.parse_args()
    if arguments.what == "writing":
        writing(arguments.rounds, arguments.seconds)
    elif arguments.what == "sustained":
        sustained(arguments.seconds)
    elif arguments.what == "asked":
        asked(arguments.large, arguments.rounds)
    else:
        sizes(arguments.sizes)


def writing(rounds: int, seconds: float) -> None:
    """Rows a second by COPY into days, and by INSERT into one table as before, in turn."""
    with server.running("copied", "inserted") as urls:
        databases = {name: open_database(url) for name, url in urls.items()}
        keep_days(databases["copied"], time.time())
        _make_plain(databases["inserted"])
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in databases}
        for number in range(rounds + 1):
            for name, database in databases.items():
                request_log.can_copy = lambda _, copies=name == "copied": copies  # type: ignore[assignment,misc]
                measured = _write(database, seconds, seed=number)
                if number:
                    found[name].append(measured)
        for database in databases.values():
            database.close()
    print("| | rows/s | writer's processor, us a row |\n| --- | ---: | ---: |")
    for name, taken in found.items():
        rate, cost = (statistics.median(values) for values in zip(*taken, strict=True))
        print(f"| {name} | {rate:,.0f} | {cost:.1f} |")


def _make_plain(database: Database) -> None:
    """The table as it was before it had days."""
    with database.begin() as session:
        session.connection().execute(text("CREATE TABLE plain (LIKE requests INCLUDING DEFAULTS)"))
        session.connection().execute(text("CREATE SEQUENCE plain_id OWNED BY plain.id"))
        session.connection().execute(text("ALTER TABLE plain ALTER id SET DEFAULT nextval('plain_id')"))
        for statement in _PLAIN:
            session.connection().execute(text(statement))


def _write(database: Database, seconds: float, seed: int) -> tuple[float, float]:
    """Rows a second, and microseconds of this process a row; making the rows isn't counted."""
    made, written, clock, used = records(seed), 0, 0.0, 0.0
    while clock < seconds:
        batch = list(islice(made, _BATCH))
        now = time.time()
        began, cpu = time.perf_counter(), time.process_time()
        write_batch(database, batch, {}, Heartbeat(GATEWAY, "here", now, now, now))
        clock += time.perf_counter() - began
        used += time.process_time() - cpu
        written += len(batch)
    return written / clock, 1e6 * used / written


def sustained(seconds: float) -> None:
    """5,000 rows a second through a gateway's log, while the gates of another process look every second."""
    with server.running("ledger") as urls:
        database = open_database(urls["ledger"])
        log = LogSink(database, identity=Identity(GATEWAY, "here"), revisions=dict, limits=Limits())
        log.start()
        time.sleep(1)
        ours, theirs = multiprocessing.Pipe()
        looking = multiprocessing.get_context("spawn").Process(target=look_on, args=(urls["ledger"], seconds, theirs))
        looking.start()
        ours.recv()
        began = time.time()
        waiting = _send(log, seconds)
        log.stop()
        took = time.time() - began
        looks: dict[str, Any] = ours.recv()
        looking.join()
        with database.read() as session:
            written = session.execute(text("SELECT count(*) FROM requests")).scalar_one()
        database.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{written:,} of {round(seconds * _RATE):,} rows in {took:.1f} s; dropped: {sum(log.dropped_total.values())}")
    print(f"most rows that waited: {max(waiting):,}; processor of the writer: {used.ru_utime + used.ru_stime:.1f} s")
    print(_of_looks(looks["seconds"]), f"rows read: {sum(looks['rows']):,}; processor: {looks['cpu']:.1f} s")


def _send(log: LogSink, seconds: float) -> list[int]:
    made, began, sent, waiting = records(), time.perf_counter(), 0, []
    while sent < seconds * _RATE:
        due = min(int((time.perf_counter() - began) * _RATE), round(seconds * _RATE))
        for row in islice(made, due - sent):
            token, started_at = log.begin(APP)
            log.put(row._replace(started_at=started_at))
            log.end(token)
        sent = due
        waiting.append(log.waiting)
        time.sleep(0.01)
    return waiting


def sizes(millions: Sequence[int]) -> None:
    """How long a look at one second's 5,000 rows takes on logs of different size, one after the other."""
    print(
        "| million rows | GB | filled in, s | a look, median, ms | slowest of 30, ms | processor, ms a look |\n"
        "| ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for size in millions:
        with server.running("ledger", fsync="off", synchronous_commit="off") as urls:
            database = open_database(urls["ledger"])
            begun, now = time.perf_counter(), time.time()
            began = fill(database, size * 1_000_000, now)
            filled = time.perf_counter() - begun
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM (ANALYZE) requests"))
                stored = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
            looker, used = Looker(database, began, now - 35), 0.0
            for ago in range(34, 0, -1):
                if ago == _LOOKS:
                    used = time.process_time() + server.processor_seconds()
                beat(database, now - ago)
                looker.look(time.time())
            used = time.process_time() + server.processor_seconds() - used
            taken = [1000 * one for one in looker.seconds[-_LOOKS:]]
            shown = f"{statistics.median(taken):.0f} | {max(taken):.0f} | {1000 * used / _LOOKS:.0f}"
            print(f"| {size} | {stored / 1e9:.1f} | {filled:.0f} | {shown} |", flush=True)
            _show_plans(database)
            database.close()


def asked(large: int, rounds: int) -> None:
    """Everything that the product asks of a log, on one of a million rows and on a large one, in turn."""
    quick = {"fsync": "off", "synchronous_commit": "off", "wal_level": "minimal", "max_wal_senders": "0"}
    noon = (time.time() // DAY_SECONDS + 0.5) * DAY_SECONDS
    pasts = {"small": Past(noon, 400_000, 500_000), "large": Past(noon, large * 99_000, large * 900_000)}
    with ExitStack() as stack:
        urls = stack.enter_context(server.running(*pasts, **quick, autovacuum="off"))
        ledgers = {}
        for name, past in pasts.items():
            database = open_database(urls[name])
            stack.callback(database.close)
            begun = time.perf_counter()
            fill_days(database, past)
            print(f"{name}: filled in {time.perf_counter() - begun:.0f} s", flush=True)
            ledgers[name] = (database, past)
        ask(ledgers, rounds, server.processor_seconds)


def _show_plans(database: Database) -> None:
    """Which partitions a look opened, as the database counts them."""
    with database.read() as session:
        scanned = text(
            "SELECT relname, idx_scan FROM pg_stat_user_tables WHERE relname LIKE 'requests%' AND idx_scan > 0"
        )
        opened = dict(session.execute(scanned).tuples().all())
    Path("/dev/stderr").write_text(f"scans of indexes by partition: {opened}\n", encoding="utf-8")


def _of_looks(seconds: Sequence[float]) -> str:
    taken = [1000 * one for one in seconds]
    return f"{len(taken)} looks: median {statistics.median(taken):.0f} ms, slowest {max(taken):.0f} ms;"


if __name__ == "__main__":
    main()
