"""What every command that serves applications takes from the settings, and how it says where it is."""

import os
from typing import TYPE_CHECKING

from pydantic import SecretStr

from softlaunch.cli.output import errors
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings

if TYPE_CHECKING:
    from softlaunch.gateway.limits import Limits
    from softlaunch.policy.route import Route

LOCAL = ("127.0.0.1", "::1", "localhost")
"""Addresses that nobody else reaches."""
_MIB = 1024 * 1024


def say(text: str) -> None:
    """One line of what a server says before it serves, on the error stream and in one piece."""
    errors.print(text, markup=False, highlight=False, soft_wrap=True)


def say_lacking_keys(route: "Route") -> None:
    """Say which keys this process lacks to ask the models of an app."""
    from softlaunch.core.endpoint import MissingKeyError, model_headers

    for model in (route.stable.model, *route.stable.fallbacks):
        try:
            model_headers(model, os.environ)
        except MissingKeyError as error:
            say(f"lacks    {error.variable}, the key of model {model.name}: {route.app} can't be answered; set it here")


def client_keys(settings: Settings) -> list[str]:
    """Keys that clients must present; none where anybody may ask. Raises SoftlaunchError."""
    return _keys(settings.client_keys, "SOFTLAUNCH_CLIENT_KEYS", "serve anybody")


def feedback_keys(settings: Settings) -> list[str]:
    """Keys that alone may rate; none where the key that asked may. Raises SoftlaunchError."""
    return _keys(settings.feedback_keys, "SOFTLAUNCH_FEEDBACK_KEYS", "let the key that asked rate")


def config_keys(settings: Settings) -> list[str]:
    """Keys that alone read the configuration; none where those of clients do. Raises SoftlaunchError."""
    return _keys(settings.config_keys, "SOFTLAUNCH_CONFIG_KEYS", "let the keys of clients read the configuration")


def limits_of(settings: Settings) -> "Limits":
    """What one server bounds."""
    from softlaunch.gateway.limits import Limits

    return Limits(
        connections=settings.gateway_connections,
        connections_per_address=settings.gateway_connections_per_address,
        requests_bytes=settings.gateway_requests_mib * _MIB,
        answers_bytes=settings.gateway_answers_mib * _MIB,
        body_bytes=round(settings.max_body_mb * _MIB),
        answer_bytes=round(settings.max_answer_mb * _MIB),
        event_bytes=round(settings.max_event_mb * _MIB),
    )


def _keys(given: SecretStr | None, setting: str, unset: str) -> list[str]:
    if given is None:
        return []
    keys = [key.strip() for key in given.get_secret_value().split(",")]
    if not all(keys):
        raise SoftlaunchError(f"{setting} is set but holds an empty key; write key1,key2, or unset it to {unset}")
    return keys
