"""`softlaunch envoy config`: a bootstrap that Envoy takes."""

import socket
import subprocess
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from softlaunch.cli.main import build
from softlaunch.core.errors import SoftlaunchError
from softlaunch.store.database import Database
from tests.support.builders import APP, record_app
from tests.support.envoy import envoy_path, needs_envoy, record_routed, routed_policy


@pytest.fixture
def routed(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app in a ledger, and the folder of its routes."""
    policy = routed_policy("https://bot.example.com/v1", "http://127.0.0.1:2", router={"rewrite": True})
    record_routed(database, policy)
    monkeypatch.setenv("SOFTLAUNCH_DATABASE_URL", database.url.render_as_string(hide_password=False))
    return tmp_path / "routes"


def configuration(routed: Path, *more: str) -> bytes:
    """What the command prints."""
    result = CliRunner().invoke(build(), ["envoy", "config", APP, "--routes", str(routed), *more])
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


def test_a_bootstrap_says_where_everything_is(routed: Path) -> None:
    """Listener, admin page and control plane are where they were asked for; the routes are there at once."""
    places = ("--listen", "0.0.0.0:8080", "--control", "control:1234", "--processor", "bodies:1235", "--ca", "/ca.pem")
    made = orjson.loads(configuration(routed, *places))
    listener = made["static_resources"]["listeners"][0]["address"]["socket_address"]
    assert (listener["address"], listener["port_value"]) == ("0.0.0.0", 8080)
    spoken = {one["name"]: one["load_assignment"] for one in made["static_resources"]["clusters"]}
    assert "1234" in str(spoken["softlaunch-control"])
    assert "1235" in str(spoken["softlaunch-processor"])
    assert "443" in str(spoken[f"softlaunch-{APP}-stable"])
    arms = {one["name"]: one.get("transport_socket") for one in made["static_resources"]["clusters"]}
    assert arms[f"softlaunch-{APP}-candidate"] is None
    assert "/ca.pem" in str(arms[f"softlaunch-{APP}-stable"])
    routes = orjson.loads((routed / f"{APP}.json").read_bytes())
    assert routes["resources"][0]["name"] == f"softlaunch.{APP}"


def test_several_control_planes_are_named_each(routed: Path) -> None:
    """Both are in one cluster, so that an Envoy goes to the next one where it loses one."""
    made = orjson.loads(configuration(routed, "--control", "one:1234", "--control", "two:1234"))
    spoken = {one["name"]: one["load_assignment"] for one in made["static_resources"]["clusters"]}
    places = [one["endpoint"]["address"] for one in spoken["softlaunch-control"]["endpoints"][0]["lb_endpoints"]]
    assert [place["socket_address"]["address"] for place in places] == ["one", "two"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(("nobody",), f"there is no app nobody in this ledger (it has {APP})", id="no such app"),
        pytest.param((APP, "--admin", "a:65536"), "--admin is 'a:65536'; expected an address", id="no port"),
        pytest.param((APP, "--listen", "8080"), "--listen is '8080'; expected an address and a port", id="no address"),
    ],
)
def test_mistakes_are_said(routed: Path, arguments: tuple[str, ...], complaint: str) -> None:
    """What is wrong, and what was expected."""
    result = CliRunner().invoke(build(), ["envoy", "config", *arguments, "--routes", str(routed)])
    assert complaint in str(result.exception)


def test_an_app_without_a_router_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is the policy in the ledger, which may not be the one in the file."""
    record_app(database)
    monkeypatch.setenv("SOFTLAUNCH_DATABASE_URL", database.url.render_as_string(hide_password=False))
    result = CliRunner().invoke(build(), ["envoy", "config", APP])
    assert "into it, then softlaunch apply" in str(result.exception)


def test_a_port_that_is_taken_is_said(routed: Path) -> None:
    """In one sentence with what to do, for each of the two ports."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for option in ("--port", "--health-port"):
            free = ("--health-port", "0") if option == "--port" else ("--port", "0")
            command = ["envoy", "control", "--routes", str(routed), option, port, *free]
            result = CliRunner().invoke(build(), command)
            assert isinstance(result.exception, SoftlaunchError)
            assert f"can't listen on 127.0.0.1:{port}" in str(result.exception)
            assert "choose another" in str(result.exception)
            assert option in str(result.exception)


@needs_envoy
@pytest.mark.long
def test_envoy_takes_the_bootstrap(routed: Path, tmp_path: Path) -> None:
    """Its own check finds nothing to complain of."""
    file = tmp_path / "envoy.json"
    file.write_bytes(configuration(routed))
    checked = subprocess.run(
        [envoy_path() or "envoy", "--mode", "validate", "-c", str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr[-2000:]
