"""`softlaunch ui`: serves the console."""

import logging
import socket
import threading
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli.actor import who
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import console as screen
from softlaunch.core.clock import utc_now
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.listening import listening
from softlaunch.core.settings import Settings

if TYPE_CHECKING:
    from softlaunch.releases.opening import ReleaseRequest
    from softlaunch.store.database import Database

_LOGGER = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ui")(ui)


def ui(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; SOFTLAUNCH_CONSOLE_HOST, else 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port, 0 for a free one; SOFTLAUNCH_CONSOLE_PORT, else 8820."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open it in a browser.")] = False,
) -> None:
    """Serve the console: every app, release, approval and incident in a browser.

    Pages update by themselves, and people decide on them under each policy's rules. Anyone who can reach the console
    acts as you, so it listens on this machine only, unless an identity proxy names people
    (SOFTLAUNCH_CONSOLE_USER_HEADER). Ctrl-C stops it; releases continue without it.
    """
    from softlaunch.console.access import Access
    from softlaunch.console.server import serve
    from softlaunch.console.state import Console

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    settings = Settings()
    host = settings.console_host if host is None else host
    access = Access.of(settings, who().name, host)
    with ledger() as database, _listening(host, settings.console_port if port is None else port) as listener:
        console = Console(
            database,
            access,
            lambda request: begin_release(database, request),
            settings.reports_dir,
            settings.poll_seconds,
        )
        name, taken = listener.getsockname()[:2]
        address = f"http://[{name}]:{taken}/" if ":" in name else f"http://{name}:{taken}/"
        screen.print(f"{address} (Ctrl-C ends the console)", highlight=False, markup=False)
        if browser:
            webbrowser.open(address)
        serve(console, listener)


def begin_release(database: "Database", request: "ReleaseRequest") -> str:
    """Open a release and have it driven: by a worker where Prefect is configured, else by a thread of this process.

    Returns its id at once. Should nobody drive it after all, reconcile does.
    """
    from softlaunch.releases.opening import open_release

    release_id = open_release(database, request, utc_now())
    threading.Thread(target=_drive, args=(database, release_id), name=f"drive {release_id}", daemon=True).start()
    return release_id


def _drive(database: "Database", release_id: str) -> None:
    from softlaunch.cli.prefect_api import prefect_configured
    from softlaunch.cli.starting import RESUMING, order_run
    from softlaunch.releases.controller import Controller
    from softlaunch.wiring import build_driver

    try:
        if prefect_configured():
            order_run(RESUMING, {"release_id": release_id})
        else:
            Controller(build_driver(database, "console"), Settings().poll_seconds, warn=_LOGGER.warning).run(release_id)
    except SoftlaunchError as error:
        _LOGGER.warning("%s has no driver yet, reconcile gives it one: %s", release_id, error)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with listening(host, port):
        return socket.create_server((host, port), family=family)
