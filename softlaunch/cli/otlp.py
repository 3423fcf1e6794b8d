"""`softlaunch otlp`: take an app's own spans into the request log."""

from typing import Annotated

import typer

from softlaunch.cli.output import errors
from softlaunch.core.listening import listening
from softlaunch.core.settings import Settings

_LOCAL = ("127.0.0.1", "::1", "localhost")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("otlp")(otlp)


def otlp(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; SOFTLAUNCH_OTLP_HOST, else 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port, 0 for a free one; SOFTLAUNCH_OTLP_PORT, else 4318.",
        ),
    ] = None,
    log_level: Annotated[str, typer.Option(help="critical, error, warning, info, debug or trace.")] = "info",
) -> None:
    """Take an app's own OpenTelemetry spans into the request log.

    An OTLP/HTTP receiver: each span of a model call becomes a row, so that an app which no gateway serves can be
    released by gates. Its policy says so by `sources.otlp`. What it splits by itself, it must also take back itself.
    """
    from softlaunch.inbound.otlp.server import ReceiverOptions, serve
    from softlaunch.store.migrate import open_database

    settings = Settings()
    token = settings.otlp_token.get_secret_value() if settings.otlp_token else ""
    options = ReceiverOptions(
        host=host or settings.otlp_host,
        port=settings.otlp_port if port is None else port,
        log_level=log_level,
        token=token,
        body_mb=settings.otlp_max_body_mb,
        spans_per_second=settings.otlp_spans_per_second,
        catch_up_seconds=settings.otlp_catch_up_seconds,
    )
    if options.host not in _LOCAL and not token:
        errors.print("softlaunch: anybody who reaches this address may feed the gates; set SOFTLAUNCH_OTLP_TOKEN")
    with listening(options.host, options.port):
        serve(open_database(settings.ledger_url), options)
