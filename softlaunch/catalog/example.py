"""New apps: the example under another name, or a starter around one's own model, wherever softlaunch is installed."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from softlaunch.catalog.app_folder import POLICY_FILE
from softlaunch.core.content import Name
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.resources import find_resource

EXAMPLE = "support-bot"
REHEARSAL_FILE = "rehearsal.yaml"
_STARTER = "starter"
_MINIMAL = """\
app: MY_APP
golden_set: golden.jsonl
gates:
  - {metric: errors, margin: 1 point}
  - {metric: latency, margin: 10 %}
"""
_PROVIDERS = {"anthropic.com": "anthropic", "azure.com": "azure", "openai.com": "openai"}


class InitError(SoftlaunchError):
    """A new app can't be made here."""


@dataclass(frozen=True, slots=True)
class OwnModel:
    """The model that a new app is to work with: base URL, the id that it is asked for, and where its key is."""

    endpoint: str
    model: str
    api_key_env: str | None = None

    @property
    def name(self) -> str:
        """How the app's files call it: the id, with a dash for what no name may have."""
        return re.sub(r"[^a-z0-9._-]+", "-", self.model.lower()).strip("-._")[:63] or "model"

    @property
    def provider(self) -> str:
        """Who runs it, as its host tells; the host itself where nobody is known by it."""
        host = urlsplit(self.endpoint).hostname or "own"
        return next((name for domain, name in _PROVIDERS.items() if f".{host}".endswith(f".{domain}")), host)


def example_folder() -> Path:
    """The example app: inside an installed package, or in the checkout beside it."""
    return _source(EXAMPLE)


def make_app(folder: Path, name: Name) -> list[Path]:
    """Copy the example under another app's name; returns the files made. Raises InitError and overwrites nothing."""
    return _copy(example_folder(), folder, lambda text: re.sub(rf"\b{re.escape(EXAMPLE)}\b", name, text))


def make_own_app(folder: Path, name: Name, model: OwnModel, *, minimal: bool = False) -> list[Path]:
    """Make an app around a model of one's own; returns the files made. Raises InitError and overwrites nothing.

    A `minimal` one has a policy of five lines.
    """
    key = "" if model.api_key_env is None else f"api_key_env: {model.api_key_env}"
    written = {
        "MY_MODEL_NAME": model.name,
        "MY_PROVIDER": json.dumps(model.provider),
        "MY_MODEL": json.dumps(model.model),
        "MY_ENDPOINT": json.dumps(model.endpoint),
        "  MY_KEY\n": f"  {key}\n" if key else "",
        "MY_APP": name,
    }

    def fill(text: str) -> str:
        for placeholder, value in written.items():
            text = text.replace(placeholder, value)
        return text

    files = _copy(_source(_STARTER), folder, fill)
    if minimal:
        (folder / POLICY_FILE).write_text(fill(_MINIMAL), encoding="utf-8")
    return files


def _source(name: str) -> Path:
    folder = find_resource(f"examples/{name}")
    if folder is None:
        raise InitError(f"this installation lacks examples/{name}; install softlaunch again")
    return folder


def _copy(source: Path, folder: Path, fill: Callable[[str], str]) -> list[Path]:
    """Copy every file of a folder, with names and texts filled in. Raises InitError, and overwrites nothing."""
    found = [path for path in sorted(source.rglob("*")) if path.is_file() and not _hidden(path, source)]
    files = {folder / fill(str(path.relative_to(source))): path for path in found}
    taken = [str(file.relative_to(folder)) for file in files if file.exists()]
    if taken:
        raise InitError(f"{folder} has {', '.join(taken)} already, and nothing is overwritten; name another folder")
    try:
        for file, path in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")
    except OSError as error:
        raise InitError(
            f"{error.filename} can't be written: {error.strerror}; name a folder that you may write to"
        ) from error
    return list(files)


def _hidden(path: Path, source: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in path.relative_to(source).parts)
