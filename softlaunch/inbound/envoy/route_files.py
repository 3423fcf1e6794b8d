"""The files that Envoys read their routes from, which several control planes may keep in one folder."""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from softlaunch.gateway.table import AppRoute
from softlaunch.inbound.envoy.routes import routes_of
from softlaunch.policy.route import Route

_LOGGER = logging.getLogger(__name__)
_PATIENCE_SECONDS = 10.0
"""For so long a file that is newer than the ledger is taken for one of a control plane that has read on."""


def routes_path(folder: Path, app: str) -> Path:
    """Where the routes of an app lie."""
    return folder / f"{app}.json"


def write_routes(folder: Path, route: Route, ledger_id: str = "") -> bool:
    """Put the routes in their place, at once or not at all; false where they are there already. Raises OSError."""
    path, version = routes_path(folder, route.app), f"{ledger_id}.{route.revision}"
    document = {"version_info": version, "resources": [routes_of(route)]}
    content = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    if path.is_file() and path.read_bytes() == content:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, written = tempfile.mkstemp(dir=folder, prefix=f".{route.app}-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(written).chmod(0o644)  # Envoy is another user
    Path(written).replace(path)
    return True


class RouteFiles:
    """The files of one folder as one control plane keeps them.

    None is put back by a control plane that lags behind the one that wrote it. Where the ledger itself went back, as
    after a standby has taken over, that is seen when the file stays newer than what is read, and then it is followed.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._newer_since: dict[str, float] = {}
        self._unwritten: set[str] = set()

    def write(self, served: Mapping[str, AppRoute], ledger_id: str) -> None:
        """Write what an Envoy routes of what was just read from the ledger."""
        for app, one in served.items():
            if one.route.serving.router is None:
                continue
            try:
                if not self._is_behind(one.route, ledger_id):
                    write_routes(self._folder, one.route, ledger_id)
                self._unwritten.discard(app)
            except OSError as error:
                if app not in self._unwritten:
                    _LOGGER.warning("the routes of %s can't be written, so no release gets traffic: %s", app, error)
                self._unwritten.add(app)

    def _is_behind(self, route: Route, ledger_id: str) -> bool:
        """Whether the file is of a later revision in the same ledger, and hasn't been for long."""
        if self._written(route.app, ledger_id) <= route.revision:
            self._newer_since.pop(route.app, None)
            return False
        now = self._clock()
        return now - self._newer_since.setdefault(route.app, now) < _PATIENCE_SECONDS

    def _written(self, app: str, ledger_id: str) -> int:
        """The revision that the file is of, 0 where there is none of this ledger."""
        try:
            version = orjson.loads(routes_path(self._folder, app).read_bytes())["version_info"]
            said, _, revision = version.rpartition(".")
            return int(revision) if said == ledger_id else 0
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return 0
