"""The evaluator: a thread for each app whose live answers are judged, so that no app waits for another one's judges."""

import os
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from softlaunch.core.errors import SoftlaunchError
from softlaunch.live.standing import judged_apps
from softlaunch.live.worker import AppWorker
from softlaunch.store.database import Database
from softlaunch.store.ledger_file import describe_fault

_APPS_SECONDS = 5.0


def name_evaluator() -> str:
    """What this process is called in the ledger, unlike any other, also one of the same number on the same host."""
    return f"evaluator on {socket.gethostname()}, process {os.getpid()}, {secrets.token_hex(4)}"


@dataclass(slots=True)
class Evaluator:
    """Judges the live answers of every app whose policy wants it, until it is told to stop.

    `every` seconds lie between two looks of an app that has nothing to judge; `tell` is told what goes wrong, once.
    """

    database: Database
    tell: Callable[[str], None]
    every: float = 1.0
    holder: str = field(default_factory=name_evaluator)
    stopping: threading.Event = field(default_factory=threading.Event)
    _threads: dict[str, threading.Thread] = field(default_factory=dict)

    def run(self) -> None:
        """Work until `stopping`; answers that judges are being asked about are waited for."""
        fault = ""
        while not self.stopping.is_set():
            _, fault = self._guarded(self._begin_new, fault)
            self.stopping.wait(_APPS_SECONDS)
        for thread in self._threads.values():
            thread.join()

    def _begin_new(self) -> bool:
        """Begin with apps that are new, and again with one whose thread broke."""
        with self.database.read() as session:
            apps = judged_apps(session)
        for app in apps:
            if app not in self._threads or not self._threads[app].is_alive():
                thread = threading.Thread(target=self._work, args=(app,), name=f"evaluator of {app}", daemon=True)
                self._threads[app] = thread
                thread.start()
        return False

    def _work(self, app: str) -> None:
        worker, fault, busy = AppWorker(self.database, app, self.holder, stopping=self.stopping), "", False
        while not self.stopping.is_set():
            busy, fault = self._guarded(worker.work, fault)
            self.stopping.wait(0 if busy else self.every)

    def _guarded(self, work: Callable[[], bool], fault: str) -> tuple[bool, str]:
        """Do something; returns its answer, and what went wrong, which is told unless it did so before."""
        try:
            return work(), ""
        except SQLAlchemyError as error:
            found = describe_fault(error)
        except SoftlaunchError as error:
            found = str(error)
        if found != fault:
            self.tell(f"{found}; trying on")
        return False, found
