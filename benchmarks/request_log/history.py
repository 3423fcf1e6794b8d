"""A ledger with a long past: the console's apps and releases, and a request log of many days behind a live release."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from benchmarks.console.ledger import Size, build, variant
from benchmarks.request_log.questions import add_beginner
from benchmarks.request_log.rows import GATEWAY, UNITS
from softlaunch.store.database import Database
from softlaunch.store.days import DAY_SECONDS, keep_days
from softlaunch.store.tables import GatewayRow

BUSY, STEADY, QUIET = "app-000", "app-001", "app-019"
"""Apps: one with 5,000 requests a second, one with 100, and one that has had none for 60 days."""
DAYS = 90
POSITION = 2
"""The stage in force of both live releases: a canary at 10 %."""
LEDGER = Size(apps=20, releases=25, requests=1000, looks=30, live=2, answers=50)
_RATES = {BUSY: 5000, STEADY: 100}
_STEADY_ROWS = 100_000
_INDEXES = (
    "ALTER TABLE {name} ADD PRIMARY KEY (id, started_at)",
    "CREATE INDEX ON {name} (request_id)",
    "CREATE INDEX ON {name} (app, release_id, stage, started_at)",
    "CREATE INDEX ON {name} (release_id, stage, unit, started_at) WHERE release_id IS NOT NULL",
)
_DIGESTS = tuple(variant(number).digest for number in (0, 1, 2, 19))
_COLUMNS = (
    "id, request_id, gateway_id, app, release_id, stage, route_revision, weight_percent, arm, mirrored, "
    "variant_digest, unit, started_at, status, outcome, latency_ms, input_tokens, output_tokens, cost_usd, "
    "streamed, fell_back, finish_reason, request_size"
)
_ROWS = f"""
SELECT id, app || '-' || lpad(to_hex(id), 16, '0'), '{GATEWAY}', app, release_id, stage, 4, weight,
    CASE WHEN candidate THEN 'candidate' ELSE 'stable' END, false,
    CASE app WHEN '{BUSY}' THEN CASE WHEN candidate THEN '{_DIGESTS[1]}' ELSE '{_DIGESTS[0]}' END
        WHEN '{QUIET}' THEN '{_DIGESTS[3]}' ELSE CASE WHEN candidate THEN '{_DIGESTS[2]}' ELSE '{_DIGESTS[1]}' END END,
    unit, at, CASE WHEN id % 97 = 0 THEN 503 ELSE 200 END,
    CASE WHEN id % 97 = 0 THEN 'provider_failed' ELSE 'answered' END, 400 + 800 * random(), 412, 96, 0.00031,
    false, false, 'stop', 1312
FROM (
    SELECT *, (unit % 100 < weight) AS candidate
    FROM (
        SELECT ({{first}} + n)::bigint AS id, {{app}} AS app, ({{first}} + n)::bigint * 7919 % {UNITS} AS unit,
            {{at}} AS at, {{release}} AS release_id, {{stage}} AS stage, {{weight}} AS weight
        FROM generate_series(0, {{last}}) n
    ) placed
) drawn
"""
_OTHERS = (
    "CASE WHEN n % 20 < 16 THEN '{busy}' WHEN n % 20 < 18 THEN '{steady}' ELSE 'app-0' || lpad({other}, 2, '0') END"
)


@dataclass(frozen=True, slots=True)
class Past:
    """A log with so many rows of a live release that ends at `now`, and so many in all on the days before."""

    now: float
    live: int
    before: int

    @property
    def began(self) -> float:
        """When the busy app's stage began, in epoch seconds."""
        return self.now - self.live / _RATES[BUSY]


def fill(database: Database, past: Past, at_once: int = 2) -> None:
    """Fill an empty ledger. Each day's table is filled before its indexes are made, and joined to the others then."""
    build(database, datetime.fromtimestamp(past.now, UTC), LEDGER)
    with database.begin() as session:
        add_beginner(session, datetime.fromtimestamp(past.now, UTC))
        session.connection().execute(text("DELETE FROM requests"))  # the console's have days that aren't made yet
    each, first = past.before // DAYS, LEDGER.requests + 1
    midnight = past.now // DAY_SECONDS * DAY_SECONDS
    with ThreadPoolExecutor(at_once) as pool:
        days = [(midnight - ago * DAY_SECONDS, first + (DAYS - ago) * each, each) for ago in range(DAYS, 0, -1)]
        for _ in pool.map(lambda day: _fill_day(database, past.now, *day), days):
            pass
    _fill_today(database, past, first + DAYS * each)
    keep_days(database, past.now)
    with database.begin() as session:
        for kind in ("gateway", "receiver"):
            times: dict[str, Any] = {"started_at": 0.0, "heard_at": past.now, "complete_until": past.now}
            session.add(GatewayRow(id=kind, kind=kind, address="here", revisions={}, **times))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))


def _fill_day(database: Database, now: float, start: float, first: int, rows: int) -> None:
    """A day of the past. On the last 24 the busy app had a release for five hours, a stage an hour."""
    ago = int(now // DAY_SECONDS - start // DAY_SECONDS)
    at = _moment(start, DAY_SECONDS / rows)
    hour = f"floor(({at} - {start}) / 3600)::int"
    is_released = f"n % 20 < 16 AND {hour} BETWEEN 1 AND 4" if ago < LEDGER.releases else "false"
    other = "'19'" if ago > 60 else "(2 + n % 17)::text"
    given = {
        "app": _OTHERS.format(busy=BUSY, steady=STEADY, other=other),
        "release": f"CASE WHEN {is_released} THEN '{BUSY}-{LEDGER.releases - ago}' END",
        "stage": f"CASE WHEN {is_released} THEN {hour} ELSE 0 END",
        "weight": f"CASE WHEN {is_released} THEN (ARRAY[0, 10, 50, 100])[{hour}] ELSE 0 END::float8",
    }
    _fill_table(database, start, [_rows(first, rows, start, DAY_SECONDS / rows, **given)])


def _fill_today(database: Database, past: Past, first: int) -> None:
    made, midnight = [], past.now // DAY_SECONDS * DAY_SECONDS
    for app, rows in ((BUSY, past.live), (STEADY, _STEADY_ROWS)):
        every = 1 / _RATES[app]
        given = {"app": f"'{app}'", "release": f"'{app}-{LEDGER.releases}'", "stage": str(POSITION), "weight": "10.0"}
        made.append(_rows(first, rows, past.now - rows * every, every, **given))
        first += rows
    _fill_table(database, midnight, made)
    with database.begin() as session:
        session.connection().execute(text(f"SELECT setval('requests_id_seq', {first})"))


def _rows(first: int, rows: int, began: float, every: float, **given: str) -> str:
    return _ROWS.format(first=first, last=rows - 1, at=_moment(began, every), **given)


def _moment(began: float, every: float) -> str:
    return f"({began}::float8 + n * {every}::float8)"


def _fill_table(database: Database, start: float, made: list[str]) -> None:
    name = f"requests_day_{datetime.fromtimestamp(start, UTC):%Y%m%d}"
    with database.begin() as session:
        connection = session.connection()
        connection.execute(text(f"CREATE TABLE {name} (LIKE requests INCLUDING DEFAULTS)"))
        for rows in made:
            connection.execute(text(f"INSERT INTO {name} ({_COLUMNS}) {rows}"))
        for statement in _INDEXES:
            connection.execute(text(statement.format(name=name)))
        within = f"started_at >= {start} AND started_at < {start + DAY_SECONDS}"
        connection.execute(text(f"ALTER TABLE {name} ADD CONSTRAINT within CHECK ({within})"))
        bounds = f"FOR VALUES FROM ({start}) TO ({start + DAY_SECONDS})"
        connection.execute(text(f"ALTER TABLE requests ATTACH PARTITION {name} {bounds}"))
        connection.execute(text(f"ALTER TABLE {name} DROP CONSTRAINT within"))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"VACUUM (ANALYZE) {name}"))
