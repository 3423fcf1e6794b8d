"""The official `anthropic` client, wrapped, in the environment that has it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.config_server import APP, ConfigServer, described, route
from tests.support.paths import ROOT

pytestmark = pytest.mark.long
CLIENTS = ROOT / ".venv-clients" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


class _Messages(BaseHTTPRequestHandler):
    """Anthropic's API: an answer, whole or in events, or 500 where the system's text ends with `fail`."""

    protocol_version = "HTTP/1.1"
    bodies: list[dict[str, Any]]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.bodies.append(body)
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
        if body["system"].endswith("fail"):
            self._send(500, json.dumps({"type": "error", "error": {"type": "api_error", "message": "no"}}), "json")
        elif body.get("stream"):
            usage = {"input_tokens": 100, "output_tokens": 1}
            events: list[dict[str, Any]] = [
                {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "usage": usage}},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                *(
                    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
                    for word in ("I am ", "Claude.")
                ),
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 10}},
                {"type": "message_stop"},
            ]
            text = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)
            self._send(200, text, "event-stream")
        else:
            content = [{"type": "text", "text": "I am Claude."}]
            usage = {"input_tokens": 100, "output_tokens": 10}
            self._send(
                200, json.dumps({**message, "content": content, "stop_reason": "end_turn", "usage": usage}), "json"
            )

    def _send(self, status: int, text: str, kind: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{'text' if kind == 'event-stream' else 'application'}/{kind}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def running_messages(bodies: list[dict[str, Any]]) -> Iterator[str]:
    """The API, at its base URL without `/v1`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Messages", (_Messages,), {"bodies": bodies}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_client_is_answered_by_the_variant(server: ConfigServer) -> None:
    """Whole, streamed, asynchronous and failed: model, prompt and limits of the variant, and a record of each."""
    if not (CLIENTS / "anthropic").is_dir():
        pytest.skip("the environment with anthropic is missing, or is of another Python: see CONTRIBUTING.md")
    bodies: list[dict[str, Any]] = []
    with running_messages(bodies) as url:
        server.apps = {APP: route(stable=described("claude", endpoint=f"{url}/v1"))}
        command = [sys.executable, "-m", "tests.client.anthropic_program", str(CLIENTS), server.url, url]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["I am Claude."] * 3 + [500]
    assert {(body["model"], body["temperature"], body["max_tokens"]) for body in bodies} == {("claude", 0.2, 64)}
    assert [body["system"] for body in bodies] == ["You help everybody."] * 3 + ["You help everybody.\n\nfail"]
    outcomes = [(one["unit"], one["outcome"], one["output_tokens"]) for one in server.records]
    assert outcomes == [*[("ann", "answered", 10)] * 3, ("ann", "provider_failed", None)]
