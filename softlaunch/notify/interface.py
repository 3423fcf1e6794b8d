"""What a receiver of messages must be able to do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from softlaunch.core.errors import SoftlaunchError
from softlaunch.ledger.approvals import Approval
from softlaunch.ledger.incidents import Recorded
from softlaunch.ledger.outbox import MessageRef, Notice
from softlaunch.notify.plot import DecisivePlot
from softlaunch.releases.views import ReleaseView

NOWHERE = MessageRef()


class ReceiverError(SoftlaunchError):
    """A message did not get through, as far as is known; it is sent again later.

    `sure` says that it certainly did not arrive; `retry_after` how many seconds the receiver wants to be left alone.
    """

    def __init__(self, message: str, *, sure: bool, retry_after: float | None = None) -> None:
        """What went wrong, and what is known of the message."""
        super().__init__(message)
        self.sure = sure
        self.retry_after = retry_after


class UnacceptableError(SoftlaunchError):
    """The receiver will never take this message; it is given up, and the next one is sent."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message with what it is about, as it stands now: an approval, an incident, or nothing but its text.

    `run_url` is where the release's run is shown.
    """

    notice: Notice
    approval: Approval | None = None
    incident: Recorded | None = None
    run_url: str = ""


class Receiver(Protocol):
    """Something that takes messages."""

    def post(self, envelope: Envelope, thread: MessageRef) -> MessageRef:
        """Hand a message over, into a thread where there is one; returns what it is called there.

        Raises ReceiverError or UnacceptableError.
        """
        ...

    def find(self, key: str, thread: MessageRef, since: datetime) -> MessageRef:
        """Where the message with a key is, if it arrived; nowhere if it didn't, or if that can't be found out."""
        ...


class Chat(Receiver, Protocol):
    """A place where people read messages. With `threads` a release has one of its own, with a head that stays true."""

    threads: bool

    def show(self, view: ReleaseView, key: str, at: MessageRef, plot: DecisivePlot | None) -> MessageRef:
        """Show a release at the head of its thread: a new one, or in place of what is there.

        The plot that decided it is shown where the chat can, there and in the thread, once.
        """
        ...

    def close(self, envelope: Envelope, at: MessageRef) -> None:
        """Show how an approval stands, in place of the message that asked for it."""
        ...
