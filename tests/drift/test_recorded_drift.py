"""What happened to GPT-3.5 and GPT-4 between March and June 2023 (Chen, Zaharia & Zou), run through the check."""

from pathlib import Path

import pytest
from sqlmodel import select

from softlaunch.drift.document import to_document
from softlaunch.drift.judgement import Cause, Step
from softlaunch.drift.notices import notify_of_check
from softlaunch.drift.recorded import RecordedDrift, check_recorded
from softlaunch.evals.recordings.files import read_rows
from softlaunch.policy.drift import DriftPolicy
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow
from tests.support.builders import APP, NOON, record_app

pytestmark = pytest.mark.realdata

MARCH, JUNE = "gpt-4-0314", "gpt-4-0613"


def compared(folder: Path, file: str, then: str, now: str, *specs: str) -> RecordedDrift:
    """A check of recorded outputs under the default policy."""
    rows = read_rows(folder / "llmdrift" / file)
    return check_recorded(rows, (then, now), specs, (), DriftPolicy(), allow_same=True)


def test_primes_from_march_to_june_raise_the_incident(realdata: Path, database: Database) -> None:
    """84.0 % of the answers were right in March, 50.2 % in June: one incident says so."""
    found = compared(realdata, "PRIME_FULL_EVAL.csv", MARCH, JUNE)
    (accuracy,) = found.figures.quality
    assert (accuracy.stable, accuracy.candidate) == pytest.approx((0.840, 0.502), abs=0.0005)
    assert accuracy.bounds.lower < -0.338 < accuracy.bounds.upper < -0.28
    assert found.judgement.cause is Cause.MODEL
    record_app(database)
    document = to_document(found.figures, (), found.setting, found.judgement)
    with database.begin() as session:
        notify_of_check(session, APP, "check-1", found.judgement, document, NOON)
    with database.read() as session:
        (incident,) = session.exec(select(IncidentRow)).all()
    assert incident.kind == "prompt_drift"
    assert "agreement fell from 84.0 % to 50.2 %" in incident.summary
    assert incident.evidence["metrics"]["agreement"] == pytest.approx([0.840, 0.502], abs=0.0005)


@pytest.mark.parametrize("snapshot", [MARCH, JUNE, "gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613"])
def test_the_same_snapshot_raises_none(realdata: Path, snapshot: str) -> None:
    """Nothing has drifted, and nothing is proposed."""
    found = compared(realdata, "PRIME_FULL_EVAL.csv", snapshot, snapshot)
    assert (found.judgement.alerts, found.judgement.step) == ((), Step.NOTHING)


def test_a_model_that_got_better_asks_for_a_new_baseline(realdata: Path) -> None:
    """GPT-3.5 went from 51.7 % to 68.1 % on the primes, and got slower: no alert, a remark each."""
    found = compared(realdata, "PRIME_FULL_EVAL.csv", "gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613")
    assert (found.judgement.alerts, found.judgement.step) == ((), Step.NEW_BASELINE)
    assert {"agreement", "latency"} <= {remark.subject for remark in found.judgement.remarks}


def test_code_that_is_no_longer_directly_usable_but_better(realdata: Path) -> None:
    """LeetCode: raw answers fell from 52 % to 10 %, the code inside rose: the metrics disagree, and a person looks."""
    clean = "recorded:label=clean,column=Clean_Code_Submit,right=Accepted"
    found = compared(realdata, "LEETCODE_EASY_EVAL.csv", MARCH, JUNE, "Directly Usable", clean)
    assert (found.judgement.cause, found.judgement.step) == (Cause.UNCLEAR, Step.LOOK)
    assert found.judgement.summary.startswith(
        "the metrics disagree: Directly Usable fell from 52.0 % to 10.0 %; clean rose"
    )


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        pytest.param(MARCH, JUNE, "refused answers rose", id="GPT-4 answers less"),
        pytest.param("gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613", "refused answers fell", id="GPT-3.5 answers more"),
    ],
)
def test_a_changed_refusal_rate_is_found(realdata: Path, then: str, now: str, expected: str) -> None:
    """SENSITIVEQ: either way it is an alert, from the answers' own words."""
    found = compared(realdata, "SENSITIVEQ_EVAL.csv", then, now, "Response Rate")
    refusals = next(remark for remark in found.judgement.alerts if remark.subject == "refusals")
    assert refusals.sentence.startswith(expected)
