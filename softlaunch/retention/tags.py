"""Tags on recorded versions: `protected` keeps one for good, others give it an age of its own."""

from datetime import datetime

from sqlmodel import Session

from softlaunch.core.errors import NotFoundError
from softlaunch.retention.kinds import version_stores
from softlaunch.retention.rules import Kind
from softlaunch.store.tables import TagRow


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
