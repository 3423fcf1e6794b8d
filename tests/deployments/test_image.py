"""The image is built, and every service of `deployments/compose.yaml` runs in it as compose would run it.

What chroot can't show: that the kernel would refuse to write to a read-only root. It is shown by its files instead:
they belong to root, and none of them has changed when everything has run.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
import zstandard
from packaging.requirements import Requirement
from sqlalchemy import make_url

from tests.support.forwarding import forwarding
from tests.support.images import Builder, Container, build_image, builder, make_container, needs_builder
from tests.support.paths import ROOT
from tests.support.stacks import free_port

pytestmark = [pytest.mark.long, pytest.mark.postgres, pytest.mark.timeout(900)]

TAG = "localhost/softlaunch:test"
MOST_MB = 250
"""Of the whole image, packed as registries keep it; see docs/operations/kubernetes.md."""
COMPOSE = yaml.safe_load((ROOT / "deployments" / "compose.yaml").read_text(encoding="utf-8"))["services"]
LASTING = [name for name in COMPOSE if name not in {"postgres", "deploy"}]
FIRST = ("gateway", "prefect", "worker")
"""Those whose order matters; all others are started together."""
PORTS = ("4200", "4318", "8080", "8800", "8820", "8830", "18800", "18801", "18802", "18803")
BESIDES: Mapping[str, Sequence[str]] = {"reconcile": ["softlaunch", "reconcile", "--watch", "--every", "1"]}
"""Services that compose leaves out, which have no address."""
SECRETS = {
    "softlaunch_database_password": "unused",
    "prefect_auth": "anna:secret",
    "client_keys": "k",
    "provider_key": "k",
    "otlp_token": "k",
}


@pytest.fixture(scope="module")
def made() -> Iterator[Builder]:
    """A builder that has built the image."""
    needs_builder()
    with builder() as started:
        build_image(started, TAG)
        yield started


@pytest.fixture(scope="module")
def container(made: Builder) -> Container:
    """A container of it."""
    return make_container(made, TAG, SECRETS)


@dataclass
class Services:
    """Services that run in one container, with ports and addresses of this machine in the place of compose's."""

    container: Container
    ledger: str
    ports: Mapping[str, str] = field(default_factory=lambda: {port: str(free_port()) for port in PORTS})
    running: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    def here(self, text: str) -> str:
        """A text of compose's as it has to be here."""
        text = re.sub(r"postgresql://softlaunch@postgres/softlaunch", self.ledger, text)
        text = re.sub(r"//prefect:", "//127.0.0.1:", text)
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: self.ports[found[0]], text)

    def told(self, service: str) -> dict[str, str]:
        """The environment of a service. Prefect keeps its own database in a file."""
        given = COMPOSE.get(service, COMPOSE["gateway"])["environment"]
        kept = {name: self.here(value) for name, value in given.items() if "DATABASE" not in name or "SOFT" in name}
        ports = {"PREFECT_SERVER_API_PORT": self.ports["4200"], "PREFECT_WORKER_WEBSERVER_PORT": self.ports["8080"]}
        return {**kept, **ports, "PREFECT_API_URL": self.here("http://127.0.0.1:4200/api")}

    def command(self, service: str) -> list[str]:
        """How a service is started."""
        found: Sequence[str] = BESIDES[service] if service in BESIDES else COMPOSE[service]["command"]
        return [self.here(word) for word in found]

    def start(self, service: str) -> None:
        """Start a service."""
        self.running[service] = self.container.start(service, self.command(service), self.told(service))

    def await_well(self, service: str) -> None:
        """Wait until its own health check says that a service is well."""
        check, deadline = [self.here(word) for word in _health(service)], time.monotonic() + 300
        while self.container.run(check, self.told("evaluator")).returncode != 0:
            assert self.running[service].poll() is None, self.container.said(service)
            assert time.monotonic() < deadline, f"{service} isn't well: {self.container.said(service)}"
            time.sleep(3)  # a check is a process, which takes from the services what they need to start

    def stop(self, service: str) -> float:
        """Send SIGTERM to the program in the container, as an engine does; gives the seconds until it was gone."""
        process = self.running[service]
        began = time.monotonic()
        os.kill(_innermost(process.pid), signal.SIGTERM)
        process.wait(60)
        return time.monotonic() - began

    def how_it_ended(self, service: str) -> str:
        """By itself, by the signal after it had tidied up as uvicorn does, or otherwise."""
        if self.running[service].returncode == 0:
            return "by itself"
        said = self.container.said(service)
        return "by SIGTERM" if "subprocess exited on terminated" in said else said[-500:]


def _health(service: str) -> list[str]:
    """A service's health check, as compose has it."""
    if service in BESIDES:
        return ["true"]
    check: list[str] = COMPOSE[service]["healthcheck"]["test"]
    assert check[0] == "CMD"
    return check[1:]


def _innermost(pid: int) -> int:
    """The program that a command of buildah runs in the end; what runs it are buildah's own."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")  # any thread of a program in Go may have started it
    children = [child for path in tasks for child in path.read_text(encoding="utf-8").split()]
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return _innermost(int(children[0])) if b"buildah" in command.split(b"\0")[0] and children else pid


@contextmanager
def _services(container: Container, ledger: str) -> Iterator[Services]:
    services = Services(container, ledger)
    try:
        yield services
    finally:
        for process in services.running.values():
            if process.poll() is None:
                with suppress(OSError):
                    os.kill(_innermost(process.pid), signal.SIGKILL)
                process.wait(30)


@pytest.fixture(scope="module")
def ledger(make_postgres: Any) -> Iterator[str]:
    """An empty database, by an address that can be reached from a container."""
    url = make_url(make_postgres())
    with forwarding(f"{url.query['host']}/.s.PGSQL.5432") as port:
        yield f"postgresql://{url.username}@127.0.0.1:{port}/{url.database}"


def test_every_service_runs_in_the_image(container: Container, ledger: str) -> None:
    """Each is well by its own health check, beside the others on a ledger that the first one makes; SIGTERM ends it.

    None of them has written anywhere but where it may.
    """
    stamp = container.folder / "stamp"
    stamp.touch()
    with _services(container, ledger) as services:
        services.start("gateway")
        services.await_well("gateway")  # it has made the ledger
        for service in ("prefect", *(name for name in LASTING if name not in FIRST), *BESIDES):
            services.start(service)
        services.await_well("prefect")
        page = httpx.get(services.here("http://127.0.0.1:4200/"), follow_redirects=True, verify=False)
        assert "<html" in page.text, "Prefect's pages can't be written where they are to be"
        deployed = container.run(services.command("deploy"), services.told("deploy"))
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        services.start("worker")
        for service in (*LASTING, *BESIDES):
            services.await_well(service)
        took = {service: services.stop(service) for service in reversed(services.running)}
        ended = {service: services.how_it_ended(service) for service in services.running}
    assert set(ended) == {*LASTING, *BESIDES}
    assert set(ended.values()) <= {"by itself", "by SIGTERM"}, ended
    assert max(took.values()) < 30, took
    assert _changed(container.root, stamp) == []


def _changed(root: Path, stamp: Path) -> list[str]:
    """Files of a container that were written after a file; what buildah writes about the network is its own."""
    wanted = ["find", str(root), "-xdev", "-type", "f", "-cnewer", str(stamp)]
    found = subprocess.run(wanted, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for path in found if not path.endswith(("/etc/hosts", "/etc/resolv.conf", "/run/.containerenv"))]


def test_programs_run_as_a_user_who_owns_nothing(container: Container) -> None:
    """Neither the system nor softlaunch can be changed from inside, whatever a program is made to do."""
    who = container.run(["id", "-u"])
    assert who.stdout == "10001\n", who
    found = container.run(
        ["find", "/opt", "/usr", "/etc", "/bin", "/", "-maxdepth", "1", "-writable", "!", "-type", "l"]
    )
    assert set(found.stdout.split()) <= {"/tmp"}
    assert container.run(["find", "/opt/softlaunch", "-writable", "!", "-type", "l"]).stdout == ""


def test_what_is_left_out_is_not_missed(container: Container) -> None:
    """Replays read Parquet and CSV, and whatever flows, gateway and console import is there."""
    program = """
import importlib, pkgutil, io, softlaunch.flows, zstandard, pyarrow as pa
from pyarrow import csv, parquet, fs, dataset, compute
kept = io.BytesIO()
parquet.write_table(pa.table({"a": [1, 2]}), kept)
assert parquet.read_table(io.BytesIO(kept.getvalue())).to_pandas()["a"].sum() == 3
assert csv.read_csv(io.BytesIO(b"a\\n1\\n")).num_rows == 1
for module in pkgutil.walk_packages(softlaunch.flows.__path__, "softlaunch.flows."):
    importlib.import_module(module.name)
import softlaunch.forecast.replay.files, softlaunch.gateway.server, softlaunch.console.server
"""
    done = container.run(["python", "-c", program])
    assert done.returncode == 0, done.stderr


def test_the_image_is_small_enough(container: Container) -> None:
    """Its files, packed as a registry keeps them, and everything compiled, as nobody may write beside them later."""
    packing = zstandard.ZstdCompressor(level=3, threads=2).compressobj()
    packed = 0
    with subprocess.Popen(["tar", "-C", str(container.root), "-c", "."], stdout=subprocess.PIPE) as archive:
        assert archive.stdout is not None
        while part := archive.stdout.read(1 << 20):
            packed += len(packing.compress(part))
    packed += len(packing.flush())
    assert packed < MOST_MB * 1e6
    site = next(container.root.glob("opt/softlaunch/lib/python3*/site-packages"))
    uncompiled = [path for path in (site / "softlaunch" / "gateway").rglob("*.py") if not _compiled(path)]
    assert uncompiled == []


def _compiled(path: Path) -> bool:
    return any((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))


def test_the_image_has_its_bill_of_materials(container: Container) -> None:
    """It names each package that is installed with its version, and nothing else; the build validated it."""
    text = (container.root / "opt" / "softlaunch" / "softlaunch.cdx.json").read_text(encoding="utf-8")
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    named = {_plain(one["name"]): one["version"] for one in bill["components"]}
    listing = "from importlib.metadata import distributions as d; [print(f'{one.name}=={one.version}') for one in d()]"
    listed = container.run(["python", "-c", listing]).stdout.split()
    installed = {_plain(Requirement(line).name): line.partition("==")[2] for line in listed}
    assert {**installed, "softlaunch": ""} == {**named, "softlaunch": ""}
    assert named.keys() >= {"prefect", "sqlalchemy", "uvicorn"}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
