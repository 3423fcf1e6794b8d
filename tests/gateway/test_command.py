"""`softlaunch gateway` as a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import typer
from sqlalchemy import text
from typer.testing import CliRunner

from softlaunch.cli.gateway import register
from softlaunch.core.errors import SoftlaunchError
from softlaunch.store.migrate import open_database
from tests.support.servers import wait_until

pytestmark = pytest.mark.long

_SCRIPT = "import typer; from softlaunch.cli.gateway import register; app = typer.Typer(); register(app); app()"
COMMAND = [sys.executable, "-c", _SCRIPT]


def environment(home: Path) -> dict[str, str]:
    """The environment of an installation in this folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SOFTLAUNCH_")}
    return {**kept, "SOFTLAUNCH_HOME": str(home)}


@pytest.fixture
def process(migrated_file: Path, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The command, listening on a free port."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    started = subprocess.Popen(
        [*COMMAND, "--port", "0", "--log-level", "warning"], env=environment(tmp_path), stderr=subprocess.PIPE
    )
    yield started
    started.kill()
    started.wait()
    assert started.stderr is not None
    started.stderr.close()


def test_it_serves_until_it_is_told_to_stop(process: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    """It says in the ledger where it listens, answers there, and stops cleanly on SIGTERM."""
    database = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")

    def address() -> str | None:
        with database.read() as session:
            return session.execute(text("select address from gateways")).scalar()

    wait_until(lambda: address() is not None, "the gateway is in the ledger")
    assert httpx.get(f"{address()}/healthz", verify=False).json()["status"] == "ok"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) in {0, -signal.SIGTERM}
    database.close()


def test_settings_reach_the_gateway(migrated_file: Path, tmp_path: Path) -> None:
    """Options and variables bound bodies, and say which web pages may call."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    variables = {**environment(tmp_path), "SOFTLAUNCH_MAX_BODY_MB": "0.001"}
    options = ["--port", "0", "--cors-origin", "https://chat.example.com", "--log-level", "warning"]
    started = subprocess.Popen([*COMMAND, *options], env=variables)
    database = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    try:

        def address() -> str | None:
            with database.read() as session:
                return session.execute(text("select address from gateways")).scalar()

        wait_until(lambda: address() is not None, "the gateway is in the ledger")
        refused = httpx.post(
            f"{address()}/v1/chat/completions",
            content=b"x" * 1100,
            headers={"Origin": "https://chat.example.com"},
            verify=False,
        )
    finally:
        started.kill()
        started.wait()
        database.close()
    assert (refused.status_code, "larger than 1049 bytes" in refused.text) == (413, True)
    assert refused.headers["access-control-allow-origin"] == "https://chat.example.com"


def test_it_does_not_need_prefect() -> None:
    """Traffic must go on where Prefect is down or not installed."""
    script = (
        "import sys; sys.modules['prefect'] = None\n"
        "import softlaunch.cli.gateway, softlaunch.gateway.server\n"
        "assert not [name for name in sys.modules if name.startswith('prefect.')]"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        pytest.param([], {"SOFTLAUNCH_CLIENT_KEYS": " ,"}, "holds an empty key", id="keys that are none"),
        pytest.param(["--cors-origin", "chat.example.com"], {}, "is no origin", id="an origin without its scheme"),
        pytest.param([], {"SOFTLAUNCH_FEEDBACK_KEYS": "a,"}, "let the key that asked rate", id="half a list of keys"),
        pytest.param(
            [], {"SOFTLAUNCH_GATEWAY_TRUSTED_PROXIES": "proxy"}, "such as 10.0.0.7", id="a proxy that is no address"
        ),
        pytest.param(["--host", "192.0.2.1"], {}, "can't listen on 192.0.2.1", id="an address of somebody else"),
    ],
)
def test_what_keeps_it_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], variables: dict[str, str], says: str
) -> None:
    """The message says what to change."""
    monkeypatch.setenv("SOFTLAUNCH_HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    app = typer.Typer()
    register(app)
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, SoftlaunchError)
    assert says in str(error)
