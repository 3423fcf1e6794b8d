"""What PostgreSQL opens of a log in days when the gates look."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Select, text

from softlaunch.gates.telemetry import Scope
from softlaunch.policy.release import plan
from softlaunch.store.database import Database
from softlaunch.store.days import keep_days
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import FeedbackRow, ScoreRow
from softlaunch.telemetry.queries import ratings, request_times, shown_again, split_rows
from tests.support.builders import APP, make_policy, request_row

pytestmark = [pytest.mark.postgres, pytest.mark.long]

NOON = 1_780_000_000.0 // 86400 * 86400 + 43200
TODAY = "requests_day_20260528"


@pytest.fixture(scope="module")
def ledger(make_postgres: Callable[[], str]) -> Iterator[Database]:
    """A log of nine days, with 3,000 requests of a stage that began an hour ago and 3,000 of the day before."""
    database = open_database(make_postgres())
    keep_days(database, NOON)
    with database.begin() as session:
        for number in range(3000):
            fields: dict[str, Any] = {"unit": number, "arm": "stable", "weight_percent": 10.0}
            session.add(request_row(request_id=f"a{number}", started_at=NOON - number, release_id=f"{APP}-1", **fields))
            session.add(request_row(request_id=f"b{number}", started_at=NOON - 86400, release_id=None, **fields))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) requests"))
    yield database
    database.close()


SCOPE = Scope(APP, f"{APP}-1", next(one for one in plan(make_policy()) if one.weight_percent == 10), NOON - 3600)
WINDOW = (NOON - 1, NOON)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(split_rows(SCOPE, *WINDOW), id="requests"),
        pytest.param(shown_again(SCOPE, *WINDOW), id="requests again"),
        pytest.param(request_times(SCOPE, *WINDOW), id="times of requests"),
        pytest.param(ratings(FeedbackRow, SCOPE, WINDOW), id="ratings"),
        pytest.param(ratings(ScoreRow, SCOPE, WINDOW), id="scores"),
    ],
)
def test_a_look_opens_no_day_before_its_stage(ledger: Database, query: Select[Any]) -> None:
    """However many days the log has; and no day is read from its beginning to its end."""
    compiled = query.compile(dialect=ledger.engine.dialect, compile_kwargs={"literal_binds": True})
    with ledger.read() as session:
        shown = "\n".join(session.connection().exec_driver_sql(f"EXPLAIN {compiled}").scalars())
    opened = set(re.findall(r"requests_day_\d{8}(?=\s|$)", shown))
    assert TODAY in opened
    assert min(opened) == TODAY, shown
    assert f"Seq Scan on {TODAY}" not in shown, shown
