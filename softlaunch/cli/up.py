"""`softlaunch up`: a whole installation on one machine, supervised."""

import fcntl
import importlib.util
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from softlaunch.cli.actor import who
from softlaunch.cli.output import console, errors, working
from softlaunch.console.access import Access
from softlaunch.core.ending import ENDINGS, set_at_the_end
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.private_files import private_folder, private_opener
from softlaunch.core.settings import Settings
from softlaunch.installation.extras import Asked, Extra, Lacking, choose_extras
from softlaunch.installation.services import Installation
from softlaunch.installation.stack import Service, Stack, StackError, ours
from softlaunch.installation.supervision import Supervisor, shown

_DEPLOY_ATTEMPTS = 3
_DEPLOY_PAUSE_SECONDS = 4

_GatewayPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Port of the gateway; SOFTLAUNCH_GATEWAY_PORT, else 8800.",
    ),
]

_PrefectPort = Annotated[
    int,
    typer.Option(
        min=0,
        max=65535,
        help="Port of Prefect's UI and API.",
    ),
]

_ConsolePort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Port of the console; SOFTLAUNCH_CONSOLE_PORT, else 8820.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    gateway_port: _GatewayPort = None,
    prefect_port: _PrefectPort = 4200,
    console_port: _ConsolePort = None,
    otlp: Annotated[
        bool | None,
        typer.Option(
            "--otlp/--no-otlp", help="Take spans of apps; left out, where the policy of an app has sources.otlp."
        ),
    ] = None,
    envoy: Annotated[
        bool | None,
        typer.Option("--envoy/--no-envoy", help="Tell Envoys; left out, where the policy of an app has router."),
    ] = None,
    config_server: Annotated[
        bool, typer.Option("--config-server", help="Tell applications that call their models themselves.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Leave the services' output to their log files.")] = False,
) -> None:
    """Run gateway, evaluator, Prefect, worker, reconcile and the console on this machine.

    Where policies ask for it, also the receiver of spans, and the control plane of Envoys with its processor of bodies.
    A process that dies is restarted. Ctrl-C or SIGTERM stops everything in order; live releases are resumed at the next
    start.
    """
    stopping = threading.Event()
    set_at_the_end(stopping, (*ENDINGS, signal.SIGHUP))
    settings = Settings()
    there = Installation.of(settings, gateway_port, prefect_port, console_port)
    Access.of(settings, who().name, there.console_host)  # which raises where it would let anybody in
    with _alone(there.home):
        _check_ledger(settings)
        extras = _choose_extras(settings, Asked(otlp, envoy, config_server))
        there.check([(one.name, one.host, port, setting) for one in extras for port, setting in one.ports])
        _run(there, stopping, extras, quiet=quiet)


def _run(there: Installation, stopping: threading.Event, extras: list[Extra], *, quiet: bool) -> None:
    """Start the services, print their addresses, and keep them alive until they are to stop.

    Traffic comes first and goes last: the gateway is started before anything else, and stopped after it.
    """
    slack, besides = _slack(), [one.service for one in extras]
    always = (there.gateway, *besides, there.reconcile, there.evaluator, there.prefect, there.console)
    stack = Stack(there.logs, there.environment)
    supervisor = Supervisor(stack, _complain)
    with stack, shown(stack, [*always, there.worker, *slack], _nothing if quiet else _line):
        for service in (*always, *slack):
            stack.start(service)
        for service in (there.gateway, *besides, there.prefect):
            with working(f"Starting {service.name}"):
                stack.await_ready(service, stopping)
        if not stopping.is_set():
            _deploy(there, supervisor, stopping)
            stack.start(there.worker)
            _print_addresses(there, extras, slack)
            _ask_what_serves()
        while not stopping.wait(1):
            supervisor.look()
        console.print("Stopping; live releases go on with the next start, stable serves alone meanwhile.")


def _slack() -> list[Service]:
    """The Slack listener, where Slack is configured and this version has one."""
    configured = os.environ.get("SLACK_APP_TOKEN") or os.environ.get("SLACK_APP_TOKEN_FILE")
    if not configured or importlib.util.find_spec("softlaunch.cli.slack") is None:
        return []
    return [Service("slack", ours("slack"))]


def _check_ledger(settings: Settings) -> None:
    """Reach the ledger, and bring its schema up to date, before anything else does."""
    from softlaunch.store.migrate import open_database

    open_database(settings.ledger_url).close()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the home folder, so that a second stack in it is refused; a process that dies lets it go."""
    private_folder(home)
    with open(home / "up.lock", "a+", opener=private_opener) as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StackError(
                f"{home} is used by another 'softlaunch up' (process {_owner(held)}); stop that one first"
            ) from error
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        yield


def _owner(held: IO[str]) -> str:
    held.seek(0)
    return held.read().strip() or "unknown"


def _deploy(there: Installation, supervisor: Supervisor, stopping: threading.Event) -> None:
    """Put pool, deployments and automations onto the server, which may die meanwhile and be started again.

    Raises StackError with the command's own words.
    """
    environment = {**os.environ, **there.environment}
    for attempt in range(1, _DEPLOY_ATTEMPTS + 1):
        done = subprocess.run(ours("deploy"), env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode == 0 or stopping.is_set():
            return
        said = (done.stderr or done.stdout).strip()
        if attempt == _DEPLOY_ATTEMPTS:
            raise StackError(f"Prefect took no deployments: {said}. Its log: {supervisor.stack.log_of(there.prefect)}")
        _complain(f"{said} - trying again")
        for _ in range(_DEPLOY_PAUSE_SECONDS):
            supervisor.look()
            stopping.wait(1)
        supervisor.stack.await_ready(there.prefect, stopping)


def _choose_extras(settings: Settings, asked: Asked) -> list[Extra]:
    """What is to run besides, by the options and by what the ledger's apps ask for."""
    from softlaunch.ledger.routes import read_routes
    from softlaunch.store.migrate import open_database

    database = open_database(settings.ledger_url)
    try:
        routes = list(read_routes(database).values())
    except SoftlaunchError as error:
        _complain(f"which services apps ask for can't be known: {error}")
        routes = []
    finally:
        database.close()
    found = list(choose_extras(settings, asked, routes))
    for one in found:
        if isinstance(one, Lacking):
            _complain(one.sentence)
    return [one for one in found if isinstance(one, Extra)]


def _print_addresses(there: Installation, extras: list[Extra], slack: list[Service]) -> None:
    home = there.home
    besides = "".join(f"  {one.name:<15}{one.address}\n" for one in extras)
    console.print(
        f"Everything runs.\n"
        f"  gateway        {there.gateway_url}/v1   (the app's name is the model)\n"
        f"{besides}"
        f"  console        {there.console_url}\n"
        f"  Prefect's UI   {there.prefect_url}\n"
        f"  Slack          {'listening' if slack else 'not configured (SLACK_APP_TOKEN)'}\n"
        f"  home           {home}   (ledger and reports)\n"
        f"  logs           {there.logs}\n"
        f"In other terminals: export SOFTLAUNCH_HOME={home} PREFECT_API_URL={there.prefect_url}/api\n"
        f"Ctrl-C stops everything.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _ask_what_serves() -> None:
    """Probe each app's serving endpoint once, and print what is wrong; nothing waits for it."""
    from softlaunch.cli.endpoints import ask_endpoints
    from softlaunch.ledger.routes import read_routes
    from softlaunch.store.migrate import open_database

    database = open_database(Settings().ledger_url)
    try:
        models = {route.stable.model.digest: route.stable.model for route in read_routes(database).values()}
        ask_endpoints(list(models.values()))
    except (SoftlaunchError, SQLAlchemyError) as error:
        _complain(f"what serves couldn't be asked: {error}")
    finally:
        database.close()


def _line(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _nothing(_: str) -> None:
    """Output that nobody wants to see here: it is in the logs."""


def _complain(text: str) -> None:
    errors.print(f"softlaunch: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)
