"""Archive objects: many entries in one compressed object, named by the digest of its content."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import zstandard

from softlaunch.integrations.archives.interface import Archive, ArchiveError

_LEVEL = 9


@dataclass(frozen=True, slots=True)
class ArchiveObject:
    """One object of an archive: its key, its content, and the SHA-256 of that."""

    key: str
    content: bytes
    sha256: str


def pack(kind: str, entries: Iterable[bytes]) -> ArchiveObject:
    """Pack entries, one a line; the same entries make the same object."""
    content = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(b"".join(e + b"\n" for e in entries))
    digest = hashlib.sha256(content).hexdigest()
    return ArchiveObject(f"{kind}/{digest[:2]}/{digest}.jsonl.zst", content, digest)


def store_object(archive: Archive, packed: ArchiveObject, on_step: Callable[[str], None]) -> None:
    """Put an object into the archive and read it back. Raises ArchiveError unless the copy is the same.

    `on_step` is called with the name of each step before it.
    """
    on_step("archive")
    archive.put(packed.key, packed.content)
    on_step("read back")
    check(packed.key, archive.get(packed.key), packed.sha256)
    on_step("settle")
    archive.settle(packed.key)


def check(key: str, content: bytes, sha256: str) -> None:
    """Raise ArchiveError unless an object's content has the digest that it was recorded with."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ArchiveError(
            f"the archive's copy of {key} differs: its SHA-256 is {found[:12]}, not {sha256[:12]}. Nothing that "
            "depends on it was deleted; stop the schedule, and check the archive's disk or bucket"
        )


def find(content: bytes, digest: str) -> bytes:
    """The entry of an object that has this SHA-256. Raises ArchiveError where there is none."""
    lines = zstandard.ZstdDecompressor().decompress(content).split(b"\n")
    found = next((line for line in lines if hashlib.sha256(line).hexdigest() == digest), None)
    if found is None:
        raise ArchiveError(f"the archive object has no entry {digest[:12]}; it isn't the one that was written")
    return found


def digest_of(entry: bytes) -> str:
    """The SHA-256 of an entry."""
    return hashlib.sha256(entry).hexdigest()
