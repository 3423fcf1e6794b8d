"""Emptying the outbox: each lane in order, by one sender at a time, whatever dies or is down meanwhile.

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
from softlaunch.ledger.notices import WEBHOOK_LANE, Event
from softlaunch.ledger.outbox import (
    HEAD,
    Lane,
    Notice,
    Place,
    arrived,
    begin_sending,
    give_back,
    head_shown,
    lanes_with_mail,
    lanes_with_old_heads,
    next_notice,
    put_off,
    sent_place,
    take_lane,
)
from softlaunch.notify.interface import Chat, Letter, Receiver, ReceiverError, UnacceptableError
from softlaunch.policy.model import Policy
from softlaunch.releases.views import ReleaseView, read_view
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, ReleaseRow

REFRESH = timedelta(seconds=20)
"""How old the figures of a live release may become at the head of its thread."""
_LONGEST_PAUSE = 60.0
_RELEASE, _APP = "release:", "app:"


class Desk(Protocol):
    """Knows who takes which message."""

    def chat(self, policy: Policy | None) -> Chat:
        """Where the people of an app are told; of the installation, without a policy. Raises ReceiverError."""
        ...

    def webhook(self) -> Receiver:
        """What is told of every incident."""
        ...


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a round did: messages sent, and what kept others from being sent."""

    sent: int
    problems: tuple[str, ...]


class _LostError(Exception):
    """Somebody else took the lane over."""


@dataclass(slots=True)
class Sender:
    """Sends what waits. `clock` tells the time; a sender is used by one thread."""

    database: Database
    desk: Desk
    clock: Callable[[], datetime] = utc_now
    holder: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}")

    def run(self, seconds: float = 20.0) -> Delivered:
        """One round over all lanes that something waits in; begins no other lane when the time is over."""
        end = self.clock() + timedelta(seconds=seconds)
        with self.database.read() as session:
            waiting = lanes_with_mail(session, self.clock())
            waiting += lanes_with_old_heads(session, self.clock(), REFRESH)
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
        """Send what waits in a lane; returns how much that was, and what went wrong."""
        with self.database.begin() as session:
            lane = take_lane(session, name, self.holder, self.clock())
        if lane is None:
            return 0, ""
        round_ = _Round(self, lane)
        try:
            round_.work(end)
        except _LostError:
            return round_.sent, ""
        except ReceiverError as error:
            pause = error.retry_after if error.retry_after is not None else min(2.0**lane.failures, _LONGEST_PAUSE)
            with self.database.begin() as session:
                later = self.clock() + timedelta(seconds=pause)
                put_off(session, lane, self.holder, later, str(error), sure=error.sure)
            return round_.sent, f"{name}: {error}"
        with self.database.begin() as session:
            give_back(session, name, self.holder)
        return round_.sent, ""


class _Round:
    """One sender's work on one lane that it holds."""

    def __init__(self, sender: Sender, lane: Lane) -> None:
        self._database, self._clock, self._holder = sender.database, sender.clock, sender.holder
        self._desk, self._lane = sender.desk, lane
        self._thread = lane.thread
        self.sent = 0

    def work(self, end: datetime) -> None:
        """Send, in order, until nothing waits or the time is over; then bring the thread's head up to date."""
        if self._lane.name == WEBHOOK_LANE:
            self._send_all(self._desk.webhook(), end)
            return
        chat = self._desk.chat(self._policy())
        threaded = chat.threads and self._lane.name.startswith(_RELEASE)
        if threaded and not self._thread:
            self._begin(chat)
        self._send_all(chat, end)
        if threaded:
            self._show(chat)

    def _send_all(self, receiver: Receiver, end: datetime) -> None:
        unsure = self._lane.trying
        while self._clock() < end:
            with self._database.read() as session:
                notice = next_notice(session, self._lane.name)
                letter = None if notice is None else self._letter(session, notice)
            if notice is None or letter is None:
                return
            found = Place()
            if unsure == notice.id and self._lane.tried_at is not None:
                found = receiver.find(notice.key, self._thread, self._lane.tried_at)
            unsure = None
            place, problem = (found, "") if found else self._send(receiver, letter)
            with self._database.begin() as session:
                self._hold(arrived(session, notice, self._holder, place, self._clock(), problem))
            self.sent += 1

    def _send(self, receiver: Receiver, letter: Letter) -> tuple[Place, str]:
        notice = letter.notice
        with self._database.begin() as session:
            self._hold(begin_sending(session, self._lane.name, self._holder, notice.id, self._clock()))
            asked = self._asked_at(session, notice)
        try:
            if asked:
                self._desk.chat(self._policy()).close(letter, asked)
            return receiver.post(letter, self._thread), ""
        except UnacceptableError as error:  # nothing that comes later can be held up by it for good
            return Place(), str(error)

    def _asked_at(self, session: Session, notice: Notice) -> Place:
        """Where the message is that asked the question which this one is about."""
        if notice.event not in {Event.CLOSED, Event.NOTED}:
            return Place()
        return sent_place(session, notice.lane, notice.details["approval"])

    def _letter(self, session: Session, notice: Notice) -> Letter:
        row = None if notice.release_id is None else session.get(ReleaseRow, notice.release_id)
        asked, incident = notice.details.get("approval"), notice.details.get("incident")
        return Letter(
            notice,
            approval=None if asked is None else read_approval(session, asked, self._clock()),
            incident=None if incident is None else read_incident(session, incident),
            run_url="" if row is None else row.run_url,
        )

    def _begin(self, chat: Chat) -> None:
        """Find the thread that a sender before us may have begun, or begin it."""
        if self._lane.trying == HEAD and self._lane.tried_at is not None:
            self._thread = chat.find(self._head_key, Place(), self._lane.tried_at)
        if not self._thread:
            with self._database.begin() as session:
                self._hold(begin_sending(session, self._lane.name, self._holder, HEAD, self._clock()))
            self._show(chat)

    def _show(self, chat: Chat) -> None:
        """Post the thread's head, or bring it up to date."""
        view = self._view()
        self._thread = chat.show(view, self._head_key, self._thread)
        with self._database.begin() as session:
            revision = view.release.revision
            self._hold(head_shown(session, self._lane.name, self._holder, self._thread, revision, self._clock()))

    @property
    def _head_key(self) -> str:
        return f"{self._lane.name}/head"

    def _view(self) -> ReleaseView:
        with self._database.read() as session:
            row = session.get_one(ReleaseRow, self._lane.name.removeprefix(_RELEASE))
            return read_view(session, row, self._clock())

    def _policy(self) -> Policy | None:
        """The policy that says where people are told: the release's own, else the app's."""
        name = self._lane.name
        with self._database.read() as session:
            if name.startswith(_RELEASE):
                row: ReleaseRow | AppRow | None = session.get(ReleaseRow, name.removeprefix(_RELEASE))
            else:
                row = session.get(AppRow, name.removeprefix(_APP))
            return None if row is None else Policy.model_validate(row.policy)

    def _hold(self, held: bool) -> None:  # noqa: FBT001  (the outcome of a write)
        if not held:
            raise _LostError
