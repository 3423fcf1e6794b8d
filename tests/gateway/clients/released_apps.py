"""Apps with real releases that go on beside conversations: one of each API is promoted, another rolled back."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from softlaunch.ledger.releases import Opening, read_release
from softlaunch.policy.model import Policy
from softlaunch.policy.units import OldThreads
from softlaunch.store.database import Database
from tests.end_to_end.models_of_arms import await_canaries, drive_all, open_now, record, running
from tests.gateway.clients.tool_provider import PATHS, ToolProvider
from tests.support.servers import running_gateway, wait_until

KEY = "sk-ours"
PROMOTED, ROLLED_BACK = "promoted", "rolled-back"
APPS = [f"{api}-{end}" for api in PATHS for end in (PROMOTED, ROLLED_BACK)]
_LONGEST_SECONDS = 200.0


def policy_of(app: str, threads: OldThreads) -> Policy:
    """Two quick stages; one that lasts where only harm is to end it."""
    minimum = "1 s" if app.endswith(PROMOTED) else "10 min"
    stage: dict[str, Any] = {
        "weight_percent": 50,
        "minimum_time": minimum,
        "minimum_requests": 20,
        "deadline": "20 min",
    }
    return Policy.model_validate(
        {
            "app": app,
            "eval": {"golden_set": "golden.jsonl"},
            "shadow": None,
            "stages": [stage, {**stage, "weight_percent": 100}],
            "gates": [{"metric": "errors", "margin": "30 points"}],
            "gateway": {"breaker": {"minimum_requests": 5}},
            "unit": {"threads": threads},
        }
    )


@dataclass
class ReleasedApps:
    """The apps behind one gateway, which serve stable alone. `over` is for those who talk until all releases ended."""

    database: Database
    provider: ToolProvider
    url: str
    openings: Mapping[str, Opening]
    over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def releases(self) -> Iterator[dict[str, str]]:
        """A release of each app, driven while the block works; every candidate is with users when it begins."""
        ended = threading.Event()
        releases = {app: open_now(self.database, opening) for app, opening in self.openings.items()}
        driving = threading.Thread(target=drive_all, args=(self.database, list(releases.values()), ended))
        driving.start()
        try:
            await_canaries(self.database, releases)
            yield releases
        finally:
            ended.set()
            driving.join()

    def harm(self) -> None:
        """From now on the candidates that are to be rolled back fail."""
        self.provider.failing |= {model_of(app, "candidate") for app in self.openings if app.endswith(ROLLED_BACK)}

    def state(self, release: str) -> str:
        """How far a release is."""
        with self.database.read() as session:
            return read_release(session, release).state.value

    def await_end(self, releases: dict[str, str]) -> None:
        """Wait until each release has ended as its app's name says, and the gateway acts by it."""
        ends = {PROMOTED: "promoted", ROLLED_BACK: "rolled_back"}

        def ended(app: str) -> bool:
            return self.state(releases[app]) == ends[app.partition("-")[2]]

        wait_until(lambda: all(map(ended, releases)), "each release ends as it should", _LONGEST_SECONDS)
        wait_until(lambda: all(map(self._serves, releases)), "the gateway serves what was decided")

    def _serves(self, app: str) -> bool:
        path = PATHS[app.partition("-")[0]]
        asked = [{"role": "user", "content": "Hi"}]
        body = {"model": app, "messages": asked, "input": asked, "max_tokens": 10}
        answer = httpx.post(f"{self.url}{path}", json=body, headers={"Authorization": f"Bearer {KEY}"}, verify=False)
        winner = model_of(app, "candidate" if app.endswith(PROMOTED) else "stable")
        return (answer.json()["model"], answer.headers["x-softlaunch-arm"]) == (winner, "stable")


def model_of(app: str, arm: str) -> str:
    """The model of an app's arm, as its answers name it."""
    return f"{app}/{arm}"


@contextmanager
def released_apps(
    database_url: str, names: Sequence[str] = APPS, threads: OldThreads = OldThreads.CONTINUE
) -> Iterator[ReleasedApps]:
    """The apps, a fake provider, and a gateway with a key."""
    provider = ToolProvider()
    database = Database(database_url)
    with running(provider.answer, list(PATHS.values())) as endpoint:
        openings = {app: record(database, endpoint, policy_of(app, threads)) for app in names}
        with running_gateway(database_url, client_keys=[KEY]) as url:
            yield ReleasedApps(database, provider, url, openings)
    database.close()
