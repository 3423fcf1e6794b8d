"""Messages as lines of a log or a terminal: the default where no chat is configured."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from softlaunch.core.visible import visible
from softlaunch.ledger.outbox import MessageRef
from softlaunch.notify.interface import NOWHERE, Chat, Envelope
from softlaunch.notify.plot import DecisivePlot
from softlaunch.releases.views import ReleaseView


@dataclass(frozen=True, slots=True)
class ConsoleChat(Chat):
    """Hands each message to a writer of lines. A log has no threads, and can't be asked what it has seen."""

    write: Callable[[str], None]
    threads: bool = False

    def post(self, envelope: Envelope, thread: MessageRef) -> MessageRef:  # noqa: ARG002  (part of the interface)
        """One line: time and text. What has several goes on indented, so that none looks like another message."""
        notice = envelope.notice
        text = visible(notice.text).replace("\n", "\n  ")
        self.write(f"[{notice.written_at:%H:%M:%S}] {text}")
        return NOWHERE

    def find(self, key: str, thread: MessageRef, since: datetime) -> MessageRef:  # noqa: ARG002  (part of the interface)
        """Nobody knows: the line is written again."""
        return NOWHERE

    def show(self, view: ReleaseView, key: str, at: MessageRef, plot: DecisivePlot | None) -> MessageRef:  # noqa: ARG002
        """Nothing: what is written stays as it is."""
        return NOWHERE

    def close(self, envelope: Envelope, at: MessageRef) -> None:
        """Nothing: the message that closes a question says so."""
