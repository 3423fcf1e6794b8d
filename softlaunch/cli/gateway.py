"""`softlaunch gateway`: serve the apps' traffic."""

from typing import TYPE_CHECKING

import typer
from pydantic import SecretStr

from softlaunch.cli.output import errors
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings

if TYPE_CHECKING:
    from softlaunch.gateway.limits import Limits

_MIB = 1024 * 1024
_LOCAL = ("127.0.0.1", "::1", "localhost")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(gateway)


def gateway(
    host: str | None = typer.Option(None, help="Address to listen on; SOFTLAUNCH_GATEWAY_HOST, else 127.0.0.1."),
    port: int | None = typer.Option(None, help="Port, 0 for a free one; SOFTLAUNCH_GATEWAY_PORT, else 8800."),
    max_body_mb: float | None = typer.Option(
        None, help="Largest request body, in MiB; SOFTLAUNCH_MAX_BODY_MB, else 10.", min=0.001, max=1024
    ),
    max_answer_mb: float | None = typer.Option(
        None, help="Largest answer of a provider, in MiB; SOFTLAUNCH_MAX_ANSWER_MB, else 64.", min=0.001, max=4096
    ),
    max_event_mb: float | None = typer.Option(
        None, help="Largest event of a stream, in MiB; SOFTLAUNCH_MAX_EVENT_MB, else 32.", min=0.001, max=1024
    ),
    cors_origin: list[str] | None = typer.Option(
        None, help="Origin whose web pages may call; may be repeated. SOFTLAUNCH_CORS_ORIGINS, else none."
    ),
    arm_header: bool | None = typer.Option(
        None,
        "--arm-header/--no-arm-header",
        help="Tell clients their arm in x-softlaunch-arm; SOFTLAUNCH_ARM_HEADER, else not.",
    ),
    log_level: str = typer.Option("info", help="critical, error, warning, info, debug or trace."),
) -> None:
    """Serve OpenAI-compatible requests.

    They are split between stable and candidate as the ledger says.
    """
    from softlaunch.gateway.cors import Cors, checked_origin
    from softlaunch.gateway.http.connections import parse_networks
    from softlaunch.gateway.server import GatewayOptions, serve
    from softlaunch.store.migrate import open_database

    settings = Settings()
    options = GatewayOptions(
        host=host or settings.gateway_host,
        port=settings.gateway_port if port is None else port,
        log_level=log_level,
        client_keys=_keys(settings.client_keys, "SOFTLAUNCH_CLIENT_KEYS", "serve anybody"),
        feedback_keys=_keys(settings.feedback_keys, "SOFTLAUNCH_FEEDBACK_KEYS", "let the key that asked rate"),
        rating_window_seconds=settings.feedback_hours * 3600,
        trusted_proxies=parse_networks(settings.gateway_trusted_proxies, "SOFTLAUNCH_GATEWAY_TRUSTED_PROXIES"),
        limits=_limits(
            settings,
            body_bytes=_bytes(max_body_mb, settings.max_body_mb),
            answer_bytes=_bytes(max_answer_mb, settings.max_answer_mb),
            event_bytes=_bytes(max_event_mb, settings.max_event_mb),
        ),
        home=settings.home,
        cors=Cors(tuple(checked_origin(one) for one in cors_origin or settings.cors_origins.split(",") if one.strip())),
        show_arm=settings.arm_header if arm_header is None else arm_header,
    )
    if options.host not in _LOCAL and not options.client_keys:
        errors.print("softlaunch: anybody who reaches this address may use your providers; set SOFTLAUNCH_CLIENT_KEYS")
    try:
        serve(open_database(settings.ledger_url), options)
    except OSError as error:
        raise SoftlaunchError(f"can't listen on {options.host}:{options.port}: {error.strerror}") from error


def _bytes(asked_mb: float | None, set_mb: float) -> int:
    return round((set_mb if asked_mb is None else asked_mb) * 1024 * 1024)


def _limits(settings: Settings, **sizes: int) -> "Limits":
    from softlaunch.gateway.limits import Limits

    return Limits(
        connections=settings.gateway_connections,
        connections_per_address=settings.gateway_connections_per_address,
        requests_bytes=settings.gateway_requests_mib * _MIB,
        answers_bytes=settings.gateway_answers_mib * _MIB,
        **sizes,
    )


def _keys(given: SecretStr | None, setting: str, unset: str) -> list[str]:
    if given is None:
        return []
    keys = [key.strip() for key in given.get_secret_value().split(",")]
    if not all(keys):
        raise SoftlaunchError(f"{setting} is set but holds an empty key; write key1,key2, or unset it to {unset}")
    return keys
