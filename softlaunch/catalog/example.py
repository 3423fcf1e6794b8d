"""The example app, wherever softlaunch is installed, and new apps made from it."""

import re
from pathlib import Path

from softlaunch.core.content import Name
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.resources import find_resource

EXAMPLE = "support-bot"


class InitError(SoftlaunchError):
    """A new app can't be made here."""


def example_folder() -> Path:
    """The example app: inside an installed package, or in the checkout beside it."""
    folder = find_resource(f"examples/{EXAMPLE}")
    if folder is None:
        raise InitError("this installation lacks the example app; install softlaunch again")
    return folder


def make_app(folder: Path, name: Name) -> list[Path]:
    """Copy the example under another app's name; returns the files made. Raises InitError and overwrites nothing."""
    source = example_folder()
    files = [
        path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file() and not _hidden(path, source)
    ]
    taken = [str(file) for file in files if (folder / file).exists()]
    if taken:
        raise InitError(f"{folder} has {', '.join(taken)} already, and nothing is overwritten; name another folder")
    try:
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            text = (source / file).read_text(encoding="utf-8")
            (folder / file).write_text(re.sub(rf"\b{re.escape(EXAMPLE)}\b", name, text), encoding="utf-8")
    except OSError as error:
        raise InitError(
            f"{error.filename} can't be written: {error.strerror}; name a folder that you may write to"
        ) from error
    return [folder / file for file in files]


def _hidden(path: Path, source: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in path.relative_to(source).parts)
