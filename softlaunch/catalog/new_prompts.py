"""Writing the file of a prompt's next version."""

import re
from datetime import date
from pathlib import Path

from softlaunch.catalog.prompt_files import is_prompt, version_of
from softlaunch.catalog.versions import Bump, bumped, precedence
from softlaunch.core.documents import read_text
from softlaunch.core.errors import SoftlaunchError

_FENCE = "---"
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)^---\s*$\n?", re.DOTALL | re.MULTILINE)
_OURS = re.compile(r"^(author|date|created|purpose|version):.*\n?(?:[ \t]+.*\n)*", re.MULTILINE)


class NewPromptError(SoftlaunchError):
    """The file of a new version can't be written."""


def write_next(folder: Path, name: str, bump: Bump, author: str, today: date) -> Path:
    """Write the next version of a prompt, with the text of the newest one, or the first version; returns its path.

    Author and date are filled in, the purpose is left to be written. Raises NewPromptError.
    """
    files = [path for path in sorted((folder / name).glob("*")) if is_prompt(path.name)]
    newest = max(files, key=lambda path: precedence(version_of(path)), default=None)
    version = "1.0.0" if newest is None else bumped(version_of(newest), bump)
    path = folder / name / f"v{version}.md"
    declared, body = ("", "Say here what the model is to do.\n") if newest is None else _parts(newest)
    head = f'{_FENCE}\nauthor: {author}\ndate: {today}\npurpose: ""\n{declared}{_FENCE}\n'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(head + body)
    except FileExistsError as error:
        raise NewPromptError(f"{path} exists already; edit it, or delete it first") from error
    except OSError as error:
        raise NewPromptError(f"{path} can't be written: {error.strerror}; name another folder with --folder") from error
    return path


def _parts(newest: Path) -> tuple[str, str]:
    """What the front matter says besides author, date and purpose, and the body."""
    text = read_text(newest)
    found = _FRONT_MATTER.match(text) if newest.suffix == ".md" else None
    if found is None:
        return "", text
    return _OURS.sub("", found[1]), text[found.end() :]
