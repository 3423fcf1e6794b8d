"""`softlaunch config-server`: tell applications which variant to use, without being in their way."""

from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli.output import errors
from softlaunch.cli.serving_options import LOCAL, client_keys, config_keys, feedback_keys, limits_of, say
from softlaunch.core.listening import listening, place
from softlaunch.core.settings import Settings

if TYPE_CHECKING:
    from softlaunch.gateway.config_server import ConfigServerOptions
    from softlaunch.store.database import Database

_MOST_APPS = 10
_QUIET = ("critical", "error", "warning")


_Port = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Port, 0 for a free one; SOFTLAUNCH_CONFIG_SERVER_PORT, else 8830.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("config-server")(config_server)


def config_server(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; SOFTLAUNCH_CONFIG_SERVER_HOST, else 127.0.0.1.")
    ] = None,
    port: _Port = None,
    cache_seconds: Annotated[
        float | None,
        typer.Option(
            help="How long a variant may be kept without a release; SOFTLAUNCH_CONFIG_CACHE_SECONDS, else 60.",
            min=0.1,
            max=3600,
        ),
    ] = None,
    log_level: Annotated[str, typer.Option(help="critical, error, warning, info, debug or trace.")] = "info",
) -> None:
    """Tell applications which variant to use, without being in their way.

    By OpenFeature's remote evaluation protocol, and as a feed for softlaunch's own client. Applications call their
    models themselves, and record their calls here or by OTLP. A gateway serves all of this, too.
    """
    from softlaunch.gateway.config_server import serve
    from softlaunch.store.migrate import open_database

    given = {"config_server_host": host or None, "config_server_port": port, "config_cache_seconds": cache_seconds}
    settings = Settings()
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    options = _options(settings, log_level)
    if options.host not in LOCAL and not options.client_keys:
        said = "anybody who reaches this address reads prompts and feeds the gates; set SOFTLAUNCH_CLIENT_KEYS"
        errors.print(f"softlaunch: {said}")
    database = open_database(settings.ledger_url)
    with listening(options.host, options.port):
        serve(database, options, lambda port: _introduce(database, options, port))


def _options(settings: Settings, log_level: str) -> "ConfigServerOptions":
    """What the server is to do, by the settings with what the command line sets in their place."""
    from softlaunch.gateway.config_server import ConfigServerOptions
    from softlaunch.gateway.cors import Cors, checked_origin
    from softlaunch.gateway.http.connections import parse_networks

    trusted = parse_networks(settings.gateway_trusted_proxies, "SOFTLAUNCH_GATEWAY_TRUSTED_PROXIES")
    return ConfigServerOptions(
        host=settings.config_server_host,
        port=settings.config_server_port,
        log_level=log_level,
        client_keys=tuple(config_keys(settings) or client_keys(settings)),
        feedback_keys=tuple(feedback_keys(settings)),
        rating_window_seconds=settings.feedback_hours * 3600,
        trusted_proxies=tuple(trusted),
        limits=limits_of(settings),
        cors=Cors(tuple(checked_origin(one) for one in settings.cors_origins.split(",") if one.strip())),
        cache_seconds=settings.config_cache_seconds,
        catch_up_seconds=settings.otlp_catch_up_seconds,
    )


def _introduce(database: "Database", options: "ConfigServerOptions", port: int) -> None:
    """Print the address, the apps that are served, and what this process lacks to serve them."""
    from softlaunch.gateway.configuration.evaluation import why_not_evaluated
    from softlaunch.ledger.routes import read_routes

    if options.log_level in _QUIET:
        return
    routes = read_routes(database)
    say(f"config   http://{place(options.host, port)}")
    for app, route in sorted(routes.items())[:_MOST_APPS]:
        say(f"app      {app}: {route.stable.label}")
        why = why_not_evaluated(route, are_backends=bool(options.client_keys))
        if why:
            say(f"lacks    {why}")
        elif route.serving.otlp is None:
            say(f"lacks    records of {app}: write `otlp: {{}}` under `sources` of its policy before it is released so")
    if len(routes) > _MOST_APPS:
        say(f"         and {len(routes) - _MOST_APPS} more apps; GET /softlaunch/v1/config lists them")
    if not routes:
        say("lacks    an app: softlaunch init, then softlaunch apply; no restart is needed")
