"""What a database opens of a long request log when the product asks something of it: its indexes, and few days."""

import json
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import col, update

from benchmarks.request_log.questions import QUESTIONS, Scene, add_beginner
from softlaunch.store.database import Database
from softlaunch.store.days import DAY_SECONDS, keep_days
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import GatewayRow, ReleaseRow, StageRow
from tests.support.builders import APP, make_policy, open_in_new_app, request_row

NOON = 1_780_000_000.0 // DAY_SECONDS * DAY_SECONDS + 43200
DAYS = 30
"""How many days the log has behind it."""
ROOT = Path(__file__).parents[2]
WEEK = 7
DAYS_BACK = {
    "a unit's last request in a release": WEEK,
    "a unit's last request": WEEK,
    "the rate of traffic": WEEK,
    "the rate of a quiet app": WEEK,
    "whether a quiet app has traffic": WEEK,
    "texts that nobody will judge": 2,
    **dict.fromkeys(("stable's history", "the history of a variant that has none"), DAYS),  # what was rated, whenever
    **dict.fromkeys(("a variant's scores", "ratings by week", "scores by week"), DAYS),
    **dict.fromkeys(("who names nobody", "who names nobody in a quiet app", "which APIs", "the newest outcomes"), DAYS),
    **dict.fromkeys(("the newest requests", "the newest that failed", "the last day"), DAYS),  # by their numbers
    **dict.fromkeys(("a request by an id that tells no time", "models that answer as another"), DAYS),
    **dict.fromkeys(("whether a first variant may give way", "whether a model's record may change"), DAYS),
}
"""How many days before today a question may open; one where it isn't named."""
ASKED_ELSEWHERE = {
    "gateway/ratings.py": "looks a request up by its id, as `read_request` does",
    "ledger/reported_files.py": "looks a request up by its id, as `read_request` does",
    "live/queue.py": "reads what came since the last time, by app and time, as a look does",
    "ledger/request_log.py": "writes",
    "retention/request_days.py": "reads and drops single days",
    "retention/request_rows.py": "reads the whole log in its order",
    "retention/restore.py": "writes",
    "retention/rollup.py": "adds rows up that somebody has read",
}
"""Modules that know the table and that no question here reaches, and why."""


def fill(database: Database) -> Scene:
    """A live release whose canary began an hour ago, with a request a minute, and a request a day before it."""
    release_id = open_in_new_app(database, make_policy())
    at = datetime.fromtimestamp(NOON, UTC)
    with database.begin() as session:
        add_beginner(session, at)
        session.execute(update(ReleaseRow).values(state="canary", stage=2, opened_at=at - timedelta(hours=2)))
        entered = {"entered_at": at - timedelta(hours=1)}
        session.execute(update(StageRow).where(col(StageRow.position) == 2).values(state="running", **entered))
        for kind in ("gateway", "receiver"):
            times: dict[str, Any] = {"started_at": 0.0, "heard_at": NOON, "complete_until": NOON}
            session.add(GatewayRow(id=kind, kind=kind, address="here", revisions={}, **times))
        for number in range(60):
            stage: dict[str, Any] = {"release_id": release_id, "stage": 2, "weight_percent": 10.0}
            session.add(request_row(request_id=f"a{number}", started_at=NOON - 60 * number - 0.5, **stage))
        for day in range(1, DAYS):
            session.add(request_row(request_id=f"b{day}", started_at=NOON - day * DAY_SECONDS, release_id=None))
    return Scene(APP, release_id, "quiet-bot", NOON - 3600, NOON)


class Asked:
    """The statements by which a ledger is asked for requests while this is open, and by which modules of ours."""

    def __init__(self, database: Database) -> None:
        """Not open yet."""
        self.engine = database.engine
        self.statements: list[tuple[str, Any]] = []
        self.modules: set[str] = set()

    def __enter__(self) -> "Asked":
        """Listen."""
        event.listen(self.engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        event.remove(self.engine, "before_cursor_execute", self._note)

    def _note(self, _: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        if re.search(r"\b(FROM|JOIN) requests\b", statement) and statement.startswith("SELECT"):
            self.statements.append((statement, parameters))
            frames = (Path(frame.filename) for frame in traceback.extract_stack())
            ours = ROOT / "softlaunch"
            self.modules.update(str(path.relative_to(ours)) for path in frames if path.is_relative_to(ours))


@pytest.fixture(scope="module")
def small(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Scene]]:
    """The log on SQLite."""
    path = tmp_path_factory.mktemp("plans") / "ledger.db"
    path.write_bytes(migrated_file.read_bytes())
    database = Database(f"sqlite:///{path}")
    yield database, fill(database)
    database.close()


@pytest.mark.parametrize("name", QUESTIONS)
def test_sqlite_reads_no_log_from_end_to_end(small: tuple[Database, Scene], name: str) -> None:
    """Whatever is asked of it is found by an index."""
    database, scene = small
    with Asked(database) as asked:
        QUESTIONS[name](database, scene)
    assert asked.statements
    with database.read() as session:
        for statement, parameters in asked.statements:
            explained = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [str(row[3]) for row in explained]
            assert not [step for step in steps if step.startswith("SCAN requests")], (statement, steps)


def test_every_module_that_asks_the_log_is_asked(small: tuple[Database, Scene]) -> None:
    """Who adds a query to a module of its own adds a question, or says why none is needed."""
    database, scene = small
    with Asked(database) as asked:
        for question in QUESTIONS.values():
            question(database, scene)
    folder = ROOT / "softlaunch"
    knowing = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if "RequestRow" in re.findall(r"\w+", path.read_text(encoding="utf-8")) and "store" not in path.parts
    }
    assert knowing - asked.modules - {"ledger/logged.py"} == set(ASKED_ELSEWHERE)


@pytest.fixture(scope="module")
def long(make_postgres: Callable[[], str]) -> Iterator[tuple[Database, Scene]]:
    """The log on PostgreSQL, in as many days."""
    database = open_database(make_postgres())
    keep_days(database, NOON)
    scene = fill(database)
    keep_days(database, NOON)
    yield database, scene
    database.close()


@pytest.mark.postgres
@pytest.mark.long
@pytest.mark.parametrize("name", QUESTIONS)
def test_postgres_opens_few_days_and_reads_none_from_end_to_end(long: tuple[Database, Scene], name: str) -> None:
    """However many days the log has: none before the question's own, and of those what an index finds."""
    database, scene = long
    with Asked(database) as asked:
        QUESTIONS[name](database, scene)
    assert asked.statements
    oldest = f"requests_day_{datetime.fromtimestamp(NOON - DAYS_BACK.get(name, 1) * DAY_SECONDS, UTC):%Y%m%d}"
    with database.read() as session:
        # what the planner would choose for large tables: with so few rows it would rather read all
        for way in ("seqscan", "hashjoin", "mergejoin", "sort"):
            session.connection().exec_driver_sql(f"SET LOCAL enable_{way} = off")
        for statement, parameters in asked.statements:
            shown = session.connection().exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
            scans = list(_scans(shown[0]["Plan"]))
            told = json.dumps(shown, indent=1)
            days = [scan["Relation Name"] for scan in scans if "_day_" in scan["Relation Name"]]
            assert min(days, default=oldest) >= oldest, told
            assert all(_is_bounded(scan) for scan in scans), told


def _scans(plan: dict[str, Any], *, limited: bool = False) -> Iterator[dict[str, Any]]:
    """What reads a day of the log, and whether it stops when enough rows are found."""
    if str(plan.get("Relation Name", "")).startswith("requests_"):
        yield {**plan, "limited": limited}
    for part in plan.get("Plans", ()):
        yield from _scans(part, limited=limited or plan["Node Type"] == "Limit")


def _is_bounded(scan: dict[str, Any]) -> bool:
    """Whether an index finds the rows; a walk along one until enough of them have come by may be long."""
    found = "Index Cond" in scan or scan["Node Type"] == "Bitmap Heap Scan"
    return found or (scan["limited"] and "Filter" not in scan)
