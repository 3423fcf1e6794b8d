"""URLs of ledgers, with one host and with several."""

import pytest

from softlaunch.store.database import Database
from softlaunch.store.migrate import LedgerError, open_database
from softlaunch.store.urls import parse_url


def connected(url: str) -> dict[str, object]:
    """What the driver is told."""
    database = Database(url)
    told = database.engine.dialect.create_connect_args(database.url)[1]
    return {key: value for key, value in told.items() if key != "context"}


@pytest.mark.parametrize(
    ("url", "hosts", "ports", "which"),
    [
        pytest.param("u:p@db1/ledger", "db1", None, None, id="one host"),
        pytest.param("u:p@db1:5432,db2:5433/ledger", "db1,db2", "5432,5433", "read-write", id="as libpq writes it"),
        pytest.param(
            "u:p@/ledger?host=db1:5432&host=db2:5433", "db1,db2", "5432,5433", "read-write", id="as SQLAlchemy"
        ),
        pytest.param("u:p@/ledger?host=/run/a&host=/run/b", "/run/a,/run/b", ",", "read-write", id="sockets"),
        pytest.param("u:p@db1,db2/ledger?target_session_attrs=primary", "db1,db2", ",", "primary", id="which is said"),
    ],
)
def test_hosts_of_a_url(url: str, hosts: str, ports: str | None, which: str | None) -> None:
    """Of several hosts the one is asked for that can be written; user, password and database are kept."""
    told = connected(f"postgresql+psycopg://{url}")
    assert (told["host"], told.get("target_session_attrs")) == (hosts, which)
    assert str(told.get("port") or "").strip(",") == str(ports or "").strip(",")
    assert (told["user"], told["password"], told["dbname"]) == ("u", "p", "ledger")


def test_a_url_is_read_as_it_is_shown() -> None:
    """It can be handed on to another process."""
    parsed = parse_url("postgresql+psycopg://u:p@db1:5432,db2:5433/ledger?connect_timeout=3")
    assert parse_url(parsed.render_as_string(hide_password=False)) == parsed


def test_a_port_that_is_no_number_is_explained() -> None:
    """Without a traceback, and without the password."""
    with pytest.raises(LedgerError, match="is no database URL") as caught:
        open_database("postgresql://u:hunter2@db1:fifty/ledger")
    assert "hunter2" not in str(caught.value)
