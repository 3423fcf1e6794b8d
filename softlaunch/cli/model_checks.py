"""Monitors models beside the releases, for `softlaunch reconcile --watch`."""

import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from softlaunch.core.clock import utc_now
from softlaunch.core.settings import Settings
from softlaunch.retention.model_checks import RegistryOpener, monitor_models
from softlaunch.retention.model_registry import open_registry
from softlaunch.store.database import Database

EVERY_SECONDS = 60.0  # as the reconcile flow
_STOP_SECONDS = 5.0


class ModelMonitor:
    """A thread of its own, so that a registry that is slow or away keeps nobody from looking for releases."""

    def __init__(
        self,
        database: Database,
        notify: Callable[[str], None],
        warn: Callable[[str], None],
        opener: RegistryOpener = open_registry,
    ) -> None:
        self._database = database
        self._notify = notify
        self._warn = warn
        self._opener = opener
        self._known: frozenset[str] = frozenset()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor models", daemon=True)

    def __enter__(self) -> "ModelMonitor":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let go; a call to a registry that is under way is left behind, and repeated by whoever comes next."""
        self._over.set()
        self._thread.join(_STOP_SECONDS)

    def check(self) -> None:
        """One pass; a problem that stays is reported once."""
        try:
            noted = list(monitor_models(self._database, Settings(), utc_now(), self._opener))
        except SQLAlchemyError:
            return  # whoever looks for releases reports that the ledger can't be reached
        problems = frozenset(one.sentence for one in noted if one.problem)
        for one in noted:
            if not one.problem:
                self._notify(one.sentence)
            elif one.sentence not in self._known:
                self._warn(one.sentence)
        self._known = problems

    def _run(self) -> None:
        while not self._over.is_set():
            self.check()
            self._over.wait(EVERY_SECONDS)
