"""PostgreSQL's COPY: many rows of one table in one statement, which is several times as fast as inserting them."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from softlaunch.store.faults import take_values_out


def can_copy(connection: Connection) -> bool:
    """Whether this database has it."""
    return connection.dialect.name == "postgresql"


def copy_rows(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows within the connection's transaction: all of them, or none.

    Raises SQLAlchemy's errors, as an insert does, without the values that PostgreSQL quotes. Whatever broke off, the
    transaction can only be rolled back.
    """
    driver = connection.connection.driver_connection
    if driver is None:
        raise RuntimeError("the connection to PostgreSQL is closed")
    module = connection.dialect.dbapi
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except Exception as error:
        if module is None or not isinstance(error, module.Error):
            raise
        if connection.dialect.is_disconnect(error, driver, None):
            connection.invalidate(error)
        raised = DBAPIError.instance(statement, None, error, module.Error, hide_parameters=True)
        take_values_out(error, raised)
        raise raised from error
