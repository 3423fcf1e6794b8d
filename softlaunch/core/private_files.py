"""Files that may hold what users wrote: for their owner alone, whatever the umask says."""

import contextlib
import os
import stat
from pathlib import Path

_OWNER_ALONE = 0o600
_FOLDER_OF_OWNER = 0o700
_GROUP = stat.S_IRWXG
_OTHERS = stat.S_IRWXO


def private_folder(path: Path) -> Path:
    """The folder, made for its owner alone where it isn't there; one that is there keeps its mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=_FOLDER_OF_OWNER)
        return path
    path.mkdir(exist_ok=True)  # which raises where a file has the name
    return path


def private_opener(path: str, flags: int) -> int:
    """For `open`: a file that is made is for its owner alone."""
    return os.open(path, flags, _OWNER_ALONE)


def make_private(path: Path) -> None:
    """Make a file that isn't there, for its owner alone; one of ours that is there is closed to others.

    Its group keeps what it may where it isn't the owner's own: then somebody has let a group in.
    """
    with contextlib.suppress(OSError):  # what can't be made is told by who opens it
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _OWNER_ALONE))
        return
    tighten(path)


def tighten(path: Path) -> None:
    """Close a file of ours to others, where it is there."""
    with contextlib.suppress(OSError):
        found = path.stat()
        lets_in = _OTHERS if found.st_gid != os.getegid() else _OTHERS | _GROUP
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and mode & lets_in:
            path.chmod(mode & ~lets_in)
