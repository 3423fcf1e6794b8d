"""Kinds of columns that all tables share. Importing this names every constraint, so it comes before any table."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Dialect, Integer
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {  # every constraint has a name, so that a migration can change it later
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
BIG_KEY = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows itself only for INTEGER


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python on every database; SQLite alone would hand back naive times."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive times, store UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Hand back UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def as_json(*, nullable: bool = False) -> Any:
    """A document, kept as JSON; None is kept as null of the database."""
    if nullable:
        return Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    return Field(sa_column=Column(JSON, nullable=False))


def moment(*, nullable: bool = False, index: bool = False) -> Any:
    """A time, aware and in UTC."""
    return Field(default=None if nullable else ..., sa_type=UtcDateTime, nullable=nullable, index=index)


def row_number() -> Any:
    """A key that the database counts up itself."""
    return Field(default=None, sa_column=Column(BIG_KEY, primary_key=True, autoincrement=True))
