"""`softlaunch envoy`: let an Envoy of your own split the traffic."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softlaunch.cli.output import errors, print_json
from softlaunch.cli.serving_options import LOCAL, say, say_lacking_keys
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.listening import place
from softlaunch.core.settings import Settings

if TYPE_CHECKING:
    from softlaunch.inbound.envoy.server import ControlOptions
    from softlaunch.policy.route import Route
    from softlaunch.policy.router import RouterPolicy
    from softlaunch.store.database import Database

_Host = Annotated[str | None, typer.Option(help="Address to listen on; SOFTLAUNCH_ENVOY_HOST, else 127.0.0.1.")]
_Controls = Annotated[
    list[str] | None,
    typer.Option(help="Where `softlaunch envoy control` is, as Envoy sees it; repeat it if several run."),
]
_Processors = Annotated[
    list[str] | None, typer.Option(help="Where bodies are rewritten, if elsewhere; repeat it if several run.")
]
_Routes = Annotated[
    Path | None, typer.Option(help="Folder that Envoy reads its routes from; left out, `envoy` in the home folder.")
]
_HEALTH = "Port of /healthz and /metrics, 0 for none;"
_LAST_PORT = 65535
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
_LogLevel = Annotated[str, typer.Option(help="critical, error, warning, info or debug.")]


def register(app: typer.Typer) -> None:
    """Add `envoy control`, `envoy processor` and `envoy config`."""
    group = typer.Typer(help="Let an Envoy of your own split the traffic.", no_args_is_help=True)
    group.command("control")(control)
    group.command("processor")(processor)
    group.command("config")(config)
    app.add_typer(group, name="envoy")


def control(
    host: _Host = None,
    port: Annotated[int | None, typer.Option(help="Port, 0 for a free one; SOFTLAUNCH_ENVOY_PORT, else 18800.")] = None,
    health_port: Annotated[
        int | None, typer.Option(help=f"{_HEALTH} SOFTLAUNCH_ENVOY_HEALTH_PORT, else 18802.")
    ] = None,
    routes: _Routes = None,
    log_level: _LogLevel = "info",
) -> None:
    """Tell Envoys how traffic is split, and take their access logs.

    For apps whose policy has `router: {kind: envoy, ...}`. Weights are told with a time to live, which is what is left
    of the lease: when nothing of this installation runs any more, Envoy itself returns to stable.
    """
    settings = Settings()
    folder = routes or settings.home / "envoy"
    options = {
        "host": host or settings.envoy_host,
        "port": settings.envoy_port if port is None else port,
        "health_port": (settings.envoy_health_port if health_port is None else health_port) or None,
    }
    _serve(settings, options, folder, log_level)


def processor(
    host: _Host = None,
    port: Annotated[
        int | None, typer.Option(help="Port, 0 for a free one; SOFTLAUNCH_ENVOY_PROCESSOR_PORT, else 18801.")
    ] = None,
    health_port: Annotated[
        int | None, typer.Option(help=f"{_HEALTH} SOFTLAUNCH_ENVOY_PROCESSOR_HEALTH_PORT, else 18803.")
    ] = None,
    log_level: _LogLevel = "info",
) -> None:
    """Only rewrite bodies, for apps whose policy has `router: {rewrite: true, ...}`.

    `envoy control` does that too. Beside it, in processes of its own, rendering prompts never holds up a weight.
    """
    settings = Settings()
    options = {
        "host": host or settings.envoy_host,
        "port": settings.envoy_processor_port if port is None else port,
        "health_port": (settings.envoy_processor_health_port if health_port is None else health_port) or None,
    }
    _serve(settings, options, None, log_level)


def _serve(settings: Settings, options: dict[str, Any], routes: Path | None, log_level: str) -> None:
    import logging

    from softlaunch.store.migrate import open_database

    try:
        from softlaunch.inbound.envoy.server import ControlOptions, serve
    except ModuleNotFoundError as error:
        raise SoftlaunchError("Envoy's interfaces aren't installed: pip install 'softlaunch[envoy]'") from error
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("softlaunch").setLevel(log_level.upper())
    host = options["host"]
    if host not in LOCAL:
        errors.print("softlaunch: anybody who reaches this address may feed the gates; keep it within your network")
    database = open_database(settings.ledger_url)
    known = ControlOptions(**options, routes=routes)
    serve(database, known, lambda listening: _introduce(database, known, listening))


def _introduce(database: "Database", options: "ControlOptions", port: int) -> None:
    from softlaunch.ledger.routes import read_routes

    routes = options.routes
    say(f"{'processor' if routes is None else 'control'}  {place(options.host, port)}")
    if options.health_port is not None:
        say(f"metrics  http://{place(options.host, options.health_port)}/metrics")
    if routes is not None:
        say(f"routes   {routes.absolute()}")
    routed = [route for route in read_routes(database).values() if route.serving.router is not None]
    for route in routed:
        say(f"app      {route.app}: {route.stable.label}")
        if route.serving.router is not None and route.serving.router.rewrite:
            say_lacking_keys(route)
    if not routed:
        say("lacks    an app that an Envoy routes: write 'router' into its policy, then softlaunch apply")
    elif routes is None and not any(route.serving.router.rewrite for route in routed if route.serving.router):
        say("lacks    an app whose bodies are ours: write 'rewrite: true' under 'router', then softlaunch apply")


def config(
    app: Annotated[str, typer.Argument(help="The app, as its policy names it.")],
    listen: Annotated[str, typer.Option(help="Where Envoy listens.")] = "127.0.0.1:10000",
    admin: Annotated[str, typer.Option(help="Where Envoy's admin page and its metrics are.")] = "127.0.0.1:9901",
    control: _Controls = None,
    processor: _Processors = None,
    node: Annotated[str, typer.Option(help="What names this Envoy among others; left out, the app.")] = "",
    routes: _Routes = None,
    ca: Annotated[
        Path | None,
        typer.Option(help="Certificates by which Envoy checks https addresses of the policy; left out, the system's."),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Write it there in place of printing it.")] = None,
) -> None:
    """Print a bootstrap for an Envoy that routes one app, and write its routes where they are missing.

    `envoy -c FILE` runs it. An Envoy that you have takes its parts: the runtime layer, the listener or its filter
    chain, and the clusters.
    """
    from softlaunch.inbound.envoy.bootstrap import Places, bootstrap
    from softlaunch.inbound.envoy.route_files import routes_path, write_routes

    settings = Settings()
    folder = (routes or settings.home / "envoy").absolute()
    route, router = _routed(settings, app)
    places = Places(
        listen=_place(listen, "--listen"),
        admin=_place(admin, "--admin"),
        controls=_places(control or [f"{settings.envoy_host}:{settings.envoy_port}"], "--control"),
        routes=folder,
        processors=_places(processor or [], "--processor"),
        node=node,
        trusted=ca or _system_certificates(),
    )
    if not routes_path(folder, app).is_file():
        write_routes(folder, route)
    made = bootstrap(app, route.serving, router, places)
    print_json(made) if file is None else _write(file, made)


def _write(file: Path, made: "dict[str, Any]") -> None:
    import orjson

    try:
        file.write_bytes(orjson.dumps(made, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise SoftlaunchError(f"{file} can't be written: {(error.strerror or '').lower()}") from error


def _routed(settings: Settings, app: str) -> "tuple[Route, RouterPolicy]":
    """An app's route, and how an Envoy routes it. Raises SoftlaunchError where none does."""
    from contextlib import closing

    from softlaunch.ledger.routes import read_route, read_routes
    from softlaunch.store.migrate import open_database

    with closing(open_database(settings.ledger_url)) as database:
        route = read_route(database, app)
        known = [] if route is not None else sorted(read_routes(database))
    if route is None:
        there = f"it has {', '.join(known)}" if known else "it has none yet"
        raise SoftlaunchError(f"there is no app {app} in this ledger ({there}); to add one: softlaunch apply FOLDER")
    if route.serving.router is None:
        raise SoftlaunchError(
            f"no Envoy routes {app} by the policy in the ledger: write 'router: {{kind: envoy, stable: ...}}' into it, "
            "then softlaunch apply"
        )
    return route, route.serving.router


def _system_certificates() -> Path:
    """Where this system keeps the certificates that it trusts, as Envoy's own images do where it is none of these."""
    return next((path for path in map(Path, _CERTIFICATES) if path.is_file()), Path(_CERTIFICATES[0]))


def _places(texts: list[str], option: str) -> list[tuple[str, int]]:
    return [_place(text, option) for text in texts]


def _place(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > _LAST_PORT:
        raise SoftlaunchError(f"{option} is {text!r}; expected an address and a port, such as 127.0.0.1:10000")
    return host.strip("[]"), int(port)
