"""Texts of mirrored requests through the whole pipeline: a real gateway makes the copies, a real judge is asked."""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from softlaunch.core.clock import utc_now
from softlaunch.core.verdict import Outcome
from softlaunch.policy.release import State
from softlaunch.releases.changes import Changes
from softlaunch.releases.controller import Controller
from softlaunch.releases.opening import ReleaseRequest, open_release
from softlaunch.reports.similarity_words import show_shadow
from softlaunch.simulator.cases import Case
from softlaunch.wiring import build_driver
from tests.support.copied import trust_judge
from tests.support.endpoints import Endpoint, Reply, running_endpoint
from tests.support.providers import running_provider
from tests.support.stage import APP, QUICK, Installation, installation, write_app

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ANSWERS = {
    "first": "A good answer to {}: {}.",
    "equal": "A good answer to {}: {}.",
    "worse": "A poor answer to {}: {}.",
}
CASES = [Case(id=f"q{number}", question=f"Question {number}?", expected="answer") for number in range(40)]
GOLDEN = [{"id": case.id, "question": case.question, "expected": "answer", "metric": "contains"} for case in CASES]
POLICY = {
    **QUICK,
    "eval": {**QUICK["eval"], "tolerance": "20 points", "judge": {"models": ["judge"]}},
    "texts": {"keep": True},
    "shadow": {**QUICK["shadow"], "sample_percent": 100, "floor_percent": 50, "minimum_time": "5 s"},
    "gates": [
        *QUICK["gates"],
        {"metric": "agreement", "margin": "10 points"},
        {"metric": "preference", "margin": "10 points", "role": "guard"},
    ],
}


def play(model: str, prompt: str, before: int) -> Reply:
    """Stable and candidates put the same thing in many words; the judge prefers what calls itself good."""
    if model == "judge":
        good = ["good" in part for part in re.findall(r"<answer_[ab]>\n(.*?)\n</", prompt)]
        return Reply("[[C]]" if good[0] == good[1] else f"[[{'A' if good[0] else 'B'}]]")
    asked = re.findall(r"Question (\d+)", prompt)
    return Reply(ANSWERS[model].format(asked[-1], "so it is " * (1 + before % 3)), delay=0.02)


@pytest.fixture
def playing(tmp_path: Path, migrated_file: Path) -> Iterator[tuple[Installation, Endpoint]]:
    """An app under traffic whose judge was calibrated."""
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    with ExitStack() as stack:
        endpoint = stack.enter_context(running_endpoint())
        endpoint.behaviour = play
        write_app(tmp_path / "app", endpoint.url, [*ANSWERS, "judge"], GOLDEN, POLICY)
        provider = stack.enter_context(running_provider())
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
        made = stack.enter_context(installation(tmp_path / "app", url, provider, CASES, rate_rps=40))
        trust_judge(made.database)
        yield made, endpoint


def test_a_candidate_whose_answers_judges_like_less_is_rejected(playing: tuple[Installation, Endpoint]) -> None:
    """No user met it, and stable's own second answers stand beside as what is to be expected."""
    made, endpoint = playing
    view = made.release("worse")
    assert view.release.state is State.REJECTED, view.release.reason
    assert view.release.reason.startswith("preference: worse by")
    assert view.exposure.units == 0
    told = show_shadow(view, view.stages[1])
    assert "Judges prefer the copies' answers in 0.0 %" in told
    assert "stable's own second answers in 50.0 %" in told
    judged = sum(count for (model, _), count in endpoint.asked.items() if model == "judge")
    assert 0 < judged <= 400


@pytest.mark.soak
def test_an_equal_candidate_leaves_the_shadow(playing: tuple[Installation, Endpoint]) -> None:
    """Answers that vary as much as stable's own are no harm."""
    made, _ = playing
    request = ReleaseRequest(app=APP, changes=Changes(model="equal"), actor="test", origin="test")
    release_id = open_release(made.database, request, utc_now())
    driver = build_driver(made.database, "test")
    token = driver.acquire_lease(release_id)
    while (view := made.view(release_id)).release.position < 2:
        assert view.release.state.live, view.release.reason
        Controller(driver, 0.2).run_stage(release_id, token)
    (preference,) = (verdict for verdict in view.stages[1].verdicts if verdict.gate == "preference")
    assert preference.outcome is not Outcome.FAIL
    assert preference.candidate_value == 0.5
    assert "stable's own second answers" in show_shadow(view, view.stages[1])
