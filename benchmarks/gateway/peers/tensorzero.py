"""TensorZero."""

from benchmarks.gateway import processes
from benchmarks.gateway.load import Target
from benchmarks.gateway.peers.peer import PROVIDER_MODEL, SETTLE_SECONDS, Peer
from benchmarks.gateway.requests import RequestKind


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
model_name = "{PROVIDER_MODEL}"
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

    def wait(self, kind: RequestKind, events: int) -> None:
        """Learn its port first."""
        if self.process is None:
            raise RuntimeError("start it before waiting for it")
        url = self.folder / "url.txt"
        processes.wait_for(url.exists, self.process, self.folder, SETTLE_SECONDS)
        port = int(url.read_text().split(":")[2].split("/")[0])
        self.target = Target(port, "/openai/v1", "tensorzero::model_name::m")
        super().wait(kind, events)
