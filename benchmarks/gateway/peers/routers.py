"""Routers for inference servers, from PyPI: vllm-router and smg.

Both read a chat completion and write it anew, and ask each server for its health before they send it anything.
"""

from pathlib import Path

from benchmarks.gateway import processes
from benchmarks.gateway.peers.peer import IDLE_SECONDS, Peer


class _Router(Peer):
    def _route(self, *program: str | Path) -> None:
        """Start it in front of two servers, to which it sends requests in turn."""
        self._run(
            *program, "--worker-urls", *(f"http://127.0.0.1:{port}" for port in self.place.provider_ports),
            "--policy", "round_robin", "--host", "127.0.0.1", "--port", str(self.port),
            "--prometheus-host", "127.0.0.1", "--prometheus-port", str(processes.free_port()), "--log-level", "error",
        )  # fmt: skip


class VllmRouter(_Router):
    """vLLM's router (Rust). It asks for `/health` at the start, and then every minute."""

    name = "vllm-router"
    note = "two servers in turn, request parsed and written anew, no log"

    def start(self) -> None:
        """Start the command."""
        self._route(self._tool("vllm-router", "vllm-router"))


class Smg(_Router):
    """The Shepherd Model Gateway (Rust), which came out of SGLang's router.

    It asks for `/health`, `/v1/models`, `/version` and `/server_info` at the start, and might ask for their load later.
    """

    name = "smg"
    note = "two servers in turn, request parsed and written anew, no log, no history, loads not monitored"

    def start(self) -> None:
        """Start the command without a history of responses, and without reading what its servers have to do."""
        self._route(
            self._tool("smg", "smg"), "launch", "--history-backend", "none", "--disable-load-monitoring",
            "--idle-connection-timeout-secs", str(IDLE_SECONDS),
        )  # fmt: skip
