"""Settings of the environment, as shells, containers and people write them."""

import pytest

from softlaunch.cli.serving_options import client_keys
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings, SettingsError


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_what_is_blank_is_not_set(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`SOFTLAUNCH_GATEWAY_PORT=${PORT:-}` leaves the default."""
    for name in ("GATEWAY_PORT", "POLL_SECONDS", "ARM_HEADER", "GATEWAY_HOST"):
        monkeypatch.setenv(f"SOFTLAUNCH_{name}", blank)
    settings = Settings()
    assert (settings.gateway_port, settings.poll_seconds, settings.gateway_host) == (8800, 1.0, "127.0.0.1")
    assert settings.arm_header is False


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_secret_is_not_no_secret(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that got lost open no gateway, and a ledger's lost address begins no other ledger."""
    monkeypatch.setenv("SOFTLAUNCH_CLIENT_KEYS", blank)
    monkeypatch.setenv("SOFTLAUNCH_DATABASE_URL", blank)
    assert Settings().ledger_url == blank
    with pytest.raises(SoftlaunchError, match="SOFTLAUNCH_CLIENT_KEYS"):
        client_keys(Settings())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GATEWAY_PORT", "secret", "SOFTLAUNCH_GATEWAY_PORT: Input should be a valid integer"),
        ("OTLP_PORT", "99999", "SOFTLAUNCH_OTLP_PORT: Input should be less than or equal to 65535"),
        ("CONFIG_SERVER_PORT", "-1", "SOFTLAUNCH_CONFIG_SERVER_PORT: Input should be greater than or equal to 0"),
        ("METRIC_MEMORY_MB", "inf", "SOFTLAUNCH_METRIC_MEMORY_MB: Input should be a finite number"),
        ("FEEDBACK_HOURS", "nan", "SOFTLAUNCH_FEEDBACK_HOURS: Input should be"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, and what it should be, but not what it is: that may be a secret."""
    monkeypatch.setenv(f"SOFTLAUNCH_{name}", value)
    with pytest.raises(SettingsError) as caught:
        Settings()
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
