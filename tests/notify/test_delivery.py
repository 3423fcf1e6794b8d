"""Emptying the outbox: in order, once, whatever dies or is down meanwhile."""

import threading
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.ledger.notices import Incident, Message, notify, open_incident
from softlaunch.ledger.outbox import HOLD, MessageRef
from softlaunch.notify.delivery import Sender
from softlaunch.notify.interface import Chat, Envelope, Receiver, ReceiverError, UnacceptableError
from softlaunch.notify.plot import DecisivePlot
from softlaunch.notify.webhook import SilentWebhook
from softlaunch.policy.model import Policy
from softlaunch.releases.views import ReleaseView
from softlaunch.store.database import Database
from tests.support.builders import APP, NOON, Clock, open_in_new_app, record_app


class Died(BaseException):
    """The sender's process was killed."""


@dataclass
class FakeChat(Chat):
    """A chat that remembers what it was told, and fails as commanded.

    `fault`: `down` fails before anything arrives, `lost` after it has, `killed` kills the sender after it has,
    `refused` never takes a message.
    """

    threads: bool = True
    fault: str = ""
    said: list[tuple[str, str]] = field(default_factory=list)
    keys: dict[str, MessageRef] = field(default_factory=dict)
    heads: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def post(self, envelope: Envelope, thread: MessageRef) -> MessageRef:
        """Take a reply, or don't."""
        return self._take(envelope.notice.key, envelope.notice.text, thread.name)

    def find(self, key: str, thread: MessageRef, since: datetime) -> MessageRef:
        """Say where a message is."""
        self.asked.append(key)
        return self.keys.get(key, MessageRef())

    def show(self, view: ReleaseView, key: str, at: MessageRef, plot: DecisivePlot | None = None) -> MessageRef:
        """Take a head, or update it."""
        if at:
            self.heads.append((at.name, view.release.state))
            return at
        return self._take(key, f"head {view.release.id}", "")

    def close(self, envelope: Envelope, at: MessageRef) -> None:
        """Nothing."""

    def _take(self, key: str, text: str, thread: str) -> MessageRef:
        if self.fault == "down":
            raise ReceiverError("down", sure=True)
        if self.fault == "refused" and text.startswith("bad"):
            raise UnacceptableError("never")
        ref = MessageRef("C1", str(len(self.said) + 1))
        self.said.append((thread, text))
        self.keys[key] = ref
        if self.fault == "lost":
            raise ReceiverError("no answer", sure=False)
        if self.fault == "killed":
            raise Died
        return ref


@dataclass
class FakeRouter:
    """One chat for everybody."""

    people: Chat = field(default_factory=FakeChat)
    listener: Receiver = field(default_factory=SilentWebhook)

    def chat(self, policy: Policy | None) -> Chat:
        """The chat."""
        return self.people

    def webhook(self) -> Receiver:
        """The webhook."""
        return self.listener


@pytest.fixture
def clock() -> Clock:
    """A clock that is told the time."""
    return Clock()


def write(database: Database, *texts: str, release: str | None = None) -> None:
    """Put messages into the outbox."""
    for text in texts:
        with database.begin() as session:
            notify(session, Message(APP, release, text), NOON)


def texts(chat: FakeChat) -> list[str]:
    """What was said, without heads."""
    return [text for _, text in chat.said if not text.startswith("head ")]


def test_messages_of_a_release_leave_in_order_in_its_thread(database: Database, clock: Clock) -> None:
    """The head comes first, replies follow it, and a second round has nothing to do."""
    release = open_in_new_app(database)
    write(database, "one", "two", "three", release=release)
    chat = FakeChat()
    sender = Sender(database, FakeRouter(chat), clock)
    assert sender.run().sent == 3
    assert chat.said == [("", f"head {release}"), ("1", "one"), ("1", "two"), ("1", "three")]
    assert sender.run().sent == 0
    assert len(chat.said) == 4


def test_a_head_is_brought_up_to_date_when_its_release_has_moved(database: Database, clock: Clock) -> None:
    """Also where nothing was said; the figures of a live release are refreshed now and then, an ended one's never."""
    release = open_in_new_app(database)
    write(database, "one", release=release)
    chat = FakeChat()
    sender = Sender(database, FakeRouter(chat), clock)
    sender.run()
    assert len(chat.heads) == 1
    sender.run()
    assert len(chat.heads) == 1
    clock.go(60)
    sender.run()
    assert [state for _, state in chat.heads] == ["pending", "pending"]


@pytest.mark.long
def test_where_the_receiver_is_down_messages_wait_and_leave_later_in_order(database: Database, clock: Clock) -> None:
    """Ten minutes of outage: pauses grow, nothing is lost, nothing doubled, nothing overtakes."""
    release = open_in_new_app(database)
    chat = FakeChat(fault="down")
    sender = Sender(database, FakeRouter(chat), clock)
    attempts = 0
    for minute in range(10):
        write(database, f"minute {minute}", release=release)
        for _ in range(30):
            attempts += len(sender.run().problems)
            clock.go(2)
    assert chat.said == []
    assert 10 <= attempts <= 25
    chat.fault = ""
    clock.go(60)
    sender.run()
    assert texts(chat) == [f"minute {minute}" for minute in range(10)]


@pytest.mark.parametrize("fault", ["lost", "killed"])
@pytest.mark.parametrize("what", ["head", "reply"])
def test_a_message_whose_arrival_nobody_noted_is_not_sent_twice(
    database: Database, clock: Clock, fault: str, what: str
) -> None:
    """The next sender finds the note that it was being sent, and asks the receiver first."""
    release = open_in_new_app(database)
    chat = FakeChat()
    first = Sender(database, FakeRouter(chat), clock)
    if what == "reply":
        write(database, "zero", release=release)
        first.run()
    write(database, "one", "two", release=release)
    chat.fault = fault
    if fault == "killed":
        with pytest.raises(Died):
            first.run()
    else:
        assert first.run().problems
    chat.fault = ""
    second = Sender(database, FakeRouter(chat), clock)
    assert (second.run().sent == 0) or fault == "lost"
    clock.go(HOLD.total_seconds())
    second.run()
    assert len(chat.asked) == 1
    assert [text for _, text in chat.said] == [f"head {release}", *(["zero"] if what == "reply" else []), "one", "two"]


def test_a_message_that_certainly_did_not_arrive_is_sent_again_without_asking(database: Database, clock: Clock) -> None:
    """Nothing to find out."""
    record_app(database)
    write(database, "one")
    chat = FakeChat(fault="down")
    sender = Sender(database, FakeRouter(chat), clock)
    sender.run()
    chat.fault = ""
    clock.go(60)
    sender.run()
    assert (texts(chat), chat.asked) == (["one"], [])


def test_a_message_that_is_never_taken_holds_nothing_up(database: Database, clock: Clock) -> None:
    """It is given up, which the ledger keeps, and the next one is sent."""
    record_app(database)
    write(database, "bad", "good")
    chat = FakeChat(fault="refused")
    Sender(database, FakeRouter(chat), clock).run()
    assert texts(chat) == ["good"]


def test_one_stream_that_waits_does_not_hold_another(database: Database, clock: Clock) -> None:
    """The webhook is down; people are told all the same."""
    record_app(database)
    webhook, chat = FakeChat(fault="down", threads=False), FakeChat()
    router = FakeRouter(chat, webhook)
    sender = Sender(database, router, clock)
    incident = Incident(IncidentKind.NO_DATA, APP, None, "key", "no data", {})
    with database.begin() as session:
        open_incident(session, incident, NOON)
    done = sender.run()
    assert (len(chat.said), webhook.said, len(done.problems)) == (1, [], 1)
    webhook.fault = ""
    clock.go(60)
    sender.run()
    assert (len(chat.said), len(webhook.said)) == (1, 1)


def test_a_receiver_says_how_long_it_wants_to_be_left_alone(database: Database, clock: Clock) -> None:
    """And is."""

    class Limited(FakeChat):
        def post(self, envelope: Envelope, thread: MessageRef) -> MessageRef:
            self.asked.append("post")
            raise ReceiverError("slow down", sure=True, retry_after=90)

    record_app(database)
    write(database, "one")
    chat = Limited()
    sender = Sender(database, FakeRouter(chat), clock)
    for _ in range(9):
        sender.run()
        clock.go(10)
    assert len(chat.asked) == 1
    clock.go(10)
    sender.run()
    assert len(chat.asked) == 2


def test_many_senders_send_each_message_once_and_in_order(database: Database) -> None:
    """However they meet."""
    record_app(database)
    chat = FakeChat()
    for number in range(12):
        write(database, f"{number}")
    barrier = threading.Barrier(3)

    def send() -> None:
        sender = Sender(database, FakeRouter(chat))
        barrier.wait(20)
        for _ in range(4):
            sender.run()

    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert texts(chat) == [f"{number}" for number in range(12)]
