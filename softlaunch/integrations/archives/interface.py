"""What an archive does: it keeps objects by key, and gives them back unchanged."""

from abc import ABC, abstractmethod

from softlaunch.core.errors import SoftlaunchError


class ArchiveError(SoftlaunchError):
    """The archive can't do what was asked; nothing that depends on it was deleted."""


class ThawingError(ArchiveError):
    """The object is in cold storage and was asked for; it can be read later."""


class Archive(ABC):
    """Objects are named by the digest of their content, so putting one twice changes nothing."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it is, such that `open_archive` finds it again."""

    @property
    @abstractmethod
    def usd_per_gb_month(self) -> float:
        """List price of a gigabyte (10^9 bytes) a month."""

    @abstractmethod
    def put(self, key: str, content: bytes) -> None:
        """Keep an object so that it survives a crash at once. Raises ArchiveError."""

    @abstractmethod
    def get(self, key: str) -> bytes:
        """An object's content. Raises ThawingError where it can only be read later, and ArchiveError."""

    @abstractmethod
    def settle(self, key: str) -> None:
        """Move an object that has been read back to where it stays. Raises ArchiveError."""
