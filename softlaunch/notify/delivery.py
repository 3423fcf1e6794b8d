"""Emptying the outbox: each stream in order, by one sender at a time, whatever dies or is down meanwhile.

Nothing here is ever waited for by a release or a rollback. A message goes out once: before it does its sender notes
which it is, afterwards that it arrived; where the note is all that is left, the receiver is asked first.
"""

import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from sqlmodel import Session

from softlaunch.core.clock import utc_now
from softlaunch.ledger.approvals import read_approval
from softlaunch.ledger.incidents import read_incident
from softlaunch.ledger.notices import WEBHOOK_STREAM, Event
from softlaunch.ledger.outbox import (
    HEAD,
    MessageRef,
    Notice,
    Stream,
    begin_sending,
    head_shown,
    mark_sent,
    next_notice,
    put_off,
    release_stream,
    sent_ref,
    streams_with_messages,
    streams_with_old_heads,
    take_stream,
)
from softlaunch.notify.interface import Chat, Envelope, Receiver, ReceiverError, UnacceptableError
from softlaunch.notify.plot import DecisivePlot, decisive_plot
from softlaunch.policy.model import Policy
from softlaunch.releases.views import ReleaseView, read_view
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, ReleaseRow

REFRESH = timedelta(seconds=20)
"""How old the figures of a live release may become at the head of its thread."""
_LONGEST_PAUSE = 60.0
_RELEASE, _APP = "release:", "app:"


class Router(Protocol):
    """Knows the receiver of each message."""

    def chat(self, policy: Policy | None) -> Chat:
        """The chat of an app's people; the installation's, without a policy. Raises ReceiverError."""
        ...

    def webhook(self) -> Receiver:
        """The receiver of every incident."""
        ...


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a round did: messages sent, and what kept others from being sent."""

    sent: int
    problems: tuple[str, ...]


class _LostError(Exception):
    """Somebody else took the stream over."""


@dataclass(slots=True)
class Sender:
    """Sends what waits. `clock` tells the time; a sender is used by one thread."""

    database: Database
    router: Router
    clock: Callable[[], datetime] = utc_now
    holder: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}")

    def run(self, seconds: float = 20.0) -> Delivered:
        """One round over all streams that something waits in; begins no other stream when the time is over."""
        end = self.clock() + timedelta(seconds=seconds)
        with self.database.read() as session:
            waiting = streams_with_messages(session, self.clock())
            waiting += streams_with_old_heads(session, self.clock(), REFRESH)
        sent, problems = 0, []
        for name in dict.fromkeys(waiting):
            if self.clock() >= end:
                break
            count, problem = self._empty(name, end)
            sent += count
            if problem:
                problems.append(problem)
        return Delivered(sent, tuple(problems))

    def _empty(self, name: str, end: datetime) -> tuple[int, str]:
        """Send what waits in a stream; returns how much that was, and what went wrong."""
        with self.database.begin() as session:
            stream = take_stream(session, name, self.holder, self.clock())
        if stream is None:
            return 0, ""
        round_ = _Round(self, stream)
        try:
            round_.work(end)
        except _LostError:
            return round_.sent, ""
        except ReceiverError as error:
            pause = error.retry_after if error.retry_after is not None else min(2.0**stream.failures, _LONGEST_PAUSE)
            with self.database.begin() as session:
                later = self.clock() + timedelta(seconds=pause)
                put_off(session, stream, self.holder, later, str(error), sure=error.sure)
            return round_.sent, f"{name}: {error}"
        with self.database.begin() as session:
            release_stream(session, name, self.holder)
        return round_.sent, ""


class _Round:
    """One sender's work on one stream that it holds."""

    def __init__(self, sender: Sender, stream: Stream) -> None:
        self._database, self._clock, self._holder = sender.database, sender.clock, sender.holder
        self._router, self._stream = sender.router, stream
        self._thread = stream.thread
        self.sent = 0

    def work(self, end: datetime) -> None:
        """Send, in order, until nothing waits or the time is over; then bring the thread's head up to date."""
        if self._stream.name == WEBHOOK_STREAM:
            self._send_all(self._router.webhook(), end)
            return
        chat = self._router.chat(self._policy())
        threaded = chat.threads and self._stream.name.startswith(_RELEASE)
        if threaded and not self._thread:
            self._begin(chat)
        self._send_all(chat, end)
        if threaded:
            self._show(chat)

    def _send_all(self, receiver: Receiver, end: datetime) -> None:
        unsure = self._stream.trying
        while self._clock() < end:
            with self._database.read() as session:
                notice = next_notice(session, self._stream.name)
                envelope = None if notice is None else self._envelope(session, notice)
            if notice is None or envelope is None:
                return
            found = MessageRef()
            if unsure == notice.id and self._stream.tried_at is not None:
                found = receiver.find(notice.key, self._thread, self._stream.tried_at)
            unsure = None
            ref, problem = (found, "") if found else self._send(receiver, envelope)
            with self._database.begin() as session:
                self._hold(mark_sent(session, notice, self._holder, ref, self._clock(), problem))
            self.sent += 1

    def _send(self, receiver: Receiver, envelope: Envelope) -> tuple[MessageRef, str]:
        notice = envelope.notice
        with self._database.begin() as session:
            self._hold(begin_sending(session, self._stream.name, self._holder, notice.id, self._clock()))
            asked = self._asked_at(session, notice)
        try:
            if asked:
                self._router.chat(self._policy()).close(envelope, asked)
            return receiver.post(envelope, self._thread), ""
        except UnacceptableError as error:  # nothing that comes later can be held up by it for good
            return MessageRef(), str(error)

    def _asked_at(self, session: Session, notice: Notice) -> MessageRef:
        """Where the message is that asked the question which this one is about."""
        if notice.event not in {Event.CLOSED, Event.NOTED}:
            return MessageRef()
        return sent_ref(session, notice.stream, notice.details["approval"])

    def _envelope(self, session: Session, notice: Notice) -> Envelope:
        row = None if notice.release_id is None else session.get(ReleaseRow, notice.release_id)
        asked, incident = notice.details.get("approval"), notice.details.get("incident")
        return Envelope(
            notice,
            approval=None if asked is None else read_approval(session, asked, self._clock()),
            incident=None if incident is None else read_incident(session, incident),
            run_url="" if row is None else row.run_url,
        )

    def _begin(self, chat: Chat) -> None:
        """Find the thread that a sender before us may have begun, or begin it."""
        if self._stream.trying == HEAD and self._stream.tried_at is not None:
            self._thread = chat.find(self._head_key, MessageRef(), self._stream.tried_at)
        if not self._thread:
            with self._database.begin() as session:
                self._hold(begin_sending(session, self._stream.name, self._holder, HEAD, self._clock()))
            self._show(chat)

    def _show(self, chat: Chat) -> None:
        """Post the thread's head, or bring it up to date."""
        view, plot = self._view()
        self._thread = chat.show(view, self._head_key, self._thread, plot)
        with self._database.begin() as session:
            revision = view.release.revision
            self._hold(head_shown(session, self._stream.name, self._holder, self._thread, revision, self._clock()))

    @property
    def _head_key(self) -> str:
        return f"{self._stream.name}/head"

    def _view(self) -> tuple[ReleaseView, DecisivePlot | None]:
        with self._database.read() as session:
            row = session.get_one(ReleaseRow, self._stream.name.removeprefix(_RELEASE))
            view = read_view(session, row, self._clock())
            return view, decisive_plot(session, view)

    def _policy(self) -> Policy | None:
        """The policy that names the chat: the release's own, else the app's."""
        name = self._stream.name
        with self._database.read() as session:
            if name.startswith(_RELEASE):
                row: ReleaseRow | AppRow | None = session.get(ReleaseRow, name.removeprefix(_RELEASE))
            else:
                row = session.get(AppRow, name.removeprefix(_APP))
            return None if row is None else Policy.model_validate(row.policy)

    def _hold(self, held: bool) -> None:  # noqa: FBT001  (the outcome of a write)
        if not held:
            raise _LostError
