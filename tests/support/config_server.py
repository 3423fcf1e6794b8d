"""A server that speaks the configuration's contract, whose every answer is on command."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

APP = "support-bot"


def content(
    model: str, endpoint: str = "http://127.0.0.1:1/v1", prompt: str = "You help {{ name }}."
) -> dict[str, Any]:
    """A variant's content as servers give it."""
    return {
        "prompt": {
            "name": "support",
            "version": "1.0.0",
            "messages": [{"role": "system", "content": prompt}],
            "defaults": {"name": "everybody"},
        },
        "model": {"name": model, "provider": "rehearsal", "model": model, "endpoint": endpoint},
        "sampling": {"temperature": 0.2, "top_p": None},
    }


def described(model: str, **fields: Any) -> dict[str, Any]:
    """A variant with its label and its digest."""
    return {"label": model, "digest": f"{model}-digest", "content": content(model, **fields)}


def route(weight_percent: float = 0.0, **fields: Any) -> dict[str, Any]:
    """An app's part of the configuration; with a weight there is a release."""
    live = {"release_id": "support-bot-1", "stage": 1, "candidate": described("candidate")} if weight_percent else {}
    return {
        "revision": 1,
        "salt": "pepper",
        "split": "softlaunch",
        "release_id": None,
        "stage": 0,
        "weight_percent": weight_percent,
        "shadow_percent": 0.0,
        "control_percent": 0.0,
        "lease_seconds": 10.0,
        "unit": {"source": "user", "header": "x-user-id", "redraw": None},
        "only": None,
        "texts_kept": False,
        "stable": described("stable"),
        "candidate": None,
        **live,
        **fields,
    }


@dataclass
class ConfigServer:
    """What it says, and what it was told. `lease_left` is told of every app; `status` in place of any answer."""

    url: str = ""
    apps: dict[str, dict[str, Any]] = field(default_factory=lambda: {APP: route()})
    ledger: str = "ledger"
    lease_left: float = 0.0
    status: int = 0
    slow_seconds: float = 0.0
    records: list[dict[str, Any]] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    feedback: list[dict[str, Any]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    not_yet: int = 0
    """So many pieces of feedback come before their row."""
    keys: set[str] = field(default_factory=set)
    polls: int = 0
    _version: int = 0

    def say(self, weight_percent: float = 0.0, **fields: Any) -> None:
        """Let the app's route change."""
        revision = self.apps[APP]["revision"] + 1
        self.apps = {APP: {**route(weight_percent, **fields), "revision": revision}}
        self._version += 1

    def etag(self) -> str:
        """What names what is said."""
        return f'"{self._version}-{self.ledger}"'

    def leases(self) -> dict[str, float]:
        """What is left of each lease."""
        return {name: self.lease_left for name, one in self.apps.items() if one["candidate"]}

    @property
    def ids(self) -> list[str]:
        """The records that count: each id once."""
        return list(dict.fromkeys(record["id"] for record in self.records))


@contextmanager
def running_config_server(port: int = 0) -> Iterator[ConfigServer]:
    """A server on a free port, or on one that was used before."""
    told = ConfigServer()
    server = _Server(("127.0.0.1", port), _Handler)
    server.daemon_threads = True
    server.told = told
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        server.is_over = True
        thread.join()


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    told: ConfigServer
    is_over = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed leave in the midst."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        """The configuration, or as soon as it changes."""
        told = self.server.told
        told.polls += 1
        told.keys.add(self.headers.get("Authorization", ""))
        query = parse_qs(urlsplit(self.path).query)
        deadline = time.monotonic() + float(query.get("wait", ["0"])[0])
        asked = self.headers.get("If-None-Match")
        while asked == told.etag() and time.monotonic() < deadline and not (self.server.is_over or told.status):
            time.sleep(0.01)
        time.sleep(told.slow_seconds)
        if self.server.is_over:
            self.close_connection = True
        elif told.status:
            self._send(told.status, {})
        elif asked == told.etag():
            self._send(304, None)
        else:
            apps = {name: told.apps[name] for name in query["app"] if name in told.apps}
            said = {name: {**one, "lease_left_seconds": told.lease_left} for name, one in apps.items()}
            self._send(200, {"format": 1, "ledger": told.ledger, "apps": said})

    def do_POST(self) -> None:
        """Records or feedback."""
        told = self.server.told
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.is_over:
            self.close_connection = True
        elif told.status:
            self._send(told.status, {})
        elif self.path.endswith("/records"):
            told.records += body["records"]
            told.lost += Counter({report["app"]: report["count"] for report in body.get("lost", [])})
            refused = [
                {"id": one["id"], "why": told.refuses[one["unit"]]}
                for one in body["records"]
                if one["unit"] in told.refuses
            ]
            self._send(200, {"taken": len(body["records"]) - len(refused), "known": 0, "refused": refused})
        else:
            self._hear(body["feedback"])

    def _hear(self, pieces: list[dict[str, Any]]) -> None:
        told, refused = self.server.told, []
        for place, piece in enumerate(pieces):
            if told.not_yet > 0:
                told.not_yet -= 1
                refused.append({"at": place, "status": 503, "code": "feedback_not_checked", "message": "not yet"})
            else:
                told.feedback.append(piece)
        self._send(200, {"accepted": len(pieces) - len(refused), "known": 0, "refused": refused})

    def _send(self, status: int, document: object) -> None:
        content = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", self.server.told.etag())
        self.send_header("x-softlaunch-lease-left", json.dumps(self.server.told.leases()))
        self.end_headers()
        self.wfile.write(content)
