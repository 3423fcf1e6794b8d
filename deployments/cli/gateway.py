"""`softlaunch gateway`: serve the apps' traffic."""

import typer

from deployments.cli.output import errors
from softlaunch.errors import SoftlaunchError
from softlaunch.settings import Settings

_LOCAL = ("127.0.0.1", "::1", "localhost")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(gateway)


def gateway(
    host: str | None = typer.Option(None, help="Address to listen on; SOFTLAUNCH_GATEWAY_HOST, else 127.0.0.1."),
    port: int | None = typer.Option(None, help="Port, 0 for a free one; SOFTLAUNCH_GATEWAY_PORT, else 8800."),
    log_level: str = typer.Option("info", help="critical, error, warning, info, debug or trace."),
) -> None:
    """Serve OpenAI-compatible requests.

    They are split between stable and candidate as the ledger says.
    """
    from softlaunch.gateway.server import GatewayOptions, serve
    from softlaunch.store.migrate import open_database

    settings = Settings()
    options = GatewayOptions(
        host=host or settings.gateway_host,
        port=settings.gateway_port if port is None else port,
        log_level=log_level,
        client_keys=_client_keys(settings),
        home=settings.home,
    )
    if options.host not in _LOCAL and not options.client_keys:
        errors.print("softlaunch: anybody who reaches this address may use your providers; set SOFTLAUNCH_CLIENT_KEYS")
    try:
        serve(open_database(settings.ledger_url), options)
    except OSError as error:
        raise SoftlaunchError(f"can't listen on {options.host}:{options.port}: {error.strerror}") from error


def _client_keys(settings: Settings) -> list[str]:
    if settings.client_keys is None:
        return []
    keys = [key.strip() for key in settings.client_keys.get_secret_value().split(",")]
    if not all(keys):
        raise SoftlaunchError(
            "SOFTLAUNCH_CLIENT_KEYS is set but holds an empty key; write key1,key2, or unset it to serve anybody"
        )
    return keys
