"""An evaluator that is killed while judges are being asked, and two that share the work: real processes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from softlaunch.store.database import Database
from tests.support.endpoints import Endpoint, Reply, running_endpoint
from tests.support.live_scene import LiveScene, live_policy, trust
from tests.support.servers import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ANSWERS, AT_ONCE = 60, 4


@pytest.fixture
def judge() -> Iterator[Endpoint]:
    """A judge that takes a while for each answer."""
    with running_endpoint() as endpoint:
        endpoint.behaviour = lambda *_: Reply("[[5]]", delay=0.3)
        yield endpoint


@pytest.fixture
def scene(database: Database, judge: Endpoint) -> LiveScene:
    """Answers that came just now; a claim of an evaluator that dies runs out after half a minute."""
    policy = live_policy(
        {"concurrency": AT_ONCE},
        eval={"golden_set": "golden.jsonl", "timeout": "1 s", "judge": {"models": ["judge"]}},
    )
    made = LiveScene.opened(database, judge, policy)
    trust(database)
    made.now = time.time()
    made.serve(["good"] * ANSWERS, seconds=0)
    return made


@contextmanager
def evaluator(scene: LiveScene) -> Iterator[subprocess.Popen[bytes]]:
    """`softlaunch evaluator` as a process of its own."""
    environment = {**os.environ, "SOFTLAUNCH_DATABASE_URL": scene.database.url.render_as_string(hide_password=False)}
    command = [sys.executable, "-m", "softlaunch.cli", "evaluator", "--every", "0.2"]
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def over(scene: LiveScene) -> bool:
    """Whether nothing waits any more; the gateway's log goes on meanwhile."""
    scene.now = time.time()
    scene.go(0)
    tally = scene.progress().tally
    return tally.over == ANSWERS


def asked(judge: Endpoint) -> Counter[str]:
    """How often the judge was asked about each answer."""
    return Counter(re.findall(r"question (\d+)", prompt)[0] for _, prompt in judge.order)


def test_nothing_is_judged_twice_when_an_evaluator_is_killed(scene: LiveScene, judge: Endpoint) -> None:
    """What it had claimed goes back, what it was asking is counted as unanswered, and the next one does the rest."""
    with evaluator(scene) as first:
        wait_until(lambda: not over(scene) and scene.progress().tally.judged > 5, "some answers are judged", 300)
        first.kill()
        first.wait()
    with evaluator(scene):
        wait_until(lambda: over(scene), "the other evaluator has done the rest", 300)
    assert max(asked(judge).values()) == 1
    tally = scene.progress().tally
    assert 0 <= tally.unanswered <= AT_ONCE
    assert len(scene.scores()) == tally.judged == ANSWERS - tally.unanswered
    assert tally.calls <= judge.asked.total() <= tally.calls + AT_ONCE


def test_two_evaluators_share_the_work(scene: LiveScene, judge: Endpoint) -> None:
    """Each answer is judged by one of them, and both have judged some."""
    with evaluator(scene), evaluator(scene):
        wait_until(lambda: over(scene), "all answers are judged", 300)
    assert asked(judge) == Counter(str(number) for number in range(1, ANSWERS + 1))
    assert len(scene.scores()) == ANSWERS
    assert judge.most_under_way > AT_ONCE
