"""Copies on disk of what apps serve, for a start without a server: stable alone, for their owner alone."""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from softlaunch.client.errors import RouteError
from softlaunch.client.known import KnownApp
from softlaunch.client.route import read_route
from softlaunch.core.private_files import private_folder, private_opener

_LOGGER = logging.getLogger(__name__)
_FORMAT = 1
_LARGEST = 64 * 1024 * 1024
_OF_A_RELEASE = ("candidate", "release_id", "weight_percent", "shadow_percent", "control_percent", "only", "stage")


def default_folder() -> Path:
    """Where copies and waiting records lie unless somebody says otherwise: the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
    return Path(cache) / "softlaunch"


def folder_of(folder: "str | os.PathLike[str]", url: str) -> Path:
    """What belongs to one server, by its address."""
    return Path(folder) / hashlib.blake2b(url.encode(), digest_size=8).hexdigest()


class Copies:
    """The copy of one server's apps. What can't be written is said once, and nothing waits for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "config.json"
        self._written: Mapping[str, Any] = {}
        self._warned = False

    def restore(self, app: KnownApp) -> bool:
        """Let an app begin with its copy; false where there is none that can be read."""
        document = self._read().get(app.name)
        if document is None:
            return False
        try:
            app.restore(read_route(app.name, document), document)
        except RouteError as error:
            _LOGGER.warning("the copy in %s can't be used: %s", self._path, error)
            return False
        return True

    def keep(self, apps: Iterable[KnownApp]) -> None:
        """Write down what is known now, where it isn't what was written last; other apps' copies stay."""
        known = {app.name: _stable_alone(app.document) for app in apps if app.document is not None}
        if known == self._written:
            return
        try:
            self._write({**self._read(), **known})
        except OSError as error:
            if not self._warned:
                self._warned = True
                _LOGGER.warning("no copy of the configuration can be kept in %s: %s", self._folder, error)
            return
        self._written = known

    def _read(self) -> Mapping[str, Any]:
        try:
            if self._path.stat().st_size > _LARGEST:
                return {}
            document = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _LOGGER.warning("the copy in %s can't be read: %s", self._path, error)
            return {}
        is_ours = isinstance(document, dict) and document.get("format") == _FORMAT
        apps = document.get("apps") if is_ours else None
        return apps if isinstance(apps, dict) else {}

    def _write(self, apps: Mapping[str, Any]) -> None:
        """In one go: a reader finds the file of before, or this one."""
        private_folder(self._folder)
        partly = self._folder / f"config.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            with open(partly, "w", encoding="utf-8", opener=private_opener) as file:
                json.dump({"format": _FORMAT, "apps": apps}, file)
                file.flush()
                os.fsync(file.fileno())
            partly.replace(self._path)
        finally:
            with contextlib.suppress(OSError):
                partly.unlink(missing_ok=True)


def _stable_alone(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in document.items() if key not in {*_OF_A_RELEASE, "lease_left_seconds"}}
