"""What errors of a database say: what is wrong, and none of the values."""

import traceback
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from softlaunch.store.database import Database

SECRET = "my IBAN is DE89"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """With a table that has a check."""
    one = Database(database_url)
    with one.begin() as session:
        session.execute(text("CREATE TABLE noted (n integer NOT NULL, said text UNIQUE, CHECK (said <> 'never'))"))
        session.execute(text("INSERT INTO noted VALUES (1, :said)"), {"said": SECRET})
    yield one
    with one.begin() as session:
        session.execute(text("DROP TABLE noted"))
    one.close()


def failed(database: Database, statement: str) -> DBAPIError:
    """The error of a statement that has the text as its parameter."""
    with pytest.raises(DBAPIError) as caught, database.begin() as session:
        session.execute(text(statement), {"said": SECRET})
    return caught.value


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("INSERT INTO noted VALUES (2, :said)", id="it is there already"),
        pytest.param("INSERT INTO noted (said) VALUES (:said || '!')", id="something is missing"),
        pytest.param("INSERT INTO nowhere VALUES (:said)", id="no such table"),
        pytest.param("SELECT json_each.nothing FROM noted WHERE said = :said", id="no such column"),
    ],
)
def test_an_error_tells_no_value(database: Database, statement: str) -> None:
    """Neither itself, nor the driver's below it, nor a traceback of both."""
    error = failed(database, statement)
    told = "".join(traceback.format_exception(error)) + str(error.orig) + repr(error.orig)
    assert "DE89" not in told
    assert isinstance(error, IntegrityError | ProgrammingError | DBAPIError)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.postgres
def test_what_does_not_fit_a_type_is_not_quoted(database: Database) -> None:
    """PostgreSQL would say 'invalid input syntax for type integer: \"...\"'; the code stays."""
    error = failed(database, "INSERT INTO noted VALUES (CAST(CAST(:said AS text) AS integer), 'x')")
    assert isinstance(error, DataError)
    assert "invalid input syntax for type integer: ... (SQLSTATE 22P02)" in str(error)
    assert "DE89" not in "".join(traceback.format_exception(error))
    constraint = failed(database, "INSERT INTO noted VALUES (2, :said)")
    assert "noted_said_key" in str(constraint.orig)  # names of ours help whoever reads it
