"""Releases between recorded snapshots of GPT-3.5 and GPT-4 (Chen, Zaharia, Zou 2023), through the whole pipeline."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from softlaunch.core.verdict import Outcome
from softlaunch.policy.release import State
from softlaunch.simulator.cases import Case
from softlaunch.simulator.recording import Price, read_recording
from tests.support.providers import running_provider
from tests.support.stage import QUICK, Installation, installation, write_app

pytestmark = [pytest.mark.realdata, pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.long]

SNAPSHOTS = ("gpt-4-0314", "gpt-4-0613", "gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613")
COLUMNS = {"model": "model", "question": "query", "answer": "answer", "latency": "latency", "cost": "cost"}
PRICES = {f"openaichat/{name}": Price(30, 60) if name.startswith("gpt-4") else Price(2, 2) for name in SNAPSHOTS}
SPEED = 60.0  # the recorded median of 6 s is played as 0.1 s


@pytest.fixture
def recorded(realdata: Path, tmp_path: Path, migrated_file: Path) -> Iterator[Any]:
    """Make an installation in which a recorded snapshot is stable."""
    recording = read_recording(realdata / "llmdrift" / "PRIME_FULL_EVAL.csv", COLUMNS, PRICES)
    asked = sorted(set(_questions(realdata)))
    golden = [
        {"id": f"p{number}", "question": question, "expected": f"[{answer}]", "metric": "contains"}
        for number, (question, answer) in enumerate(asked[::2])
    ]
    live = [
        Case(id=f"q{number}", question=question, expected=answer) for number, (question, answer) in enumerate(asked)
    ]
    with ExitStack() as stack:
        provider = stack.enter_context(running_provider(profiles=(), others=recording.values(), speed=SPEED))

        def start(stable: str, **evaluated: Any) -> Installation:
            models = [stable, *(name for name in SNAPSHOTS if name != stable)]
            folder = tmp_path / "app"
            write_app(folder, provider.endpoint, models, golden, {**QUICK, "eval": {**QUICK["eval"], **evaluated}})
            url = f"sqlite:///{tmp_path / 'ledger.db'}"
            (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
            return stack.enter_context(installation(folder, url, provider, live, rate_rps=60))

        yield start


def _questions(realdata: Path) -> Iterator[tuple[str, str]]:
    import pandas as pd

    rows = pd.read_csv(realdata / "llmdrift" / "PRIME_FULL_EVAL.csv", usecols=["query", "ref_answer"])
    for query, answer in rows.itertuples(index=False):
        yield str(query), str(answer).capitalize()


@pytest.mark.parametrize("early_stop", [False, True], ids=["every case is asked", "as soon as it is known"])
def test_a_cheaper_faster_broken_snapshot_never_meets_a_user(recorded: Any, *, early_stop: bool) -> None:
    """gpt-4-0314 to 0613 loses a third of its accuracy: the regression eval rejects it, sooner or later."""
    view = recorded("gpt-4-0314", early_stop=early_stop).release("gpt-4-0613")
    assert (view.release.state, view.release.outcome) == (State.REJECTED, Outcome.FAIL)
    accuracy = next(verdict for verdict in view.stages[0].verdicts if verdict.gate == "accuracy")
    lost = 0.84 - 0.50
    if early_stop:  # some of the cases say less exactly how much worse it is, and the interval says so
        assert accuracy.candidate_count < 250
        assert accuracy.interval is not None
        assert accuracy.interval.lower < lost < accuracy.interval.upper
    else:
        assert accuracy.harm == pytest.approx(lost, abs=0.05)
    assert view.exposure.requests == 0


@pytest.mark.soak
def test_a_snapshot_against_itself_passes(recorded: Any) -> None:
    """gpt-4-0314 against itself is promoted: nothing cries wolf."""
    view = recorded("gpt-4-0314").release(None, allow_same=True)
    assert view.release.state is State.PROMOTED, view.release.reason


@pytest.mark.soak
def test_a_better_but_slower_snapshot_is_stopped_by_latency(recorded: Any) -> None:
    """gpt-3.5-turbo-0301 to 0613 is more accurate and far slower: it passes the eval and fails on live traffic."""
    view = recorded("gpt-3.5-turbo-0301").release("gpt-3.5-turbo-0613")
    assert view.stages[0].record.state == "passed"
    assert view.release.state in {State.REJECTED, State.ROLLED_BACK}
    assert view.release.reason.startswith("latency")
