"""Counts that outlive a killed gateway: requests begun and ended by app, in a small file shared with the kernel.

A store into mapped memory costs the request path nothing and is in the file whatever becomes of the process; only the
death of the machine loses it. The gateway holds a lock on its file for as long as it lives, which nobody else can keep
for it: a file whose lock can be had is a dead gateway's.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

_SUFFIX = ".counts"
_HEAD_BYTES = 1024
_NAME_BYTES = 64
_WORD = struct.Struct("=QQ")
_SLOT_BYTES = _NAME_BYTES + _WORD.size
_SLOTS = 512
_BYTES = _HEAD_BYTES + _SLOTS * _SLOT_BYTES


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose counts a file holds; `ledger` is the id of the ledger that its log is written to."""

    gateway_id: str
    address: str
    started_at: float
    ledger: str


class CounterFile:
    """The counts of one living gateway. Apps beyond 512 are left out. Raises OSError where no file can be made."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / f"{owner.gateway_id}{_SUFFIX}"
        growing = self.path.with_suffix(".new")
        self._file = os.open(growing, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self._file, 0, _BYTES)  # a mapped page that the disk has no room for would kill us
            self._memory = mmap.mmap(self._file, _BYTES)
            head = orjson.dumps(owner)
            self._memory[: len(head)] = head
            growing.rename(self.path)  # locked before it can be seen
        except (OSError, ValueError):
            growing.unlink(missing_ok=True)
            os.close(self._file)
            raise
        self._words = memoryview(self._memory).cast("Q")
        self._slots: dict[str, int] = {}

    def begun(self, app: str) -> None:
        """Count a request that begins."""
        slot = self._slots.get(app) or self._claim(app)
        if slot:
            self._words[slot] += 1

    def ended(self, app: str) -> None:
        """Count a request whose row was handed on, or that was counted as dropped."""
        slot = self._slots.get(app) or self._claim(app)
        if slot:
            self._words[slot + 1] += 1

    def remove(self) -> None:
        """The log is written to its end: nothing is left to tell."""
        self.path.unlink(missing_ok=True)
        self._words.release()
        self._memory.close()
        os.close(self._file)

    def _claim(self, app: str) -> int:
        """The place of an app's two words, in words from the file's begin; 0 where there is none."""
        name = app.encode()
        number = len(self._slots)
        if number >= _SLOTS or len(name) > _NAME_BYTES:
            return 0
        start = _HEAD_BYTES + number * _SLOT_BYTES
        self._memory[start : start + len(name)] = name
        self._slots[app] = (start + _NAME_BYTES) // 8
        return self._slots[app]


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """What a dead gateway's file says: by app, how many requests it had begun, and how many of them had ended."""

    path: Path
    owner: Owner
    counts: Mapping[str, tuple[int, int]]

    def remove(self) -> None:
        """It is accounted for."""
        self.path.unlink(missing_ok=True)


def left_behind(folder: Path) -> Iterator[LeftBehind]:
    """The files of gateways that are dead for certain; each is locked until the next one is asked for."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        with suppress(OSError):  # gone meanwhile, or not ours to read
            file = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = _read(path, os.read(file, _BYTES))
                if found is not None:
                    yield found
            finally:
                os.close(file)


def _read(path: Path, content: bytes) -> LeftBehind | None:
    try:
        owner = Owner(**orjson.loads(content[:_HEAD_BYTES].rstrip(b"\0")))
    except (ValueError, TypeError):
        return None
    counts: dict[str, tuple[int, int]] = {}
    for start in range(_HEAD_BYTES, len(content) - _SLOT_BYTES + 1, _SLOT_BYTES):
        name = content[start : start + _NAME_BYTES].rstrip(b"\0")
        if not name:
            break
        begun, ended = _WORD.unpack_from(content, start + _NAME_BYTES)
        counts[name.decode(errors="replace")] = begun, ended
    return LeftBehind(path, owner, counts)
