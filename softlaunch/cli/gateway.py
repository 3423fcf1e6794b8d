"""`softlaunch gateway`: serve the apps' traffic."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli.output import errors
from softlaunch.cli.serving_options import (
    LOCAL,
    client_keys,
    config_keys,
    feedback_keys,
    limits_of,
    say,
    say_lacking_keys,
)
from softlaunch.core.listening import listening, place
from softlaunch.core.settings import Settings

if TYPE_CHECKING:
    from softlaunch.gateway.server import GatewayOptions
    from softlaunch.store.database import Database

_MOST_APPS = 10
_QUIET = ("critical", "error", "warning")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(gateway)


_Host = Annotated[str | None, typer.Option(help="Address to listen on; SOFTLAUNCH_GATEWAY_HOST, else 127.0.0.1.")]
_Port = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Port, 0 for a free one; SOFTLAUNCH_GATEWAY_PORT, else 8800.",
    ),
]
_MaxBodyMb = Annotated[
    float | None,
    typer.Option(help="Largest request body, in MiB; SOFTLAUNCH_MAX_BODY_MB, else 10.", min=0.001, max=1024),
]
_MaxAnswerMb = Annotated[
    float | None,
    typer.Option(
        help="Largest answer from a provider, in MiB; SOFTLAUNCH_MAX_ANSWER_MB, else 64.", min=0.001, max=4096
    ),
]
_MaxEventMb = Annotated[
    float | None,
    typer.Option(help="Largest event of a stream, in MiB; SOFTLAUNCH_MAX_EVENT_MB, else 32.", min=0.001, max=1024),
]
_CorsOrigins = Annotated[
    list[str] | None,
    typer.Option(help="Origin whose web pages may call the gateway; repeatable. SOFTLAUNCH_CORS_ORIGINS, else none."),
]
_ArmHeader = Annotated[
    bool | None,
    typer.Option(
        "--arm-header/--no-arm-header",
        help="Send clients their arm in x-softlaunch-arm; SOFTLAUNCH_ARM_HEADER, else off.",
    ),
]
_Processes = Annotated[
    int | None,
    typer.Option(
        help="Processes that share the port, each a separate gateway; SOFTLAUNCH_GATEWAY_PROCESSES, else 1.",
        min=1,
        max=64,
    ),
]
_DrainSeconds = Annotated[
    float | None,
    typer.Option(
        help="Seconds to keep accepting requests after SIGTERM; SOFTLAUNCH_GATEWAY_DRAIN_SECONDS, else 0.",
        min=0,
        max=600,
    ),
]
_LogLevel = Annotated[str, typer.Option(help="critical, error, warning, info, debug or trace.")]


def gateway(
    host: _Host = None,
    port: _Port = None,
    max_body_mb: _MaxBodyMb = None,
    max_answer_mb: _MaxAnswerMb = None,
    max_event_mb: _MaxEventMb = None,
    cors_origin: _CorsOrigins = None,
    arm_header: _ArmHeader = None,
    processes: _Processes = None,
    drain_seconds: _DrainSeconds = None,
    log_level: _LogLevel = "info",
) -> None:
    """Serve requests from OpenAI and Anthropic clients.

    The ledger determines how they are split between stable and candidate. After SIGTERM, requests in progress are
    finished; behind a load balancer, --drain-seconds first gives it time to stop sending new ones.
    """
    given = {
        "gateway_host": host or None,
        "gateway_port": port,
        "max_body_mb": max_body_mb,
        "max_answer_mb": max_answer_mb,
        "max_event_mb": max_event_mb,
        "arm_header": arm_header,
        "gateway_processes": processes,
        "gateway_drain_seconds": drain_seconds,
    }
    settings = Settings()
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    options = _options(settings, cors_origin or settings.cors_origins.split(","), log_level)
    if options.host not in LOCAL and not options.client_keys:
        errors.print("softlaunch: anybody who reaches this address may use your providers; set SOFTLAUNCH_CLIENT_KEYS")
    with listening(options.host, options.port):
        _serve(settings, options)


def _serve(settings: Settings, options: "GatewayOptions") -> None:
    """Serve by one process or several, after a word about what is served. Raises OSError where the port is taken."""
    from softlaunch.gateway.server import serve, serve_by_processes
    from softlaunch.store.migrate import open_database

    if settings.gateway_processes > 1:
        with closing(open_database(settings.ledger_url)) as database:  # migrated once, and not by all of them
            _introduce(database, options, options.port)
        serve_by_processes(lambda: open_database(settings.ledger_url), options, settings.gateway_processes)
    else:
        database = open_database(settings.ledger_url)
        serve(database, options, lambda listening: _introduce(database, options, listening))


def _introduce(database: "Database", options: "GatewayOptions", port: int) -> None:
    """Print the address, the apps that are served, and what this process lacks to serve them."""
    from softlaunch.ledger.routes import read_routes

    if options.log_level in _QUIET:
        return
    routes = read_routes(database)
    say(f"gateway  http://{place(options.host, port)}/v1")
    for app, route in sorted(routes.items())[:_MOST_APPS]:
        say(f"app      {app}: {route.stable.label}")
        say_lacking_keys(route)
    if len(routes) > _MOST_APPS:
        say(f"         and {len(routes) - _MOST_APPS} more apps; GET /v1/models lists them")
    if not routes:
        say("lacks    an app: softlaunch init, then softlaunch apply; no restart is needed")


def _options(settings: Settings, cors_origins: list[str], log_level: str) -> "GatewayOptions":
    """What the gateway is to do, by the settings with what the command line sets in their place."""
    from softlaunch.gateway.answer_checks import named_classifier
    from softlaunch.gateway.cors import Cors, checked_origin
    from softlaunch.gateway.http.connections import parse_networks
    from softlaunch.gateway.server import GatewayOptions

    return GatewayOptions(
        host=settings.gateway_host,
        port=settings.gateway_port,
        log_level=log_level,
        client_keys=client_keys(settings),
        feedback_keys=feedback_keys(settings),
        config_keys=config_keys(settings),
        rating_window_seconds=settings.feedback_hours * 3600,
        trusted_proxies=parse_networks(settings.gateway_trusted_proxies, "SOFTLAUNCH_GATEWAY_TRUSTED_PROXIES"),
        drain_seconds=settings.gateway_drain_seconds,
        limits=limits_of(settings),
        cache_seconds=settings.config_cache_seconds,
        catch_up_seconds=settings.otlp_catch_up_seconds,
        home=settings.home,
        otel=settings.otel,
        cors=Cors(tuple(checked_origin(one) for one in cors_origins if one.strip())),
        show_arm=settings.arm_header,
        refuses=named_classifier(settings.refusals),
    )
