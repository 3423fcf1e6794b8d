"""Messages as lines of a log or a terminal: the default where no chat is configured."""

from collections.abc import Callable
from dataclasses import dataclass

from softlaunch.store.news import Notice


@dataclass(frozen=True, slots=True)
class ConsoleChat:
    """Hands each message to a writer of lines."""

    write: Callable[[str], None]

    def post(self, notice: Notice) -> None:
        """One line: time and text."""
        self.write(f"[{notice.written_at:%H:%M:%S}] {notice.text}")
