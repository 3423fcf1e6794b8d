"""Drift checks against a real endpoint: what moved, why, what is told, and what happens next."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlmodel import col, func, select

from softlaunch.catalog.records import get_model
from softlaunch.core.errors import SoftlaunchError
from softlaunch.drift.check import NoBaselineError, check_drift, freeze_baseline
from softlaunch.drift.judgement import Step
from softlaunch.drift.next_step import NothingToDoError, act
from softlaunch.drift.runs import RunState, find_baseline
from softlaunch.retention.uses import read_uses
from softlaunch.store.database import Database
from softlaunch.store.tables import DriftRunRow, EvalAnswerRow, FeedbackRow, IncidentRow, NoticeRow
from tests.support.builders import ANNA, APP, NOON, request_row
from tests.support.drift_scenes import CASES, LATER, Model, make_app, serve, variant_on
from tests.support.endpoints import Endpoint, running_endpoint

TWICE = {"drift": {"repeats": 2}}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A real endpoint."""
    with running_endpoint() as running:
        yield running


def frozen(database: Database, endpoint: Endpoint, folder: Path, **options: Any) -> None:
    """An app with a baseline from a model that is right in nine of ten cases."""
    endpoint.behaviour = Model().reply
    make_app(database, endpoint, folder, **{**TWICE, **options})
    freeze_baseline(database, APP, "anna", NOON)


def incidents(database: Database) -> list[IncidentRow]:
    """Incidents that are open, oldest first."""
    with database.read() as session:
        found = select(IncidentRow).where(col(IncidentRow.resolved_at).is_(None)).order_by(col(IncidentRow.id))
        return list(session.exec(found))


def told(database: Database) -> str:
    """Everything that people were told."""
    with database.read() as session:
        return "\n".join(session.exec(select(NoticeRow.text).order_by(col(NoticeRow.id))))


def test_the_same_model_has_not_drifted(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """No incident; the floating name is remarked on, and the report has every figure."""
    frozen(database, endpoint, tmp_path)
    run = check_drift(database, APP, "anna", LATER)
    assert run.summary == "nothing has drifted against the baseline of 2026-03-01"
    assert (run.report["cause"], run.report["step"], run.report["drifted"]) == ("none", "nothing", False)
    assert incidents(database) == []
    assert run.report["outputs"]["changed_share"] == 0
    assert "gpt-4 is a floating name" in run.report["remarks"][-1]["sentence"]
    assert {one["weight"] for one in run.report["remarks"]} == {"notice"}


def test_a_model_that_changed_behind_its_name_is_found(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """An incident with the right size, who answered then and now, and the pin that is proposed."""
    frozen(database, endpoint, tmp_path)
    endpoint.behaviour = Model("gpt-4-0613", "fp_two", 50, lambda question, before: "").reply
    run = check_drift(database, APP, "anna", LATER)
    accuracy = next(one for one in run.report["metrics"] if one["metric"] == "accuracy")
    assert accuracy["now"] < 0.65
    assert accuracy["then"] > 0.8
    assert (run.report["cause"], run.report["step"]) == ("model", "pin")
    kinds = {row.kind: row for row in incidents(database)}
    assert set(kinds) == {"prompt_drift", "floating_model_changed"}
    assert f"accuracy fell from {accuracy['then'] * 100:.1f} % to" in kinds["prompt_drift"].summary
    assert kinds["prompt_drift"].evidence["metrics"]["accuracy"] == [accuracy["then"], accuracy["now"]]
    assert "gpt-4-0314 answered then, gpt-4-0613 answers now" in kinds["floating_model_changed"].summary
    assert f"softlaunch drift act {APP}" in told(database)
    subjects = {one["subject"] for one in run.report["remarks"]}
    assert {"accuracy", "resolved model", "fingerprint", "outputs", "length"} <= subjects


def test_outputs_that_vary_by_themselves_are_noise(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """Every text differs, but not more than repeats of one run do."""
    noisy = Model(words=lambda question, before: f"{before * 7919 % 97} {question[::-1] if before % 2 else question} ")
    frozen(database, endpoint, tmp_path)
    endpoint.behaviour = noisy.reply
    freeze_baseline(database, APP, "anna", NOON + timedelta(hours=1))
    run = check_drift(database, APP, "anna", LATER)
    assert run.report["outputs"]["changed_share"] > 0.9
    assert run.report["outputs"]["noise_changed_share"] > 0.9
    assert not run.report["outputs"]["shown"]


def test_users_who_are_less_happy_on_a_steady_golden_set(
    database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """It points to the users, and to a refresh of the prompt, which only people can do."""
    frozen(database, endpoint, tmp_path)
    _rate_weeks(database, [0.85] * 8 + [0.65] * 6)
    run = check_drift(database, APP, "anna", LATER)
    assert (run.report["cause"], run.report["step"]) == ("users", "refresh")
    (trend,) = run.report["trends"]
    assert trend["change"]["before"] == pytest.approx(0.85, abs=0.03)
    assert trend["change"]["after"] == pytest.approx(0.65, abs=0.03)
    (incident,) = incidents(database)
    assert "satisfaction of users fell from" in incident.summary
    with pytest.raises(NothingToDoError, match="write its next version"):
        act(database, APP, None, ANNA, LATER)


def _rate_weeks(database: Database, levels: list[float]) -> None:
    """A hundred users a week, the last week ending at LATER."""
    rng = np.random.default_rng(5)
    with database.begin() as session:
        for ago, level in zip(range(len(levels), 0, -1), levels, strict=True):
            for unit in range(100):
                at = LATER.timestamp() - ago * 7 * 86400 + 3600 * (1 + unit)
                name = f"r{ago}-{unit}"
                session.add(request_row(request_id=name, unit=unit, release_id=None, started_at=at))
                good = float(rng.random() < level)
                session.add(
                    FeedbackRow(request_id=name, app=APP, satisfaction=good, kind="thumbs", received_at=at + 60)
                )


def test_what_was_released_since_is_suspected_first(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """The golden set moved and another variant serves: it is the release that is rolled back."""
    frozen(database, endpoint, tmp_path)
    serve(database, variant_on(endpoint, "gpt-4-0314", "1.1.0"))
    endpoint.behaviour = Model(right_percent=40).reply
    run = check_drift(database, APP, "anna", LATER)
    assert (run.report["cause"], run.report["step"]) == ("release", "roll_back")


def test_a_later_check_that_is_well_closes_the_incident(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """By a new baseline, for instance."""
    frozen(database, endpoint, tmp_path)
    endpoint.behaviour = Model(right_percent=40).reply
    check_drift(database, APP, "anna", LATER)
    assert [row.kind for row in incidents(database)] == ["prompt_drift"]
    done = act(database, APP, Step.NEW_BASELINE, ANNA, LATER)
    assert "is the baseline now" in done.message
    assert check_drift(database, APP, "anna", LATER + timedelta(days=30)).report["drifted"] is False
    assert incidents(database) == []


def test_the_pin_is_a_release_of_the_model_that_answered_then(
    database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """The dated model is recorded, and goes out through eval and canary like any change."""
    frozen(database, endpoint, tmp_path)
    endpoint.behaviour = Model("gpt-4-0613", "fp_two", 50).reply
    check_drift(database, APP, "anna", LATER)
    acted = act(database, APP, None, ANNA, LATER)
    assert acted.request is not None
    assert acted.request.changes.model == "smart-gpt-4-0314"
    with database.read() as session:
        assert get_model(session, "smart-gpt-4-0314").model == "gpt-4-0314"


def test_without_a_baseline_there_is_nothing_to_compare_with(
    database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """The message has the command; the same where the golden set changed since."""
    make_app(database, endpoint, tmp_path)
    with pytest.raises(NoBaselineError, match="softlaunch drift baseline"):
        check_drift(database, APP, "anna", LATER)
    freeze_baseline(database, APP, "anna", NOON)
    with (tmp_path / "golden.jsonl").open("ab") as file:
        file.write(b'\n{"id": "new", "question": "New?", "expected": "yes"}')
    with pytest.raises(NoBaselineError, match="has changed since"):
        check_drift(database, APP, "anna", LATER)


def test_a_check_that_was_killed_is_gone_on_with(
    database: Database, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered isn't asked again, and one run comes of both attempts, told of once."""
    frozen(database, endpoint, tmp_path)
    endpoint.behaviour = Model(right_percent=40).reply
    asked = endpoint.asked.total()
    _die_at(monkeypatch, "conclude_run")
    with pytest.raises(KilledError):
        check_drift(database, APP, "anna", LATER)
    assert endpoint.asked.total() == asked + 2 * CASES
    monkeypatch.undo()
    run = check_drift(database, APP, "anna", LATER + timedelta(hours=1))
    assert endpoint.asked.total() == asked + 2 * CASES
    assert (run.id, run.state) == (f"{APP}-drift-2", RunState.DONE)
    assert len(incidents(database)) == 1
    with database.read() as session:
        assert session.exec(select(func.count()).select_from(DriftRunRow)).one() == 2
        answers = select(func.count()).where(EvalAnswerRow.run_id == run.id)
        assert session.exec(answers).one() == 2 * CASES


class KilledError(BaseException):
    """What a kill looks like from inside: nothing catches it."""


def _die_at(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise KilledError

    monkeypatch.setattr(f"softlaunch.drift.check.{point}", die)


def test_an_unfinished_run_on_something_else_is_given_up(
    database: Database, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A baseline that was begun doesn't hold up a check for good."""
    frozen(database, endpoint, tmp_path)
    _die_at(monkeypatch, "conclude_run")
    with pytest.raises(KilledError):
        freeze_baseline(database, APP, "anna", NOON)
    monkeypatch.undo()
    assert check_drift(database, APP, "anna", LATER).state is RunState.DONE
    with database.read() as session:
        states = list(session.exec(select(DriftRunRow.state).order_by(col(DriftRunRow.number))))
        baseline = find_baseline(session, APP)
    assert states == ["done", "abandoned", "done"]
    assert baseline is not None
    assert baseline.id == f"{APP}-drift-1"


def test_a_cleanup_keeps_the_baseline_in_force(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """Its answers are what the next check compares with; those of older baselines may go."""
    frozen(database, endpoint, tmp_path)
    freeze_baseline(database, APP, "anna", NOON + timedelta(days=40))
    with database.read() as session:
        uses = read_uses(session, 3)
        (variant,) = {row.variant_digest for row in session.exec(select(DriftRunRow))}
    assert uses.evals[f"{APP}-drift-2"] == f"drift baseline of {APP}"
    assert variant in uses.variants


def test_a_golden_set_that_can_not_be_read_is_said(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """Nothing is opened."""
    make_app(database, endpoint, tmp_path)
    (tmp_path / "golden.jsonl").unlink()
    with pytest.raises(SoftlaunchError, match=r"golden\.jsonl"):
        freeze_baseline(database, APP, "anna", NOON)
