"""Bundles: many entries in one compressed object of an archive, named by the digest of its content."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import zstandard

from softlaunch.integrations.archives.interface import Archive, ArchiveError

_LEVEL = 9


@dataclass(frozen=True, slots=True)
class Bundle:
    """One object of an archive: its key, its content, and the SHA-256 of that."""

    key: str
    content: bytes
    sha256: str


def pack(kind: str, entries: Iterable[bytes]) -> Bundle:
    """Entries, one a line, as a bundle; the same entries make the same bundle."""
    content = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(b"".join(e + b"\n" for e in entries))
    digest = hashlib.sha256(content).hexdigest()
    return Bundle(f"{kind}/{digest[:2]}/{digest}.jsonl.zst", content, digest)


def store(archive: Archive, bundle: Bundle, tell: Callable[[str], None]) -> None:
    """Put a bundle into the archive and read it back. Raises ArchiveError unless the copy is the same.

    `tell` hears of each step before it is taken.
    """
    tell("archive")
    archive.put(bundle.key, bundle.content)
    tell("read back")
    check(bundle.key, archive.get(bundle.key), bundle.sha256)
    tell("settle")
    archive.settle(bundle.key)


def check(key: str, content: bytes, sha256: str) -> None:
    """Raise ArchiveError unless an object's content has the digest that it was recorded with."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ArchiveError(
            f"the archive's copy of {key} differs: its SHA-256 is {found[:12]}, not {sha256[:12]}. Nothing that "
            "depends on it was deleted; stop the schedule, and look at the archive's disk or bucket"
        )


def find(content: bytes, digest: str) -> bytes:
    """The entry of a bundle that has this SHA-256. Raises ArchiveError where there is none."""
    lines = zstandard.ZstdDecompressor().decompress(content).split(b"\n")
    found = next((line for line in lines if hashlib.sha256(line).hexdigest() == digest), None)
    if found is None:
        raise ArchiveError(f"the bundle has no entry {digest[:12]}; it isn't the one that was written")
    return found


def digest_of(entry: bytes) -> str:
    """The SHA-256 of an entry."""
    return hashlib.sha256(entry).hexdigest()
