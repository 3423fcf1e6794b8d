"""Rows of any table as JSON and back, exactly: what an archive holds of them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table, insert
from sqlmodel import Session, SQLModel

from softlaunch.store.tables import UtcDateTime

Rows = dict[str, list[dict[str, Any]]]
"""Rows by their table's name."""


def dump(tables: Mapping[type[SQLModel], Sequence[SQLModel]]) -> bytes:
    """One line of JSON with every column of these rows; the same rows make the same bytes."""
    rows = {_table(kind).name: [_plain(_table(kind), row) for row in found] for kind, found in tables.items()}
    return json.dumps(rows, ensure_ascii=True, separators=(",", ":")).encode()


def load(line: bytes) -> Rows:
    """The rows of a line that `dump` wrote."""
    rows: Rows = json.loads(line)
    return rows


def insert_rows(session: Session, rows: Rows) -> None:
    """Put rows back as they were, those of a table that others refer to first."""
    for name, found in rows.items():
        table = SQLModel.metadata.tables[name]
        if found:
            session.connection().execute(insert(table), [_values(table, row) for row in found])


def _table(kind: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(kind.__tablename__)]


def _plain(table: Table, row: SQLModel) -> dict[str, Any]:
    values = {column.name: getattr(row, column.name) for column in table.columns}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _values(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    moments = {column.name for column in table.columns if isinstance(column.type, UtcDateTime)}
    return {
        name: datetime.fromisoformat(value) if name in moments and value is not None else value
        for name, value in row.items()
    }
