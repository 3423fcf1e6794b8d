"""The review of an eval over HTTP: its page, votes that are kept, and everybody else who is refused."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from softlaunch.core.arms import ByArm
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.judges.labels import Kind
from softlaunch.evals.judges.labels import read_labels as read_label_file
from softlaunch.evals.judges.votes import EvalLabel, Vote, read_labels
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.suites.suite import Case
from softlaunch.metrics import ACCURACY
from softlaunch.policy.evals import EvalPolicy
from softlaunch.reports.reviewing.export import calibration_rows, golden_cases
from softlaunch.reports.reviewing.reviewed import Reviewed
from softlaunch.reports.reviewing.server import Review
from softlaunch.store.database import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = {"token": "secret"}


def reviewed() -> Reviewed:
    """A run of three cases, of which the candidate loses the first."""
    cases = [Case(id=f"c{number}", question=f"question {number}", expected="yes") for number in range(3)]
    answers = [
        EvalAnswer(
            CallKey(arm, case.id, 0),
            arm,
            Status.SCORED,
            answer=f"{arm} on {case.id}",
            scores={ACCURACY: float(arm is EvalArm.STABLE or case.id != "c0")},
        )
        for case in cases
        for arm in EvalArm
    ]
    report = compare(cases, answers, EvalPolicy(golden_set="golden.jsonl"))
    return Reviewed("run-1", "bot", ByArm(candidate="new", stable="old"), report, {}, "")


def client(database: Database, reviewer: str = "anna", host: str = "127.0.0.1") -> TestClient:
    """A browser on this machine."""
    review = Review(database, reviewed(), reviewer, lambda: NOW, token="secret")
    return TestClient(review.app, base_url=f"http://{host}:8123", follow_redirects=False)


def votes(session: Session) -> list[tuple[str, Vote, str]]:
    """Who said what of which case."""
    return [(one.case_id, one.vote, one.labelled_by) for one in read_labels(session, "bot", "run-1")]


def test_a_vote_is_kept_replaced_and_taken_back(database: Database) -> None:
    """The newest vote of a person counts, with the texts as they were shown; a reload shows it."""
    anna, ben = client(database), client(database, "ben")
    for said in ("stable", "candidate"):
        answer = anna.post("/labels", data={**TOKEN, "case_id": "c0", "vote": said})
        assert (answer.status_code, answer.headers["location"]) == (303, "/#case-c0")
    assert ben.post("/labels", data={**TOKEN, "case_id": "c0", "vote": "tie"}).status_code == 303
    with database.read() as session:
        assert votes(session) == [("c0", Vote.CANDIDATE, "anna"), ("c0", Vote.TIE, "ben")]
        kept = read_labels(session, "bot")[0]
    assert (kept.question, kept.stable_answer, kept.candidate_answer) == (
        "question 0",
        "stable on c0",
        "candidate on c0",
    )
    assert 'data-case="c0" data-vote="candidate"' in anna.get("/").text
    noted = {**TOKEN, "case_id": "c0", "vote": "candidate", "note": "no\x00te"}
    assert anna.post("/labels", data=noted).status_code == 303  # PostgreSQL stores no NUL
    anna.post("/labels", data={**TOKEN, "case_id": "c0", "vote": ""})
    with database.read() as session:
        assert votes(session) == [("c0", Vote.TIE, "ben")]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        pytest.param({"case_id": "c0", "vote": "stable"}, 403, id="no token, as another site would ask"),
        pytest.param({"token": "guess", "case_id": "c0", "vote": "stable"}, 403, id="wrong token"),
        pytest.param({"token": "\xff", "case_id": "c0", "vote": "stable"}, 403, id="a token of other letters"),
        pytest.param({**TOKEN, "case_id": "c9", "vote": "stable"}, 422, id="unknown case"),
        pytest.param({**TOKEN, "case_id": "c0", "vote": "both"}, 422, id="unknown vote"),
        pytest.param({**TOKEN, "case_id": "c0"}, 422, id="no vote"),
        pytest.param({**TOKEN, "case_id": "c0", "vote": "tie", "note": "x" * 20_000}, 403, id="a flood"),
    ],
)
def test_other_votes_are_refused(database: Database, form: dict[str, str], status: int) -> None:
    """Nothing is kept of them."""
    assert client(database).post("/labels", data=form).status_code == status
    with database.read() as session:
        assert votes(session) == []


def test_another_host_name_is_refused(database: Database) -> None:
    """A name that was made to point to this machine gets neither page nor token."""
    answer = client(database, host="evil.example").get("/")
    assert answer.status_code == 400
    assert "secret" not in answer.text


def test_votes_are_labels_for_calibration_and_cases_for_the_golden_set(tmp_path: Path) -> None:
    """What people said goes on to the judges and, where they agree, to the golden set."""

    def label(case_id: str, vote: Vote, by: str) -> EvalLabel:
        texts = {"question": f"question {case_id}", "reference": "", "stable_answer": "old", "candidate_answer": "new"}
        return EvalLabel(run_id="r", app="bot", case_id=case_id, vote=vote, labelled_by=by, **texts)

    labels = [
        label("a", Vote.CANDIDATE, "anna"),
        label("a", Vote.CANDIDATE, "ben"),
        label("b", Vote.STABLE, "anna"),
        label("b", Vote.CANDIDATE, "ben"),
        label("c", Vote.TIE, "anna"),
    ]
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, calibration_rows(labels))))
    read = read_label_file(path, Kind.PREFERENCE, {})
    assert {(one.id, one.people) for one in read.items} >= {("r/a", "second"), ("r/c", "tie")}
    (case,) = [Case.model_validate(row) for row in golden_cases(labels)]
    assert (case.question, case.reference, case.tags) == ("question a", "new", ("reviewed",))
