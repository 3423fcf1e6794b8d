"""Records that wait on disk for a server that is away: files of lines, the oldest go first when it is too much."""

import contextlib
import json
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from softlaunch.client.pieces import Piece, apps_of
from softlaunch.core.private_files import private_folder, private_opener

_LOGGER = logging.getLogger(__name__)
_OF_A_FILE = 1 << 20
_SUFFIX = ".records"


class Spool:
    """Files in one folder, each written by one process and locked by it while that lives.

    Files of processes that died are sent by those that still run. Used by the thread that sends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._lock: IO[str] | None = None
        self._number = 0
        self._reading: Path | None = None
        self._read: list[Piece] = []
        self._warned = False

    def put(self, pieces: Sequence[Piece]) -> bool:
        """Write pieces down, behind what is there; false where the disk doesn't take them."""
        lines = "".join(json.dumps(piece, separators=(",", ":")) + "\n" for piece in pieces)
        try:
            private_folder(self._folder)
            self._hold()
            path = self._path_to_write(len(lines))
            with open(path, "a", encoding="utf-8", opener=private_opener) as file:
                file.write(lines)
        except OSError as error:
            if not self._warned:
                self._warned = True
                _LOGGER.warning("records can't wait in %s (%s); they wait in memory alone", self._folder, error)
            return False
        return True

    def make_room(self, most_bytes: int) -> Counter[str]:
        """Delete the oldest files until the rest is within bounds; counts the records that are lost by it, by app."""
        files = self._files()
        sizes = {path: _size(path) for path in files}
        lost: Counter[str] = Counter()
        while len(files) > 1 and sum(sizes[path] for path in files) > most_bytes:
            oldest = files.pop(0)
            lost += apps_of(self._read if oldest == self._reading else _read(oldest))
            self._delete(oldest)
            if oldest == self._reading:
                self._reading = None
        return lost

    def next(self) -> list[Piece]:
        """The pieces of the oldest file; none where nothing waits. They stay until `sent`."""
        if self._reading is not None:
            return self._read
        for path in self._files():
            self._read = _read(path)
            if self._read:
                self._reading = path
                return self._read
            self._delete(path)
        return []

    def sent(self, left: Sequence[Piece]) -> None:
        """What `next` gave is there, but for what is left; the file stays until all of it is."""
        self._read = list(left)
        if not left and self._reading is not None:
            self._delete(self._reading)
            self._reading = None

    def adopt(self) -> None:
        """Take over what processes left behind that run no more."""
        with contextlib.suppress(OSError):
            for lock in sorted(self._folder.glob("*.lock")):
                owner = lock.name.removesuffix(".lock")
                if owner != self._own and (held := _try_lock(lock)) is not None:
                    self._take_over(owner, lock, held)

    def close(self) -> None:
        """Let others send what is left."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if not self._files():
            with contextlib.suppress(OSError):
                (self._folder / f"{self._own}.lock").unlink(missing_ok=True)

    def _take_over(self, owner: str, lock: Path, held: IO[str]) -> None:
        private_folder(self._folder)
        self._hold()
        for path in sorted(self._folder.glob(f"{owner}.*{_SUFFIX}")):
            self._number += 1
            path.rename(self._folder / f"{self._own}.{self._number:08d}{_SUFFIX}")
        lock.unlink(missing_ok=True)
        held.close()

    def _hold(self) -> None:
        if self._lock is None:
            self._lock = _try_lock(self._folder / f"{self._own}.lock")

    def _path_to_write(self, size: int) -> Path:
        files = self._files()
        last = files[-1] if files else None
        if last is None or last == self._reading or _size(last) + size > _OF_A_FILE:
            self._number += 1
            return self._folder / f"{self._own}.{self._number:08d}{_SUFFIX}"
        return last

    def _files(self) -> list[Path]:
        try:
            return sorted(self._folder.glob(f"{self._own}.*{_SUFFIX}"))
        except OSError:
            return []

    def _delete(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _read(path: Path) -> list[Piece]:
    """A file's pieces; the last line may have been cut when its writer died."""
    pieces: list[Piece] = []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        with contextlib.suppress(ValueError):
            kind, document = json.loads(line)
            if isinstance(kind, str) and isinstance(document, dict):
                pieces.append((kind, document))
    return pieces


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _try_lock(path: Path) -> IO[str] | None:
    """The file, opened and locked; None where another process has it, or where the system knows no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    file = open(path, "a", encoding="utf-8", opener=private_opener)  # noqa: SIM115  (whoever holds it closes it)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
