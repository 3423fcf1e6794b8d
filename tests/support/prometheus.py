"""A real Prometheus: on samples that a test dictates, or scraping what a test serves."""

import json
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.support.servers import wait_until

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="prometheus is not installed"
)


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Prometheus:
    """A server on a folder and a port of its own, which it keeps when it is killed and started again."""

    folder: Path
    targets: Sequence[str] = ()
    interval: str = "1s"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    path: str = "/metrics"
    """Where targets have their metrics."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        job = {"job_name": "app", "metrics_path": self.path, "static_configs": [{"targets": list(self.targets)}]}
        scraped = [job] if self.targets else []
        every = {"scrape_interval": self.interval, "scrape_timeout": self.interval}
        config = self.folder / "prometheus.yml"
        config.write_text(json.dumps({"global": every, "scrape_configs": scraped}))  # JSON is YAML too
        self.process = subprocess.Popen(
            [
                *(shutil.which("prometheus") or "prometheus", f"--config.file={config}", "--log.level=error"),
                *(f"--storage.tsdb.path={self.folder / 'data'}", "--storage.tsdb.retention.time=100y"),
                f"--web.listen-address=127.0.0.1:{self.port}",
            ]
        )
        wait_until(self._answers, "Prometheus answers")

    def kill(self) -> None:
        """Kill it at once; what it has scraped stays in its folder."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready").is_success
        except httpx.HTTPError:
            return False


@contextmanager
def scraping(*targets: str, interval: str = "1s") -> Iterator[Prometheus]:
    """A server that scrapes these addresses."""
    with tempfile.TemporaryDirectory() as folder:
        server = Prometheus(Path(folder), targets, interval)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def holding(openmetrics: str) -> Iterator[Prometheus]:
    """A server that holds samples which a test wrote in the OpenMetrics format, with their times."""
    with tempfile.TemporaryDirectory() as folder:
        server = Prometheus(Path(folder))
        written = Path(folder) / "samples.txt"
        written.write_text(openmetrics)
        blocks = ["tsdb", "create-blocks-from", "openmetrics", str(written), str(server.folder / "data")]
        made = subprocess.run(
            [shutil.which("promtool") or "promtool", *blocks], capture_output=True, text=True, check=False
        )
        assert not made.returncode, made.stderr
        server.start()
        try:
            yield server
        finally:
            server.kill()
