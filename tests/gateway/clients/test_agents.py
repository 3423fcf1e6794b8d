"""Conversations with tools through the packages that people use, while releases are promoted and rolled back.

The packages are unmodified but for the base URL; the provider is a fake of ours (`tool_provider.py`).
"""

import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.gateway.clients.agent_programs import PACKAGES, Package, Program, Said
from tests.gateway.clients.agents.lines import Line
from tests.gateway.clients.released_apps import (
    KEY,
    PROMOTED,
    ROLLED_BACK,
    ReleasedApps,
    model_of,
    released_apps,
)
from tests.support.servers import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
ENDS = (PROMOTED, ROLLED_BACK)
_PAUSE_SECONDS = 0.3
"""Between the turns of a program, so that sixteen of them leave the machine to the gateway and the releases, too."""
each_package = pytest.mark.parametrize("package", PACKAGES, ids=[one.name for one in PACKAGES])
_THREADS = [one for one in PACKAGES if one.threads]
each_thread = pytest.mark.parametrize("package", _THREADS, ids=[one.name for one in _THREADS])


@dataclass
class Conversation:
    """What was said in a conversation, before its app's release, while it went on, and after it."""

    app: str
    begun: str
    said: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def all_said(self) -> list[str]:
        """Everything in order."""
        return [text for phase in ("before", "during", "after") for text in self.said[phase]]


@dataclass
class Talker:
    """A package's program on its way through the releases."""

    package: Package
    program: Program
    conversations: dict[str, Conversation] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _turns: int = 0

    def talk(self, phase: str, end: str, name: str) -> str:
        """A turn of the named conversation, every other one streamed."""
        app = f"{self.package.api}-{end}"
        self._turns += 1
        line = Line(app, f"{self.package.name} {name}", f"{app} {name}", stream=self._turns % 2 == 0)
        said: Said = self.program.turn(line)
        if said.failure is not None:
            self.failures.append(f"{phase}, {line}: {said.failure}")
        conversation = self.conversations.setdefault(line.conversation, Conversation(app, phase))
        conversation.said[phase].append(said.text)
        return said.text

    def before(self) -> None:
        """Begin two conversations with each app."""
        for end in ENDS:
            for name in ("old", "older"):
                self.talk("before", end, name)

    def during(self, over: threading.Event) -> None:
        """Begin one conversation after the other, and go on with the old ones, until the releases are over."""
        number = 0
        while not over.wait(_PAUSE_SECONDS):
            number += 1
            for end in ENDS:
                self.talk("during", end, f"number {number}")
                self.talk("during", end, f"number {number}")
                if number % 3 == 0:
                    self.talk("during", end, "old")

    def after(self) -> None:
        """Go on with the conversations, and begin others."""
        for end in ENDS:
            for name in ("old", "older", "number 1", "number 2", *self._of_candidate(end)[:2], "anew", "once more"):
                self.talk("after", end, name)

    def _of_candidate(self, end: str) -> list[str]:
        app = f"{self.package.api}-{end}"
        begun = (one for one, kept in self.conversations.items() if kept.app == app)
        names = [one for one in begun if arms_of(self.conversations[one])[:1] == ["candidate"]]
        return [one.removeprefix(f"{app} ") for one in names]

    @property
    def met_candidate(self) -> bool:
        """Whether a conversation of an app that will be rolled back began on its candidate."""
        return bool(self._of_candidate(ROLLED_BACK))

    def of(self, end: str, begun: str) -> list[Conversation]:
        """The conversations with one app that began in this phase."""
        app = f"{self.package.api}-{end}"
        return [one for one in self.conversations.values() if (one.app, one.begun) == (app, begun)]


def arms_of(conversation: Conversation) -> list[str]:
    """Who answered, turn by turn."""
    arms = {f"{model_of(conversation.app, arm)}: rain in Oslo": arm for arm in ("stable", "candidate")}
    return [arms.get(text, text) for text in conversation.all_said]


@pytest.fixture(scope="module")
def talkers(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Talker]]:
    """Each package's conversations, once all of the releases are over."""
    installed = [package for package in PACKAGES if not package.missing]
    folder = tmp_path_factory.mktemp("agents")
    database_url = f"sqlite:///{shutil.copy(migrated_file, folder / 'ledger.db')}"
    with released_apps(database_url) as apps, ExitStack() as stack:
        talking = {}
        for package in installed:
            program = Program(package, apps.url, KEY, folder / f"{package.program}-{package.api}.log")
            stack.callback(program.end)
            talking[package.name] = Talker(package, program)
        hold_conversations(apps, list(talking.values()))
        yield talking


def hold_conversations(apps: ReleasedApps, talkers: list[Talker]) -> None:
    """All packages at once: before, during and after the releases."""
    with ThreadPoolExecutor(len(talkers) or 1) as threads:
        list(threads.map(Talker.before, talkers))
        with apps.releases() as releases:
            going_on = [threads.submit(talker.during, apps.over) for talker in talkers]
            try:
                wait_until(lambda: all(one.met_candidate for one in talkers), "each package met each candidate", 150)
                apps.harm()
                apps.await_end(releases)
            finally:
                apps.over.set()
            for one in going_on:
                one.result()
        list(threads.map(Talker.after, talkers))


@pytest.fixture
def talker(package: Package, request: pytest.FixtureRequest) -> Talker:
    """What a package has been through, or a skip that says what to install."""
    if package.missing:
        pytest.skip(package.missing)
    talkers: dict[str, Talker] = request.getfixturevalue("talkers")
    return talkers[package.name]


@each_package
def test_no_user_sees_an_error(talker: Talker) -> None:
    """Every turn of every conversation is answered: by stable or by the candidate, with the tool's result."""
    assert talker.failures == []
    assert {arm for one in talker.conversations.values() for arm in arms_of(one)} == {"stable", "candidate"}


@each_package
def test_before_a_release_stable_answers(talker: Talker) -> None:
    """Nobody else does."""
    begun = [one for end in ENDS for one in talker.of(end, "before")]
    assert [one.said["before"] for one in begun] == [[f"{model_of(one.app, 'stable')}: rain in Oslo"] for one in begun]


@each_package
@pytest.mark.parametrize("end", ENDS)
def test_after_a_release_its_winner_answers(talker: Talker, end: str) -> None:
    """Conversations that begin are the winner's, and so are old ones, unless their provider keeps them."""
    winner = "candidate" if end == PROMOTED else "stable"
    assert [arms_of(one) for one in talker.of(end, "after")] == [[winner], [winner]]
    for one in talker.of(end, "before") + talker.of(end, "during"):
        arms = arms_of(one)
        last = arms[-len(one.said["after"]) :] if one.said["after"] else []
        assert set(last) <= {arms[0] if talker.package.threads else winner}


@each_thread
@pytest.mark.parametrize("end", ENDS)
def test_a_thread_stays_where_it_began(talker: Talker, end: str) -> None:
    """One that its provider keeps never moves: neither to a candidate, nor from one that serves no more."""
    threads = talker.of(end, "before") + talker.of(end, "during")
    assert all(len(set(arms_of(one))) == 1 for one in threads)
    gone_on = [one for one in threads if one.said["after"]]
    assert {arms_of(one)[-1] for one in gone_on} == {"stable", "candidate"}
