"""Where one machine is outgrown: Prefect and ledger on PostgreSQL, two gateways, a server that wants a password."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import psycopg
import pytest
import yaml
from sqlalchemy import make_url

from softlaunch.simulator.cases import Case
from tests.end_to_end.postgres import running_postgres
from tests.support.deployed import (
    PATIENCE,
    Environment,
    environment_of,
    prefect,
    running_prefect,
    running_worker,
    softlaunch,
)
from tests.support.paths import ROOT
from tests.support.providers import quick_profile, running_provider
from tests.support.servers import running_gateway, wait_until
from tests.support.stage import APP, BRIEF, Installation, installation, write_app

pytestmark = [pytest.mark.prefect, pytest.mark.long, pytest.mark.timeout(900)]

CASES = [Case(id=f"c{number}", question=f"What is {number} + 1?", expected=str(number + 1)) for number in range(200)]
PASSWORD = "admin:correct horse battery"
ORIGIN = "https://prefect.example.com"


@dataclass
class Site:
    """Two gateways on one ledger, and who may ask Prefect."""

    playing: Installation
    gateways: tuple[str, str]
    environment: Environment
    prefect_url: str
    folder: Path

    @property
    def anonymous(self) -> Environment:
        """Who knows no password."""
        return {key: value for key, value in self.environment.items() if key != "PREFECT_API_AUTH_STRING"}

    def arms(self, count: int) -> list[list[str]]:
        """The arm that answers each of so many users, at each gateway."""
        return [[_arm(gateway, f"u{number}") for number in range(count)] for gateway in self.gateways]


def _arm(gateway: str, user: str) -> str:
    body = {"model": APP, "user": user, "messages": [{"role": "user", "content": CASES[0].question}]}
    return (
        httpx.post(f"{gateway}/v1/chat/completions", json=body, timeout=20)
        .raise_for_status()
        .headers["x-softlaunch-arm"]
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """PostgreSQL for both, a Prefect server with a password, against forged requests, and for one origin.

    Evals are made in two shards, on a Dask cluster that the flow starts.
    """
    with running_postgres("prefect", "softlaunch") as urls:
        yield from _site(tmp_path_factory, urls["prefect"], urls["softlaunch"])


def _site(tmp_path_factory: pytest.TempPathFactory, prefect_url: str, ledger_url: str) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    asynchronous = make_url(prefect_url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    settings = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": asynchronous,
        "PREFECT_SERVER_API_AUTH_STRING": PASSWORD,
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ORIGIN,
        "PREFECT_API_AUTH_STRING": PASSWORD,
    }
    golden = [{"id": case.id, "question": case.question, "expected": case.expected} for case in CASES]
    with ExitStack() as stack:
        open_to_all = stack.enter_context(running_prefect(tmp_path_factory.mktemp("prefect"), **settings))
        known = {**open_to_all, "PREFECT_API_AUTH_STRING": PASSWORD, "SOFTLAUNCH_EVAL_SHARDS": "2"}
        environment = environment_of(known, folder, ledger_url)
        provider = stack.enter_context(running_provider(CASES, [quick_profile(name) for name in ("first", "second")]))
        softlaunch(environment, "release", "list", "--json")  # migrates the ledger
        write_app(folder / "app", provider.endpoint, ["first", "second"], golden, BRIEF)
        with_driver = make_url(ledger_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        playing = stack.enter_context(installation(folder / "app", with_driver, provider, CASES, rate_rps=40))
        second = stack.enter_context(running_gateway(ledger_url))
        softlaunch(environment, "deploy")
        yield Site(playing, (playing.gateway_url, second), environment, prefect_url, folder)


def test_a_server_with_a_password_refuses_who_has_none(site: Site) -> None:
    """Neither a request nor our command gets in without it; the command says which variable is missing."""
    api = site.environment["PREFECT_API_URL"]
    assert httpx.get(f"{api}/admin/settings").status_code == 401
    command = ["-m", "softlaunch.cli", "deploy"]
    done = subprocess.run(
        [sys.executable, *command], env=site.anonymous, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "set PREFECT_API_AUTH_STRING" in " ".join(done.stderr.split())
    assert PASSWORD not in done.stdout + done.stderr


def test_a_page_of_somebody_else_can_not_use_the_server(site: Site) -> None:
    """A change without a token is refused even with the password, and a browser lets no other origin read."""
    api, user = site.environment["PREFECT_API_URL"], tuple(PASSWORD.split(":"))
    forged = httpx.post(f"{api}/flow_runs/filter", json={}, auth=(user[0], user[1]))
    assert forged.status_code == 403
    assert _let_in(api, "https://evil.example.com") is None
    assert _let_in(api, ORIGIN) == ORIGIN


def _let_in(api: str, origin: str) -> str | None:
    """The origin that a browser is told may read, when a page of this one asks."""
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{api}/flow_runs/filter", headers=asked)
    let_in: str | None = answer.headers.get("access-control-allow-origin")
    return let_in


def test_a_release_goes_all_the_way_on_postgresql(site: Site) -> None:
    """Deployed, started and followed with the password, its eval in shards; Prefect's tables are in PostgreSQL."""
    with running_worker(site.environment, site.folder):
        said = softlaunch(site.environment, "release", "start", APP, "--model", "second", "--json")
    assert orjson.loads(said)["state"] == "promoted"
    with psycopg.connect(site.prefect_url) as connection:
        runs = [name for (name,) in connection.execute("SELECT name FROM flow_run")]
        tasks = [name for (name,) in connection.execute("SELECT name FROM task_run WHERE state_type = 'COMPLETED'")]
    assert any(name.startswith(f"{APP}: first -> second") for name in runs)
    assert {f"Ask the models of {APP}, shard {number} of 2" for number in (1, 2)} <= set(tasks)


@pytest.mark.soak
def test_gateways_on_one_ledger_serve_alike(site: Site) -> None:
    """A user meets the same arm at each; with worker and flow killed both return to stable, and both follow."""
    held = {"weight_percent": 50, "minimum_time": "10 min", "minimum_requests": 20, "deadline": "20 min"}
    policy = site.folder / "app" / "held.yaml"
    policy.write_text(yaml.safe_dump({**BRIEF, "stages": [held, *BRIEF["stages"]]}), encoding="utf-8")
    changes = {"sampling": {"temperature": 0.5}}
    asked = orjson.dumps({"request": {"app": APP, "changes": changes, "policy_file": str(policy)}}).decode()
    with running_worker({**site.environment, "SOFTLAUNCH_EVAL_SHARDS": "1"}, site.folder):
        prefect(site.environment, "deployment", "run", "release/release", "--params", asked)
        wait_until(lambda: all("candidate" in arms for arms in site.arms(20)), "both serve the candidate", PATIENCE)
        first, second = site.arms(60)
    assert first == second
    assert {"stable", "candidate"} == set(first)
    wait_until(lambda: {arm for arms in site.arms(20) for arm in arms} == {"stable"}, "stable alone serves", 30)
    said = orjson.loads(softlaunch(site.environment, "rollback", APP, "--reason", "nobody watches", "--json"))
    assert (said["state"], said["gateways"], said["gateways_following"]) == ("rolled_back", 2, 2)
    assert site.playing.traffic.tally.failures == 0
