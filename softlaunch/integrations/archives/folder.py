"""An archive in a folder."""

import os
from pathlib import Path
from typing import NoReturn

from softlaunch.core.private_files import private_folder, private_opener
from softlaunch.integrations.archives.interface import Archive, ArchiveError


class FolderArchive(Archive):
    """Objects are files below a folder; a file is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def address(self) -> str:
        """The folder's absolute path."""
        return str(self._folder)

    @property
    def usd_per_gb_month(self) -> float:
        """A disk that is there anyway costs nothing more."""
        return 0.0

    def put(self, key: str, content: bytes) -> None:
        """Write beside the file, to the disk, then rename."""
        path = self._folder / key
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            for folder in (self._folder, *(self._folder / above for above in list(Path(key).parents)[-2::-1])):
                private_folder(folder)
            with open(partial, "wb", opener=private_opener) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            _fail(path, "written", error)

    def get(self, key: str) -> bytes:
        """The file's content."""
        path = self._folder / key
        try:
            return path.read_bytes()
        except OSError as error:
            _fail(path, "read", error)

    def settle(self, key: str) -> None:
        """Nothing: it stays where it is."""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fail(path: Path, what: str, error: OSError) -> NoReturn:
    raise ArchiveError(
        f"{path} can't be {what}: {error.strerror}; see SOFTLAUNCH_ARCHIVE, and run the cleanup again"
    ) from error
