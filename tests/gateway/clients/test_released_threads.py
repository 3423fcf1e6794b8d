"""Threads of Responses over real releases: they stay where they began, or end in words where the policy says so."""

import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import openai
import pytest

from softlaunch.policy.units import OldThreads
from tests.gateway.clients.released_apps import KEY, PROMOTED, ROLLED_BACK, ReleasedApps, model_of, released_apps
from tests.support.servers import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
APPS = (f"responses-{PROMOTED}", f"responses-{ROLLED_BACK}")


@dataclass
class Threads:
    """Threads that a user began with each app, by the arm that they began on: the ids of their last responses."""

    client: openai.OpenAI
    begun: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def begin(self, app: str, user: str) -> None:
        """Begin a thread."""
        response = self.client.responses.create(model=app, input="Hi", user=user)
        self.begun[app, response.model.partition("/")[2]].append(response.id)

    def begin_some(self, over: threading.Event) -> None:
        """Begin one after the other with each app until the releases are over."""
        number = 0
        while not over.is_set():
            number += 1
            for app in APPS:
                self.begin(app, f"user-{number}")

    def go_on(self, app: str, arm: str) -> set[str]:
        """Who answers when three threads that began on an arm go on, or the code of the error."""
        return {self._go_on(app, known) for known in self.begun[app, arm][:3]}

    def _go_on(self, app: str, known: str) -> str:
        try:
            return self.client.responses.create(model=app, input="More", previous_response_id=known).model
        except openai.APIStatusError as error:
            return f"{error.status_code} {error.code}"


@pytest.fixture(scope="module", params=[OldThreads.CONTINUE, OldThreads.END])
def released(
    migrated_file: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[OldThreads, Threads]]:
    """Threads that began on both arms of both apps, once one was promoted and the other rolled back."""
    database_url = f"sqlite:///{shutil.copy(migrated_file, tmp_path_factory.mktemp('threads') / 'ledger.db')}"
    with released_apps(database_url, APPS, request.param) as apps:
        threads = Threads(openai.OpenAI(base_url=f"{apps.url}/v1", api_key=KEY, max_retries=0))
        release(apps, threads)
        yield request.param, threads
        threads.client.close()


def release(apps: ReleasedApps, threads: Threads) -> None:
    """Begin threads before the releases and while they go on."""
    for app in APPS:
        for number in range(3):
            threads.begin(app, f"early-{number}")
    with apps.releases() as releases:
        coming = threading.Thread(target=threads.begin_some, args=(apps.over,))
        coming.start()
        try:
            wait_until(lambda: all(threads.begun[app, "candidate"] for app in APPS), "each candidate is met", 60)
            threads_go_on_under_way(threads)
            apps.harm()
            apps.await_end(releases)
        finally:
            apps.over.set()
            coming.join()


def threads_go_on_under_way(threads: Threads) -> None:
    """While a release goes on, a thread stays with its arm whatever the policy says."""
    for app in APPS:
        for arm in ("stable", "candidate"):
            assert threads.go_on(app, arm) == {model_of(app, arm)}


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("arm", ["stable", "candidate"])
def test_a_thread_after_its_release(released: tuple[OldThreads, Threads], app: str, arm: str) -> None:
    """It goes on where it began; where that serves no more, it ends with an error if the policy says so."""
    policy, threads = released
    winner = "candidate" if app.endswith(PROMOTED) else "stable"
    ended = policy is OldThreads.END and arm != winner
    assert threads.go_on(app, arm) == {"409 thread_ended" if ended else model_of(app, arm)}
