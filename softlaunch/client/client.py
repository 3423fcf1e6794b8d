"""The client of one server: its threads, its apps, and their end."""

import atexit
import os
import threading
import weakref
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from softlaunch.client.app import App
from softlaunch.client.exporting import Exporter, Posting, feedback_of
from softlaunch.client.feed import Feed
from softlaunch.client.known import Current, KnownApp
from softlaunch.client.lease import CLOCKS, Clocks, LocalLease
from softlaunch.client.outbox import Outbox, OutboxLimits
from softlaunch.client.pieces import FEEDBACK, RECORDS
from softlaunch.client.route import ClientRoute
from softlaunch.client.served import ServedVariant
from softlaunch.client.wire import Server

if TYPE_CHECKING:  # folders are loaded where there are any
    from pathlib import Path
    from types import TracebackType

    from softlaunch.client.call import Call
    from softlaunch.client.copies import Copies
    from softlaunch.client.spool import Spool

_FIRST_ANSWER_SECONDS = 2.0
_EXIT_SECONDS = 2.0


class Options(NamedTuple):
    """What may be set of a client.

    `folder` is where copies of the configuration and waiting records lie: empty for `softlaunch` in the user's cache,
    None for nowhere. `exporter` takes
    the calls in the server's place. `start_seconds` is how long `Client.app` waits for a first answer at most, and
    `exit_seconds` how long the end of the process may wait for the last records.
    """

    folder: "str | os.PathLike[str] | None" = ""
    start_seconds: float = _FIRST_ANSWER_SECONDS
    exit_seconds: float = _EXIT_SECONDS
    limits: OutboxLimits = OutboxLimits()
    exporter: Exporter | None = None
    clocks: Clocks = CLOCKS


class Client:
    """A client of one server, for all threads and tasks of a process, and for its forks.

    It ends with the process, or with `close`. It may be used as a context manager, also as an asynchronous one.
    """

    def __init__(self, url: str, key: str = "", *, options: Options | None = None) -> None:
        self._options = options or Options()
        self._key = key
        self.key = key.encode()
        self.exporter = self._options.exporter
        self._server = Server(url, key)
        self.url = self._server.url
        self._folder, self._copies = _on_disk(self._options.folder, self.url)
        self._feed = Feed(self._server, clocks=self._options.clocks, keep=self._keep)
        self._outbox = Outbox(Posting(Server(url, key)), self._spool(), self._options.limits)
        self._apps: dict[str, App] = {}
        self._known: dict[str, KnownApp] = {}
        self._lock = threading.Lock()
        self._is_fork = False
        self._is_closed = False
        _CLIENTS.add(self)

    def app(self, name: str, *, default: Mapping[str, Any] | None = None) -> App:
        """The app of this name. The first time it waits for what the server says of it, or for it to be unreachable.

        Where the server is away, a copy of what it said last serves, with stable alone; else `default`, the content of
        a variant as `softlaunch` records it. Calls to a default aren't recorded. Raises NoVariantError where there is
        none of these.
        """
        with self._lock:
            app = self._apps.get(name)
            if app is None:
                app = self._begin(name, default)
        known = self._known[name]
        if known.current is None or not known.tried.is_set():
            known.tried.wait(self._options.start_seconds)
        if known.current is None:
            app.variant()  # says what to do, unless there is a default
        return app

    async def async_app(self, name: str, *, default: Mapping[str, Any] | None = None) -> App:
        """The same without holding up an event loop. Everything else of an app may be called from one."""
        from asyncio import to_thread

        return await to_thread(self.app, name, default=default)

    def feedback(
        self,
        request_id: str,
        *,
        thumbs: str | None = None,
        stars: int | None = None,
        scores: Mapping[str, float] | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        """What a user, or somebody's judge, says about a call by its id, or what came of it; exactly one of the four.

        It is sent in the background, and again until the server has it. Raises ValueError.
        """
        given = {"thumbs": thumbs, "stars": stars, "scores": scores, "metrics": metrics}
        self._outbox.put(FEEDBACK, feedback_of(request_id, given))

    @property
    def lost(self) -> Counter[str]:
        """How many records were lost for good, by app. Gates see the number too."""
        return Counter(self._outbox.lost)

    @property
    def waiting(self) -> int:
        """How many records wait in memory."""
        return self._outbox.waiting

    @property
    def problem(self) -> str:
        """What is wrong with the server as this client meets it; empty while nothing is."""
        return self._feed.problem or self._outbox.problem

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until all records are sent, at most so long; whether they are."""
        return self._outbox.flush(seconds)

    def close(self) -> None:
        """Send what waits, within a bounded time, and stop. What can't be sent stays on disk for the next start.

        Stable alone is served from then on, as soon as the lease is over.
        """
        if self._is_closed:
            return
        self._is_closed = True
        for app in self._apps.values():
            app.close()
        self._feed.stop()
        self._outbox.close(self._options.exit_seconds)

    def take(self, call: "Call", record: dict[str, Any]) -> None:
        """A call is over."""
        if self.exporter is not None:
            self.exporter.end(call, record)
        else:
            self._outbox.put(RECORDS, record)

    def awake(self) -> None:
        """Start again what a fork of the process has lost."""
        if self._is_fork:
            self._is_fork = False
            self._feed.start()

    def after_fork(self) -> None:
        """Be as a fork of the process has to be: locks are free, and what waits is the parent's.

        The lease goes on counting, by clocks that both share; the threads come back with the next call.
        """
        self._lock = threading.Lock()
        self._feed.forget()
        self._outbox.forget(self._spool(), Posting(Server(self.url, self._key)))
        for app in self._apps.values():
            app.after_fork()
        self._is_fork = bool(self._apps)

    def _begin(self, name: str, default: Mapping[str, Any] | None) -> App:
        known = KnownApp(name, self._options.clocks)
        if self._copies is not None:
            self._copies.restore(known)
        app = App(self, known, None if default is None else _default(name, default, self._options.clocks))
        self._known[name], self._apps[name] = known, app
        self._feed.add(known)
        return app

    def _keep(self) -> None:
        if self._copies is not None:
            self._copies.keep(list(self._known.values()))

    def _spool(self) -> "Spool | None":
        from softlaunch.client.spool import Spool

        return None if self._folder is None else Spool(self._folder / "records")

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.close()

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        from asyncio import to_thread

        await to_thread(self.close)


def _default(name: str, content: Mapping[str, Any], clocks: Clocks) -> Current:
    served = ServedVariant("the application's default", "", content)
    return Current(ClientRoute(app=name, revision=0, salt="", stable=served), LocalLease(clocks))


def _on_disk(folder: "str | os.PathLike[str] | None", url: str) -> "tuple[Path | None, Copies | None]":
    if folder is None:
        return None, None
    from softlaunch.client.copies import Copies, default_folder, folder_of

    found = folder_of(folder or default_folder(), url)
    return found, Copies(found)


_CLIENTS: "weakref.WeakSet[Client]" = weakref.WeakSet()


def _close_all() -> None:
    for client in list(_CLIENTS):
        client.close()


def _after_fork() -> None:
    for client in list(_CLIENTS):
        client.after_fork()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
