"""Candidates whose answers alone get worse, through the whole installation: judged live, and taken back by it.

Errors, latency and cost are equal. The judge is noisy: its kappa against the truth is 0.5, so that it shows half of
each difference.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from softlaunch.core.verdict import Outcome
from softlaunch.evals.judges.labels import Kind
from softlaunch.policy.release import State
from softlaunch.reports.live_words import show_live
from softlaunch.simulator.cases import Case
from tests.support.endpoints import Endpoint, Reply, running_endpoint
from tests.support.live_scene import trust
from tests.support.noisy_judge import says_yes
from tests.support.providers import running_provider
from tests.support.servers import wait_until
from tests.support.stage import QUICK, Installation, installation, write_app

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1500)]

Playing = tuple[Installation, Endpoint]

QUALITY = {"first": 0.85, "worse": 0.70, "inventing": 0.85}
INVENTED = {"first": 0.05, "worse": 0.05, "inventing": 0.15}
CASES = [Case(id=f"q{number}", question=f"Question {number}?", expected="answer") for number in range(40)]
GOLDEN = [{"id": case.id, "question": case.question, "expected": "answer", "metric": "contains"} for case in CASES]
STAGE = {"minimum_time": 0, "minimum_requests": 50, "deadline": "15 min", "at_deadline": "roll_back"}
JUDGED: dict[str, dict[str, Any]] = {
    "quality": {"metric": "quality"},
    "hallucination": {"metric": "hallucination", "parameters": {"needs_context": False}},
}
MARGINS = {"quality": "1 point", "hallucination": "0.5 points"}


def policy_of(gate: str) -> dict[str, Any]:
    """One stage in which users see both arms, and a gate that goes by the judge."""
    return {
        **QUICK,
        "eval": {**QUICK["eval"], "tolerance": "20 points", "judge": {"models": ["judge"]}},
        "shadow": None,
        "stages": [{**STAGE, "weight_percent": 50, "margin_factor": 1}, {**STAGE, "weight_percent": 100}],
        "unit": {"redraw": "1 min"},
        "texts": {"keep": True},
        "gates": [*QUICK["gates"], {"metric": gate, "margin": MARGINS[gate]}],
        "live": {
            "metrics": [JUDGED[gate]],
            "sample_percent": {"candidate": 100, "stable": 80, "afterwards": 80},
            "concurrency": 16,
            "answers_per_unit": 5,
            "budget": {"stage_calls": 20_000},
        },
    }


def play(model: str, prompt: str, before: int) -> Reply:
    """Models answer rightly or not, and invent or not, by chance; the judge tells both as well as its kappa says."""
    if model != "judge":
        luck = random.Random(zlib.crc32(f"{model}/{prompt}/{before}".encode()))
        good, invents = luck.random() < QUALITY[model], luck.random() < INVENTED[model]
        said = f"{'rightly' if good else 'wrongly'} {'invented' if invents else 'grounded'}"
        return Reply(f"An answer, number {luck.getrandbits(40):013}, {said}.", delay=luck.uniform(0.01, 0.03))
    answer = re.findall(r"<answer>\n(.*?)\n</answer>", prompt, re.DOTALL)[0]
    luck = random.Random(zlib.crc32(prompt.encode()))
    if "[[1]]" in prompt:
        return Reply("[[5]]" if says_yes(is_so="rightly" in answer, usual=0.85, luck=luck) else "[[1]]")
    supported = says_yes(is_so="grounded" in answer, usual=0.95, luck=luck)
    return Reply(orjson.dumps({"claims": [{"claim": answer, "supported": supported}]}).decode())


@contextmanager
def evaluating(url: str) -> Iterator[None]:
    """`softlaunch evaluator` works while the block does."""
    command = [sys.executable, "-m", "softlaunch.cli", "evaluator", "--every", "0.2"]
    with subprocess.Popen(command, env={**os.environ, "SOFTLAUNCH_DATABASE_URL": url}) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@pytest.fixture
def playing(request: pytest.FixtureRequest, tmp_path: Path, migrated_file: Path) -> Iterator[Playing]:
    """An app under traffic whose answers a calibrated judge has judged for a while."""
    url = f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'ledger.db')}"
    with ExitStack() as stack:
        endpoint = stack.enter_context(running_endpoint())
        endpoint.behaviour = play
        write_app(tmp_path / "app", endpoint.url, [*QUALITY, "judge"], GOLDEN, policy_of(request.param))
        provider = stack.enter_context(running_provider())
        made = stack.enter_context(installation(tmp_path / "app", url, provider, CASES, rate_rps=30))
        for kind in (Kind.GRADE, Kind.HALLUCINATION):
            trust(made.database, kind)
        stack.enter_context(evaluating(url))
        wait_until(lambda: judged(endpoint) > 100, "the judge has judged some answers of before", 240)
        yield made, endpoint


def judged(endpoint: Endpoint) -> int:
    """How often the judge was asked."""
    return sum(count for (model, _), count in list(endpoint.asked.items()) if model == "judge")


@pytest.mark.parametrize(
    ("playing", "model", "gate"),
    [
        pytest.param("quality", "worse", "quality", id="quality falls from 0.85 to 0.70"),
        pytest.param("hallucination", "inventing", "hallucination", id="hallucination rises from 0.05 to 0.15"),
    ],
    indirect=["playing"],
)
def test_a_candidate_whose_answers_alone_are_worse_is_rolled_back(playing: Playing, model: str, gate: str) -> None:
    """From the canary, by the gate on what got worse, with a judge of kappa 0.5; the other gates see nothing."""
    made, endpoint = playing
    view = made.release(model)
    assert view.release.state is State.ROLLED_BACK, view.release.reason
    assert view.release.reason.startswith(f"{gate}: worse by"), f"{view.release.reason}, {judged(endpoint)} calls"
    stage = view.stages[view.release.position]
    assert stage.stage.weight_percent == 50
    others = {verdict.gate: verdict.outcome for verdict in stage.verdicts if verdict.gate != gate}
    assert Outcome.FAIL not in others.values()
    assert show_live(stage).startswith("Live judges: ")
    assert max(count for (asked, _), count in endpoint.asked.items() if asked == "judge") == 1
