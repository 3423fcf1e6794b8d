"""Candidates whose answers alone get worse, through the whole installation: judged live, and taken back by it.

Errors, latency and cost are equal. The judge is noisy: its kappa against the truth is 0.5, so that it shows half of
each difference.
"""

import random
import re
import shutil
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from softlaunch.core.verdict import Outcome
from softlaunch.evals.judges.labels import Kind
from softlaunch.live.evaluator import Evaluator
from softlaunch.policy.release import State
from softlaunch.simulator.cases import Case
from softlaunch.store.database import Database
from tests.support.endpoints import Endpoint, Reply, running_endpoint
from tests.support.live_scene import trust
from tests.support.noisy_judge import says_yes
from tests.support.providers import running_provider
from tests.support.servers import wait_until
from tests.support.stage import QUICK, Installation, installation, write_app

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

QUALITY = {"first": 0.85, "worse": 0.70, "inventing": 0.85}
INVENTED = {"first": 0.05, "worse": 0.05, "inventing": 0.15}
CASES = [Case(id=f"q{number}", question=f"Question {number}?", expected="answer") for number in range(40)]
GOLDEN = [{"id": case.id, "question": case.question, "expected": "answer", "metric": "contains"} for case in CASES]
STAGE = {"minimum_time": 0, "minimum_requests": 50, "deadline": "15 min", "at_deadline": "roll_back"}
POLICY: dict[str, Any] = {
    **QUICK,
    "eval": {**QUICK["eval"], "tolerance": "20 points", "judge": {"models": ["judge"]}},
    "shadow": None,
    "stages": [{**STAGE, "weight_percent": 50, "margin_factor": 1}, {**STAGE, "weight_percent": 100}],
    "texts": {"keep": True},
    "gates": [
        *QUICK["gates"],
        {"metric": "quality", "margin": "3 points"},
        {"metric": "hallucination", "margin": "2 points"},
    ],
    "live": {
        "metrics": [
            {"metric": "quality"},
            {"metric": "hallucination", "judged_by": "hallucination", "parameters": {"needs_context": False}},
        ],
        "sample_percent": {"candidate": 100, "stable": 60, "afterwards": 60},
        "concurrency": 8,
        "answers_per_unit": 1,
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
def evaluating(database: Database) -> Iterator[None]:
    """An evaluator works while the block does."""
    complaints: list[str] = []
    evaluator = Evaluator(database, complaints.append, every=0.2)
    working = threading.Thread(target=evaluator.run, name="evaluator", daemon=True)
    working.start()
    try:
        yield
    finally:
        evaluator.stopping.set()
        working.join()
    assert complaints == []


@pytest.fixture
def playing(tmp_path: Path, migrated_file: Path) -> Iterator[tuple[Installation, Endpoint]]:
    """An app under traffic whose answers a calibrated judge has judged for a while."""
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    with ExitStack() as stack:
        endpoint = stack.enter_context(running_endpoint())
        endpoint.behaviour = play
        write_app(tmp_path / "app", endpoint.url, [*QUALITY, "judge"], GOLDEN, POLICY)
        provider = stack.enter_context(running_provider())
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
        made = stack.enter_context(installation(tmp_path / "app", url, provider, CASES, rate_rps=25))
        for kind in (Kind.GRADE, Kind.HALLUCINATION):
            trust(made.database, kind)
        stack.enter_context(evaluating(made.database))
        wait_until(lambda: judged(endpoint) > 400, "the judge has judged some answers of before", 120)
        yield made, endpoint


def judged(endpoint: Endpoint) -> int:
    """How often the judge was asked."""
    return sum(count for (model, _), count in list(endpoint.asked.items()) if model == "judge")


@pytest.mark.parametrize(
    ("model", "gate"),
    [
        pytest.param("worse", "quality", id="quality falls from 0.85 to 0.70"),
        pytest.param("inventing", "hallucination", id="hallucination rises from 0.05 to 0.15"),
    ],
)
def test_a_candidate_whose_answers_alone_are_worse_is_rolled_back(
    playing: tuple[Installation, Endpoint], model: str, gate: str
) -> None:
    """From the canary, by the gate on what got worse, with judges of kappa 0.5; the other gates see nothing."""
    made, endpoint = playing
    view = made.release(model)
    assert view.release.state is State.ROLLED_BACK, view.release.reason
    assert view.release.reason.startswith(f"{gate}: worse by"), view.release.reason
    stage = view.stages[view.release.position]
    assert stage.stage.weight_percent == 50
    others = {verdict.gate: verdict.outcome for verdict in stage.verdicts if verdict.gate != gate}
    assert Outcome.FAIL not in others.values()
    assert max(count for (asked, _), count in endpoint.asked.items() if asked == "judge") == 1
