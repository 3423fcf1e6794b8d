"""Files of an app's own metrics: what is taken, once, and what is said of the rest."""

import re
from pathlib import Path

import pytest
from sqlmodel import select

from softlaunch.core.split import unit_hash
from softlaunch.ledger.reported_files import Imported, Refusal, Reporter, ReportFileError
from softlaunch.policy.named_metrics import MetricPolicy
from softlaunch.policy.units import UnitPolicy
from softlaunch.store.database import Database
from softlaunch.store.tables import ScoreRow
from tests.support.builders import APP, request_row

NOW = 1_000_000.0
METRICS = {
    "solved": MetricPolicy.model_validate(
        {"name": "solved", "kind": "share", "better": "up", "unit": "user", "window": "3 d"}
    ),
    "minutes": MetricPolicy.model_validate({"name": "minutes", "kind": "amount", "better": "down"}),
}


@pytest.fixture
def reporter(database: Database) -> Reporter:
    """An app whose user ann asked twice, and bob long ago."""
    asked = {f"{APP}-1": ("ann", 50.0), f"{APP}-2": ("ann", 20.0), f"{APP}-3": ("bob", 4 * 86400.0)}
    with database.begin() as session:
        for request_id, (user, ago) in asked.items():
            unit = unit_hash(user, "salt")
            session.add(request_row(request_id=request_id, unit=unit, started_at=NOW - ago, release_id=None))
    return Reporter(database, APP, "salt", UnitPolicy(), METRICS)


def imported(reporter: Reporter, folder: Path, text: str) -> Imported:
    """What became of a file."""
    path = folder / "values.csv"
    path.write_text(text, encoding="utf-8")
    return reporter.import_file(path, lambda: NOW)


def kept(reporter: Reporter) -> set[tuple[str, str, float, float]]:
    """What the ledger holds."""
    with reporter.database.read() as session:
        return {(row.request_id, row.metric, row.value, row.received_at) for row in session.exec(select(ScoreRow))}


def test_rows_are_taken_once(reporter: Reporter, tmp_path: Path) -> None:
    """By request or by unit, whose last request it is; a file may be imported again."""
    text = f"request_id,unit,solved,minutes,team\n{APP}-1,,,12.5,a\n,ann,TRUE,,b\n"
    assert imported(reporter, tmp_path, text) == Imported(accepted=2, ignored=("team",))
    assert kept(reporter) == {(f"{APP}-1", "minutes", 12.5, NOW), (f"{APP}-2", "solved", 1.0, NOW)}
    assert imported(reporter, tmp_path, text) == Imported(known=2, ignored=("team",))
    assert len(kept(reporter)) == 2


def test_what_is_not_taken_is_said(reporter: Reporter, tmp_path: Path) -> None:
    """Row by row, and the others are taken all the same."""
    rows = [
        "support-bot-9,,1,",
        ",bob,1,",
        ",ann,maybe,",
        ",ann,,7",
        f"{APP}-1,ann,1,",
        f"{APP}-1,,,",
        f"{APP}-3,,1,",
        f"{APP}-2,,,-1",
        f"{APP}-2,,,3",
    ]
    done = imported(reporter, tmp_path, "request_id,unit,solved,minutes\n" + "\n".join(rows))
    assert done.accepted == 1
    assert done.refused == [
        Refusal(1, f"{APP} has no request 'support-bot-9' in its log"),
        Refusal(2, "this unit has asked nothing lately, or not since the metric's window"),
        Refusal(3, "solved is 'maybe'; expected true or false, 1 or 0"),
        Refusal(4, "minutes is of single requests by the policy; it needs a request_id"),
        Refusal(5, "it needs either a request_id or a unit"),
        Refusal(6, "it has no value of any metric"),
        Refusal(7, f"request '{APP}-3' is older than the metric's window"),
        Refusal(8, "minutes is '-1'; expected a number from 0 on"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "has no rows", id="an empty file"),
        pytest.param("request_id,solved\n", "has no rows", id="a header alone"),
        pytest.param("request_id,sold\na,1\n", "one or more of the app's metrics (solved, minutes)", id="no metric"),
        pytest.param("id,solved\na,1\n", "expected a column request_id or unit", id="nobody"),
    ],
)
def test_files_that_say_nothing_are_refused(reporter: Reporter, tmp_path: Path, text: str, said: str) -> None:
    """With what was expected."""
    with pytest.raises(ReportFileError, match=re.escape(said)):
        imported(reporter, tmp_path, text)


def test_many_rows_are_taken_in_pieces(reporter: Reporter, tmp_path: Path) -> None:
    """Each of which is one transaction, so that gates have its values in time."""
    with reporter.database.begin() as session:
        for number in range(250):
            session.add(request_row(request_id=f"{APP}-f{number}", unit=number, started_at=NOW - 5))
    text = "request_id,minutes\n" + "".join(f"{APP}-f{number},{number}\n" for number in range(250))
    assert imported(reporter, tmp_path, text) == Imported(accepted=250)
