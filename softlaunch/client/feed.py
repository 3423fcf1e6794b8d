"""The thread that keeps routes up to date: it asks, the server answers as soon as something changes.

A lease is only ever taken from the answer to a question of our own, and counted from before it was sent. A stream of
events would be no better: what is read from one may have lain in a buffer for as long as this process was stopped. So
while a candidate is live a question waits for a fifth of the lease at most; a change is known as fast as by a stream.
"""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from softlaunch.client.errors import RouteError
from softlaunch.client.known import KnownApp
from softlaunch.client.lease import CLOCKS, Clocks, Moment
from softlaunch.client.wire import Answered, Server, UnreachableError

LEFT = "x-softlaunch-lease-left"
_LOGGER = logging.getLogger(__name__)
_LONGEST_WAIT = 30.0
_SHORTEST_WAIT = 0.2
_OF_THE_LEASE = 0.2
_PATIENCE = 5.0
"""How much longer than it was asked to wait a server may take."""
_BACKOFF = (0.1, 2.0)
_PAUSE, _PAUSE_BEHIND = 0.05, 0.5
"""Between two questions at least, whatever the server answers, and where its answer isn't followed."""


class Feed:
    """Asks one server about apps, again and again. `problem` says why it can't, empty while it can."""

    def __init__(self, server: Server, *, clocks: Clocks = CLOCKS, keep: Callable[[], None] = lambda: None) -> None:
        """`keep` is called behind each answer with a body, by the thread that asks."""
        self._server = server
        self._clocks = clocks
        self._keep = keep
        self._apps: dict[str, KnownApp] = {}
        self._etag = ""
        self._failures = 0
        self._catch_up = True
        self._warned = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.problem = ""

    def add(self, app: KnownApp) -> None:
        """Ask about one app more, at once."""
        self._apps = {**self._apps, app.name: app}
        self._etag = ""
        self._catch_up = True
        if self._thread is None:
            self.start()
        else:
            self._server.interrupt()

    def start(self) -> None:
        """Begin to ask in a thread."""
        self._thread = threading.Thread(target=self._run, name="softlaunch-feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._server.interrupt()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)
        self._server.close()

    def forget(self) -> None:
        """Be as a fork of the process has to be: without its thread and its connection."""
        self._server.forget()
        self._stop = threading.Event()
        self._thread = None
        self._etag, self._catch_up = "", True

    def look(self) -> float:
        """Ask once; returns how many seconds to wait before the next question."""
        self._server.listen()
        if self._stop.is_set():
            return 0.0
        apps = self._apps
        wait = 0.0 if self._catch_up else self._wait_of(apps.values())
        asked = self._clocks.now()
        try:
            answer = self._ask(apps, wait)
            self._take(apps, answer, asked)
        except (UnreachableError, RouteError, ValueError) as error:
            return self._fail(apps, error)
        if self.problem:
            _LOGGER.warning("%s answers again", self._server.url)
        self.problem, self._failures = "", 0
        is_new = apps is not self._apps
        # what took long has used up what is left of a lease: ask for it at once
        self._catch_up = is_new or (wait > 0 and any(app.lapsed for app in apps.values()))
        if not self._etag and not is_new:
            return _PAUSE_BEHIND
        return 0.0 if self._clocks.running() - asked.running >= _PAUSE else _PAUSE

    def _ask(self, apps: Mapping[str, KnownApp], wait: float) -> Answered:
        named = "&".join(f"app={name}" for name in sorted(apps))
        headers = {"If-None-Match": self._etag} if self._etag else {}
        return self._server.get(f"/softlaunch/v1/config?{named}&wait={wait:g}", headers, wait + _PATIENCE)

    def _take(self, apps: Mapping[str, KnownApp], answer: Answered, asked: Moment) -> None:
        if answer.status == 304:
            self._renew(apps, answer, asked)
            return
        if answer.status != 200:
            raise UnreachableError(_why_refused(self._server.url, answer))
        document = json.loads(answer.body)
        said = document.get("apps") if isinstance(document, dict) else None
        if not isinstance(said, dict):
            raise RouteError(f"{self._server.url} answers with no configuration; check that it is a softlaunch server")
        followed = [self._take_one(app, document, asked) for app in apps.values()]
        # without a tag all of it comes again: what isn't followed must never be found unchanged, and renewed by that
        self._etag = answer.headers.get("etag", "") if apps is self._apps and all(followed) else ""
        self._keep()

    def _take_one(self, app: KnownApp, document: Mapping[str, Any], asked: Moment) -> bool:
        """One app's part, and whether it is followed: what is wrong with it concerns no other app."""
        said, ledger = document["apps"], str(document.get("ledger", ""))
        if app.name not in said:
            known = ", ".join(sorted(said)) or "none of those that were asked for"
            refused = (document.get("refused") or {}).get(app.name)
            app.fail(refused or f"{self._server.url} serves no app {app.name}; it serves: {known}")
            return True
        try:
            return app.take(said[app.name], ledger, asked)
        except RouteError as error:
            app.fail(str(error))
            self._warn_once(str(error))
            return False

    def _renew(self, apps: Mapping[str, KnownApp], answer: Answered, asked: Moment) -> None:
        left = json.loads(answer.headers.get(LEFT, "{}"))
        for name, app in apps.items():
            app.renew(left.get(name) if isinstance(left, dict) else None, asked)

    def _wait_of(self, apps: Iterable[KnownApp]) -> float:
        leases = [app.lease_seconds for app in apps if app.is_live]
        return max(_SHORTEST_WAIT, min(leases) * _OF_THE_LEASE) if leases else _LONGEST_WAIT

    def _fail(self, apps: Mapping[str, KnownApp], error: Exception) -> float:
        if apps is not self._apps or self._stop.is_set():  # the question was interrupted, for another one
            return 0.0
        self._failures += 1
        self._catch_up = True
        self.problem = str(error)
        for app in apps.values():
            app.fail(self.problem)
        self._warn_once(f"{self.problem}; what is known stays, and stable serves alone once a lease is over")
        first, longest = _BACKOFF
        pause: float = min(longest, first * 2 ** min(self._failures, 10))
        return pause * (0.5 + os.urandom(1)[0] / 512)

    def _warn_once(self, message: str) -> None:
        if message != self._warned:
            self._warned = message
            _LOGGER.warning(message)

    def _run(self) -> None:
        stop = self._stop
        while not stop.is_set():
            try:
                pause = self.look()
            except Exception:
                _LOGGER.exception("the configuration can't be read; it is asked for again")
                pause = 1.0
            if pause:
                stop.wait(pause)


def _why_refused(url: str, answer: Answered) -> str:
    if answer.status in {401, 403}:
        return f"{url} refuses the key ({answer.status}); give the client one of the server's client keys"
    if answer.status == 404:
        return f"{url} has no /softlaunch/v1/config (404); check the address, and that the server is of this version"
    return f"{url} answers {answer.status}"
