"""What a cleanup looks at, kind by kind: read page by page, whole as archived, tagged, and deleted by key."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, delete, func, literal, select, tuple_
from sqlmodel import Session, SQLModel, col

from softlaunch.core.errors import NotFoundError
from softlaunch.retention.rules import Item, Kind
from softlaunch.store.database import Database
from softlaunch.store.rows import dump
from softlaunch.store.tables import (
    ArchivedRow,
    EvalAnswerRow,
    EvalRunRow,
    ModelRow,
    ParametersRow,
    PromptRow,
    TagRow,
    UtcDateTime,
    VariantRow,
)

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """An item as the archive keeps it: one line, and the digest of the version in it."""

    key: str
    line: bytes
    content_digest: str


class ItemStore(ABC):
    """Where the ledger stores the items of one kind."""

    kind: Kind

    @abstractmethod
    def items(self, database: Database) -> Iterator[Item]:
        """Every item, those of a group together and newest first; read page by page."""

    @abstractmethod
    def entries(self, session: Session, keys: Sequence[str]) -> list[Entry]:
        """The items of these keys that are there, whole."""

    @abstractmethod
    def delete(self, session: Session, keys: Sequence[str]) -> None:
        """Delete the items of these keys."""


class RowStore(ItemStore):
    """Stores items that are rows of one table, with an index on group, time and name."""

    def __init__(self, kind: Kind, table: type[SQLModel], names: Sequence[Any], size: ColumnElement[int]) -> None:
        """`names` are the columns of group (if any), time and name."""
        self.kind = kind
        self.table = table
        *group, self._since, self._name = names
        self._group = group[0] if group else None
        self._order = tuple(names)
        self._size = size

    def items(self, database: Database) -> Iterator[Item]:
        """Pages by key set: what is deleted meanwhile moves nothing."""
        after: tuple[Any, ...] | None = None
        while True:
            with database.read() as session:
                page = self._page(session, after)
                items = with_past(session, self.kind, [self._item(row) for row in page])
            yield from items
            if len(page) < PAGE:
                return
            after = page[-1][: len(self._order)]

    def _page(self, session: Session, after: tuple[Any, ...] | None) -> Sequence[tuple[Any, ...]]:
        query = select(*self._order, self._size).order_by(*(column.desc() for column in self._order)).limit(PAGE)
        if after is not None:
            marks = [literal(one, UtcDateTime()) if isinstance(one, datetime) else literal(one) for one in after]
            query = query.where(tuple_(*self._order) < tuple_(*marks))
        return [tuple(row) for row in session.execute(query)]

    def _item(self, row: tuple[Any, ...]) -> Item:
        *group, since, name, size = row
        return Item(self.kind, self.key(*group, name), str(group[0]) if group else "", since, int(size or 0))

    def key(self, *names: str) -> str:
        """The key of a row by its group, where it has one, and name."""
        return names[-1]

    def where(self, keys: Sequence[str]) -> ColumnElement[bool]:
        """The rows of these keys."""
        found: ColumnElement[bool] = self._name.in_(keys)
        return found

    def entries(self, session: Session, keys: Sequence[str]) -> list[Entry]:
        """Rows with every column, in the order of their keys."""
        rows = session.execute(select(self.table).where(self.where(keys)).execution_options(populate_existing=True))
        found = {self.key(*self._names_of(row)): row for row in rows.scalars()}
        return [Entry(key, dump({self.table: [found[key]]}), found[key].digest) for key in keys if key in found]

    def _names_of(self, row: SQLModel) -> list[str]:
        named = [self._name] if self._group is None else [self._group, self._name]
        return [getattr(row, column.key) for column in named]

    def delete(self, session: Session, keys: Sequence[str]) -> None:
        """Delete rows."""
        session.connection().execute(delete(self.table).where(self.where(keys)))


class NamedVersionStore(RowStore):
    """Versions of prompts or parameters, `name@version`."""

    def __init__(self, kind: Kind, table: type[PromptRow] | type[ParametersRow]) -> None:
        super().__init__(
            kind, table, (col(table.name), col(table.recorded_at), col(table.version)), _length(table.content)
        )
        self._key = (col(table.name), col(table.version))

    def key(self, *names: str) -> str:
        """`name@version`."""
        return "@".join(names)

    def where(self, keys: Sequence[str]) -> ColumnElement[bool]:
        """By both parts of the primary key."""
        return tuple_(*self._key).in_([tuple(key.split("@", 1)) for key in keys])


class EvalStore(RowStore):
    """Evals with all their answers, by run id; those of an app together."""

    def __init__(self) -> None:
        names = (col(EvalRunRow.app), col(EvalRunRow.started_at), col(EvalRunRow.id))
        answer = func.coalesce(func.length(EvalAnswerRow.answer), 0) + _length(EvalAnswerRow.scores)
        size = select(func.sum(answer)).where(col(EvalAnswerRow.run_id) == col(EvalRunRow.id)).scalar_subquery()
        super().__init__(Kind.EVALS, EvalRunRow, names, size)

    def entries(self, session: Session, keys: Sequence[str]) -> list[Entry]:
        """Each run with its answers."""
        found = []
        for run in session.execute(select(EvalRunRow).where(self.where(keys))).scalars():
            order = (col(EvalAnswerRow.case_id), col(EvalAnswerRow.arm), col(EvalAnswerRow.repeat))
            answers = session.execute(select(EvalAnswerRow).where(col(EvalAnswerRow.run_id) == run.id).order_by(*order))
            line = dump({EvalRunRow: [run], EvalAnswerRow: answers.scalars().all()})
            found.append(Entry(run.id, line, hashlib.sha256(line).hexdigest()))
        return found

    def delete(self, session: Session, keys: Sequence[str]) -> None:
        """Answers first, for they refer to their run."""
        session.connection().execute(delete(EvalAnswerRow).where(col(EvalAnswerRow.run_id).in_(keys)))
        super().delete(session, keys)


def version_stores() -> tuple[ItemStore, ...]:
    """Prompts, parameters, models, variants and evals."""
    return (
        NamedVersionStore(Kind.PROMPTS, PromptRow),
        NamedVersionStore(Kind.PARAMETERS, ParametersRow),
        RowStore(Kind.MODELS, ModelRow, (col(ModelRow.recorded_at), col(ModelRow.name)), _length(ModelRow.content)),
        RowStore(
            Kind.VARIANTS,
            VariantRow,
            (col(VariantRow.recorded_at), col(VariantRow.digest)),
            _length(VariantRow.content),
        ),
        EvalStore(),
    )


def _length(column: object) -> ColumnElement[int]:
    return func.length(cast(column, Text))


def with_past(session: Session, kind: Kind, items: Sequence[Item]) -> list[Item]:
    """Items with their tags, and counted from when they were put back."""
    tags, restored = read_tags(session, kind, [item.key for item in items]), _restored(session, kind, items)
    return [
        Item(
            kind,
            item.key,
            item.group,
            max(item.since, restored.get(item.key, item.since)),
            item.bytes,
            tags.get(item.key, frozenset()),
        )
        for item in items
    ]


def read_tags(session: Session, kind: Kind, keys: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """The tags of items, by key."""
    found: dict[str, frozenset[str]] = {}
    for key, tag in session.execute(
        select(col(TagRow.key), col(TagRow.tag)).where(col(TagRow.kind) == kind, col(TagRow.key).in_(keys))
    ):
        found[key] = found.get(key, frozenset()) | {tag}
    return found


def _restored(session: Session, kind: Kind, items: Iterable[Item]) -> Mapping[str, datetime]:
    query = select(col(ArchivedRow.key), func.max(ArchivedRow.restored_at)).where(
        col(ArchivedRow.kind) == kind,
        col(ArchivedRow.key).in_([item.key for item in items]),
        col(ArchivedRow.restored_at).is_not(None),
    )
    return dict(session.execute(query.group_by(col(ArchivedRow.key))).tuples().all())


def tag(session: Session, kind: Kind, key: str, name: str, actor: str, now: datetime) -> bool:
    """Tag a recorded item; False where it is tagged so already. Raises NotFoundError."""
    store = next((one for one in version_stores() if one.kind is kind), None)
    if store is None or not store.entries(session, [key]):
        raise NotFoundError(f"no {kind} {key!r} is recorded, so it can't be tagged")
    if session.get(TagRow, (kind, key, name)) is not None:
        return False
    session.add(TagRow(kind=kind, key=key, tag=name, tagged_at=now, tagged_by=actor))
    return True


def untag(session: Session, kind: Kind, key: str, name: str) -> None:
    """Take a tag off. Raises NotFoundError where it isn't there."""
    row = session.get(TagRow, (kind, key, name))
    if row is None:
        raise NotFoundError(f"{kind} {key!r} has no tag {name!r}")
    session.delete(row)
    session.flush()
