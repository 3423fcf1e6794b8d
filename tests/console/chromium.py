"""Pages of the console in a headless Chromium: served from a thread, watched for errors, checked for accessibility."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from playwright.sync_api import BrowserContext, Page

from softlaunch.console.server import build_app
from softlaunch.console.state import Console
from tests.support.paths import ROOT

AXE = ROOT / "tests" / "gateway" / "clients" / "node_modules" / "axe-core" / "axe.min.js"


@dataclass
class Seen:
    """What went on in the browser besides what a person saw."""

    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def watch(self, context: BrowserContext) -> None:
        """Take down every error of a page, and every host that was asked for anything."""
        context.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("request", lambda request: self.hosts.add(re.sub(r"^(\w+://[^/]+).*", r"\1", request.url)))


@contextmanager
def serving(console: Console) -> Iterator[str]:
    """The address of a console while it is served."""
    server = uvicorn.Server(uvicorn.Config(build_app(console), log_level="error", timeout_graceful_shutdown=1))
    console.live.is_stopping = lambda: server.should_exit
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


def check_with_axe(page: Page, place: str) -> None:
    """No violation of what axe-core can tell of accessibility, where `make clients` has installed it."""
    if not AXE.is_file():
        return
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then((found) => found.violations.map((one) => [one.id, one.nodes[0].html]))")
    assert found == [], place
