"""The outbox as senders see it: streams, each emptied in order by one sender at a time, and each message's fate.

A sender notes which message it is about to send before it does, and that it arrived afterwards. Between the two it may
die: whoever takes the stream over finds the note and asks the receiver before sending again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import literal, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, func, or_, select

from softlaunch.ledger.notices import Event
from softlaunch.store.tables import NoticeRow, ReleaseRow, StreamRow

HOLD = timedelta(seconds=60)
"""How long a sender may be silent about a stream before another one takes it over; longer than any single call."""
HEAD = 0
"""What `Stream.trying` says while a thread's head is being posted."""


@dataclass(frozen=True, slots=True)
class MessageRef:
    """Where a message is: a channel, and the name that the channel gave it. Empty where there is no such thing."""

    channel: str = ""
    name: str = ""

    def __bool__(self) -> bool:
        """Whether it is anywhere."""
        return bool(self.name)


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that waits to be sent. `key` is the same in every attempt, in every process, and nowhere else."""

    id: int
    app: str
    release_id: str | None
    stream: str
    event: Event
    details: Mapping[str, Any]
    text: str
    written_at: datetime

    @property
    def key(self) -> str:
        """`release:support-bot-3/17/1740830400.25`."""
        return f"{self.stream}/{self.id}/{self.written_at.timestamp()}"


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream as its holder took it over. `trying` is the message of which nobody knows whether it arrived."""

    name: str
    thread: MessageRef
    failures: int
    trying: int | None
    tried_at: datetime | None
    shown: int


def streams_with_messages(session: Session, now: datetime) -> list[str]:
    """Lanes in which something waits, the longest waiting first, without those that somebody holds or put off."""
    oldest = func.min(NoticeRow.id)
    waiting = (
        select(NoticeRow.lane)
        .outerjoin(StreamRow, col(StreamRow.name) == col(NoticeRow.lane))
        .where(col(NoticeRow.sent_at).is_(None), _free(now))
        .group_by(col(NoticeRow.lane))
        .order_by(oldest)
    )
    return list(session.exec(waiting))


def streams_with_old_heads(session: Session, now: datetime, refresh: timedelta) -> list[str]:
    """Lanes whose thread shows an earlier step of its release, or figures of a live release older than `refresh`."""
    stale = col(StreamRow.shown) != col(ReleaseRow.revision)
    old = col(ReleaseRow.live_app).is_not(None) & (col(StreamRow.shown_at) <= now - refresh)
    found = (
        select(StreamRow.name)
        .join(ReleaseRow, col(StreamRow.name) == literal("release:") + col(ReleaseRow.id))
        .where(StreamRow.thread != "", or_(stale, old), _free(now))
        .order_by(StreamRow.name)
    )
    return list(session.exec(found))


def _free(now: datetime) -> Any:
    held, put_off = col(StreamRow.held_until), col(StreamRow.retry_at)
    return or_(held.is_(None), held <= now) & or_(put_off.is_(None), put_off <= now)


def take_stream(session: Session, name: str, holder: str, now: datetime) -> Stream | None:
    """Take a stream for a while; None when somebody else has it, or it was put off."""
    if session.get(StreamRow, name) is None:
        try:
            with session.begin_nested():
                session.add(StreamRow(name=name))
        except IntegrityError:
            pass  # somebody else made it at this moment
    taken = session.execute(
        update(StreamRow)
        .where(col(StreamRow.name) == name, _free(now))
        .values(holder=holder, held_until=now + HOLD)
        .returning(col(StreamRow.name))
    ).scalar_one_or_none()
    if taken is None:
        return None
    row = session.get_one(StreamRow, name, populate_existing=True)
    return Stream(name, MessageRef(row.channel, row.thread), row.failures, row.trying, row.tried_at, row.shown)


def next_notice(session: Session, stream: str) -> Notice | None:
    """The oldest message of a stream that has not been sent."""
    found = select(NoticeRow).where(NoticeRow.lane == stream, col(NoticeRow.sent_at).is_(None))
    row = session.exec(found.order_by(col(NoticeRow.id)).limit(1)).one_or_none()
    return None if row is None else to_notice(row)


def to_notice(row: NoticeRow) -> Notice:
    """The frozen value of a row."""
    return Notice(
        row.id or 0, row.app, row.release_id, row.lane, Event(row.event), row.details, row.text, row.written_at
    )


def begin_sending(session: Session, stream: str, holder: str, notice_id: int, now: datetime) -> bool:
    """Note, before it is done, that a message is being sent; False when the stream is somebody else's by now."""
    return _write(session, stream, holder, trying=notice_id, tried_at=now, held_until=now + HOLD)


def mark_sent(
    session: Session, notice: Notice, holder: str, place: MessageRef, now: datetime, problem: str = ""
) -> bool:
    """Note that a message was sent, and as what; `problem` says why it was given up instead."""
    if not _write(session, notice.stream, holder, trying=None, failures=0, problem="", held_until=now + HOLD):
        return False
    row = session.get_one(NoticeRow, notice.id)
    row.sent_at, row.sent_as, row.problem = now, f"{place.channel}/{place.name}" if place else "", problem
    return True


def head_shown(session: Session, stream: str, holder: str, place: MessageRef, revision: int, now: datetime) -> bool:
    """Note where a thread's head is, and which step of the release it shows."""
    return _write(
        session,
        stream,
        holder,
        channel=place.channel,
        thread=place.name,
        shown=revision,
        shown_at=now,
        trying=None,
        failures=0,
        problem="",
        held_until=now + HOLD,
    )


def put_off(session: Session, stream: Stream, holder: str, retry_at: datetime, problem: str, *, sure: bool) -> None:
    """Give a stream back until later. `sure` says that the message certainly did not arrive."""
    kept: dict[str, Any] = {"trying": None} if sure else {}
    failures = stream.failures + 1
    _write(
        session,
        stream.name,
        holder,
        holder="",
        held_until=None,
        retry_at=retry_at,
        failures=failures,
        problem=problem,
        **kept,
    )


def release_stream(session: Session, stream: str, holder: str) -> None:
    """Let the next sender take a stream at once."""
    _write(session, stream, holder, holder="", held_until=None, retry_at=None)


def _write(session: Session, stream: str, by: str, **values: Any) -> bool:
    written = session.execute(
        update(StreamRow)
        .where(col(StreamRow.name) == stream, col(StreamRow.holder) == by)
        .values(**values)
        .returning(col(StreamRow.name))
    )
    return written.scalar_one_or_none() is not None


def sent_ref(session: Session, stream: str, approval_id: int) -> MessageRef:
    """Where the message that asks a question is; empty when it was never sent."""
    rows = session.exec(select(NoticeRow).where(NoticeRow.lane == stream, NoticeRow.event == Event.ASKED))
    found = next((row.sent_as for row in rows if row.details.get("approval") == approval_id), "")
    channel, _, name = found.partition("/")
    return MessageRef(channel, name)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in a stream, since when, and why it isn't sent."""

    stream: str
    count: int
    since: datetime
    retry_at: datetime | None
    problem: str


def read_waiting(session: Session) -> list[Waiting]:
    """Every stream in which something waits, the longest waiting first."""
    found = (
        select(NoticeRow.lane, func.count(), func.min(NoticeRow.written_at))
        .where(col(NoticeRow.sent_at).is_(None))
        .group_by(col(NoticeRow.lane))
        .order_by(func.min(NoticeRow.id))
    )
    waiting = session.exec(found).all()
    streams = {row.name: row for row in session.exec(select(StreamRow).where(col(StreamRow.problem) != ""))}
    return [
        Waiting(name, count, since, streams[name].retry_at, streams[name].problem)
        if name in streams
        else Waiting(name, count, since, None, "")
        for name, count, since in waiting
    ]
