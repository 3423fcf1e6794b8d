"""The files of a release's page: which there are, what they name, and how they are written."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.verdict import Outcome, Role
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.calls.recorded_answers import ComparedDigests, add_answers, open_run
from softlaunch.evals.suites.suite import load_suite
from softlaunch.ledger.notices import Incident, open_incident
from softlaunch.policy.release import State
from softlaunch.releases.views import ReleaseView, read_view
from softlaunch.reports.pages import write_page, write_whole
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow
from tests.reports.page_reader import ATTACK, PageReader
from tests.support.builders import NOON, Scene
from tests.support.release_views import (
    SLOW,
    make_view,
    rolled_back,
)


def test_a_release_without_an_eval_has_one_page(database: Database, tmp_path: Path) -> None:
    """No answers, no eval page, no link to one; the folder is made."""
    page = write_page(database, rolled_back(), tmp_path / "reports")
    assert page == tmp_path / "reports" / "support-bot-1.html"
    assert [path.name for path in page.parent.iterdir()] == ["support-bot-1.html"]
    assert "eval.html" not in page.read_text()


def test_writing_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    """The same release gives the same file."""
    first = write_page(database, make_view(), tmp_path).read_bytes()
    assert write_page(database, make_view(), tmp_path).read_bytes() == first


def test_runbooks_of_incidents_and_failed_gates_are_named(database: Database, tmp_path: Path) -> None:
    """What a person should read is on the page: of each incident, and of the gate that stopped the release."""
    incident = Incident(IncidentKind.BREAKER_TRIPPED, "support-bot", "support-bot-1", "key", "tripped", {})
    with database.begin() as session:
        open_incident(session, incident, NOON)
    text = PageReader(write_page(database, rolled_back(), tmp_path).read_text()).text
    assert "What to do now: runbooks/breaker_tripped.md , runbooks/gate_latency.md" in text


def test_a_muted_gate_has_no_runbook(database: Database, tmp_path: Path) -> None:
    """A gate that is only shown stopped nothing."""
    view = rolled_back((replace(SLOW, role=Role.MUTED),))
    assert "runbooks/" not in write_page(database, view, tmp_path).read_text()


def _answered_view(database: Database, folder: Path, *, calls: int = 3) -> ReleaseView:
    """A rejected release whose eval has answers: `calls` repeats in both arms, as often as its policy asks."""
    cases = [f'{{"id": "c{number}", "question": "q{number}?", "expected": "yes"}}' for number in range(8)]
    (folder / "golden.jsonl").write_text("\n".join(cases))
    view = make_view(State.REJECTED, 0, reason="accuracy: worse", outcome=Outcome.FAIL)
    view = replace(view, release=replace(view.release, policy_path=str(folder / "policy.yaml")))
    release = view.release
    suite = load_suite(folder / "golden.jsonl")
    digests = ComparedDigests(suite.digest, ByArm(release.candidate.digest, release.stable.digest))
    open_run(database, release.id, release.app, release.id, digests, NOON)
    right = {EvalArm.STABLE: ("yes", 1.0), EvalArm.CANDIDATE: (f"no {ATTACK}", 0.0)}
    answers = [
        EvalAnswer(
            CallKey(arm, case.id, repeat),
            "d" * 64,
            Status.SCORED,
            answer=said,
            scores={"accuracy": score},
            latency_ms=9.0,
        )
        for arm, (said, score) in right.items()
        for case in suite.cases
        for repeat in range(calls)
    ]
    add_answers(database, release.id, answers)
    return view


def test_an_eval_has_a_page_of_its_own(database: Database, tmp_path: Path) -> None:
    """The release's page links the eval's, which is made from the stored answers alone."""
    read = PageReader(write_page(database, _answered_view(database, tmp_path), tmp_path / "reports").read_text())
    assert "support-bot-1-eval.html" in read.addresses
    eval_page = (tmp_path / "reports" / "support-bot-1-eval.html").read_text()
    assert "q3?" in eval_page
    assert ATTACK not in eval_page


def test_an_unfinished_eval_has_no_page(database: Database, tmp_path: Path) -> None:
    """A release that ended amid its eval says so in place of the link, and no call is made to finish it."""
    view = _answered_view(database, tmp_path, calls=1)
    read = PageReader(write_page(database, view, tmp_path / "reports").read_text())
    assert "The eval was not finished" in read.text
    assert not (tmp_path / "reports" / "support-bot-1-eval.html").exists()


def test_a_golden_set_that_changed_leaves_the_release_its_page(database: Database, tmp_path: Path) -> None:
    """Without the cases of then the answers can't be explained: the page says why, and an earlier eval page stays."""
    view = _answered_view(database, tmp_path)
    golden_set, reports = tmp_path / "golden.jsonl", tmp_path / "reports"
    kept = golden_set.read_text()
    golden_set.write_text('{"id": "c0", "question": "another?", "expected": "yes"}')
    read = PageReader(write_page(database, view, reports).read_text())
    assert "There is no page of the eval: the golden set" in read.text
    golden_set.write_text(kept)
    write_page(database, view, reports)
    golden_set.unlink()
    read = PageReader(write_page(database, view, reports).read_text())
    assert "support-bot-1-eval.html" in read.addresses


def test_a_page_is_never_seen_half_written(tmp_path: Path) -> None:
    """Who reads while a page is replaced gets the one before or the one after, whole."""
    path = tmp_path / "page.html"
    versions = [letter * 300_000 for letter in "ab"]
    write_whole(path, versions[0])
    over = threading.Event()

    def replace_often() -> None:
        for round_number in range(60):
            write_whole(path, versions[round_number % 2])
        over.set()

    writer = threading.Thread(target=replace_often)
    writer.start()
    while not over.is_set():
        assert path.read_text() in versions
    writer.join()
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_page_of_before(tmp_path: Path) -> None:
    """Neither the old page nor the folder is harmed by what can't be written."""
    path = tmp_path / "page.html"
    path.mkdir()
    before = write_whole(path / "inside.html", "before")
    with pytest.raises(OSError, match=r"page\.html"):
        write_whole(path, "after")
    assert before.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_release_that_was_driven_has_its_page(database: Database, tmp_path: Path) -> None:
    """From opening to rollback in a ledger: the page names the gate and its runbook."""
    scene = Scene.opened(database)
    scene.telemetry.harms = {3: {"latency": 5.0}}
    assert scene.drive_to_end().state is State.ROLLED_BACK
    with database.read() as session:
        view = read_view(session, session.get_one(ReleaseRow, scene.release_id), scene.clock())
    text = PageReader(write_page(database, view, tmp_path).read_text()).text
    assert "✘ Rolled back" in text
    assert "runbooks/gate_latency.md" in text
    assert "canary 50 % ✘ rolled back" in text
    assert "canary 100 % not reached" in text
