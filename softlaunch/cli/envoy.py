"""`softlaunch envoy`: let an Envoy of your own split the traffic."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli.output import errors, print_json
from softlaunch.cli.serving_options import LOCAL, place, say
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings

if TYPE_CHECKING:
    from softlaunch.policy.route import Route
    from softlaunch.store.database import Database

_Host = Annotated[str | None, typer.Option(help="Address to listen on; SOFTLAUNCH_ENVOY_HOST, else 127.0.0.1.")]
_Routes = Annotated[
    Path | None, typer.Option(help="Folder that Envoy reads its routes from; left out, `envoy` in the home folder.")
]
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
    routes: _Routes = None,
    log_level: _LogLevel = "info",
) -> None:
    """Tell Envoys how traffic is split, and take their access logs.

    For apps whose policy has `router: {kind: envoy, ...}`. Weights are told with a time to live, which is what is left
    of the lease: when nothing of this installation runs any more, Envoy itself returns to stable.
    """
    settings = Settings()
    folder = routes or settings.home / "envoy"
    _serve(settings, host or settings.envoy_host, settings.envoy_port if port is None else port, folder, log_level)


def processor(
    host: _Host = None,
    port: Annotated[int, typer.Option(help="Port, 0 for a free one.")] = 18801,
    log_level: _LogLevel = "info",
) -> None:
    """Only rewrite bodies, for apps whose policy has `router: {rewrite: true, ...}`.

    `envoy control` does that too. Beside it, in processes of its own, rendering prompts never holds up a weight.
    """
    settings = Settings()
    _serve(settings, host or settings.envoy_host, port, None, log_level)


def _serve(settings: Settings, host: str, port: int, routes: Path | None, log_level: str) -> None:
    import logging

    from softlaunch.store.migrate import open_database

    try:
        from softlaunch.inbound.envoy.server import ControlOptions, serve
    except ModuleNotFoundError as error:
        raise SoftlaunchError("Envoy's interfaces aren't installed: pip install 'softlaunch[envoy]'") from error
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("softlaunch").setLevel(log_level.upper())
    if host not in LOCAL:
        errors.print("softlaunch: anybody who reaches this address may feed the gates; keep it within your network")
    database = open_database(settings.ledger_url)
    serve(database, ControlOptions(host, port, routes), lambda listening: _introduce(database, host, listening, routes))


def _introduce(database: "Database", host: str, port: int, routes: Path | None) -> None:
    from softlaunch.ledger.routes import read_routes

    say(f"{'processor' if routes is None else 'control'}  {place(host, port)}")
    if routes is not None:
        say(f"routes   {routes.absolute()}")
    routed = [route for route in read_routes(database).values() if route.serving.router is not None]
    for route in routed:
        say(f"app      {route.app}: {route.stable.label}")
    if not routed:
        say("lacks    an app that an Envoy routes: write 'router' into its policy, then softlaunch apply")


def config(
    app: Annotated[str, typer.Argument(help="The app, as its policy names it.")],
    listen: Annotated[str, typer.Option(help="Where Envoy listens.")] = "127.0.0.1:10000",
    admin: Annotated[str, typer.Option(help="Where Envoy's admin page and its metrics are.")] = "127.0.0.1:9901",
    control: Annotated[
        list[str] | None,
        typer.Option(help="Where `softlaunch envoy control` is, as Envoy sees it; once for each where several run."),
    ] = None,
    processor: Annotated[
        list[str] | None, typer.Option(help="Where bodies are rewritten, if elsewhere; once for each.")
    ] = None,
    node: Annotated[str, typer.Option(help="What names this Envoy among others; left out, the app.")] = "",
    routes: _Routes = None,
) -> None:
    """Print a bootstrap for an Envoy that routes one app, and write its routes where they are missing.

    `envoy -c FILE` runs it. An Envoy that you have takes its parts: the runtime layer, the listener or its filter
    chain, and the clusters.
    """
    from softlaunch.inbound.envoy.bootstrap import Places, bootstrap
    from softlaunch.inbound.envoy.route_files import routes_path, write_routes

    settings = Settings()
    folder = (routes or settings.home / "envoy").absolute()
    route = _route(settings, app)
    if route.serving.router is None:
        raise SoftlaunchError(f"no Envoy routes {app}: write 'router: {{kind: envoy, stable: ...}}' into its policy")
    places = Places(
        listen=_place(listen, "--listen"),
        admin=_place(admin, "--admin"),
        controls=_places(control or [f"{settings.envoy_host}:{settings.envoy_port}"], "--control"),
        routes=folder,
        processors=_places(processor or [], "--processor"),
        node=node,
    )
    if not routes_path(folder, app).is_file():
        write_routes(folder, route)
    print_json(bootstrap(app, route.serving, route.serving.router, places))


def _route(settings: Settings, app: str) -> "Route":
    from contextlib import closing

    from softlaunch.ledger.routes import read_route
    from softlaunch.store.migrate import open_database

    with closing(open_database(settings.ledger_url)) as database:
        route = read_route(database, app)
    if route is None:
        raise SoftlaunchError(f"there is no app {app} in this ledger: softlaunch apply")
    return route


def _places(texts: list[str], option: str) -> list[tuple[str, int]]:
    return [_place(text, option) for text in texts]


def _place(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise SoftlaunchError(f"{option} is {text!r}; expected an address and a port, such as 127.0.0.1:10000")
    return host.strip("[]"), int(port)
