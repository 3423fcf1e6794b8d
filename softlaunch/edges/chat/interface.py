"""What is needed of a place where people are told."""

from typing import Protocol

from softlaunch.store.news import Notice


class Chat(Protocol):
    """A place where people read messages."""

    def post(self, notice: Notice) -> None:
        """Show one message."""
        ...
