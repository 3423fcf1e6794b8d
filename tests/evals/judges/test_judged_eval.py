"""A regression eval whose metrics ask judges: on a real ledger, with a real endpoint that plays everybody."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlmodel import select

from softlaunch.catalog.records import record_model
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.evals.calls.recorded_answers import paid_calls, spent_usd
from softlaunch.evals.judges.agreement import Estimate, agreement_of
from softlaunch.evals.judges.calibration import Calibration
from softlaunch.evals.judges.gating import judges_of
from softlaunch.evals.judges.labels import Kind
from softlaunch.evals.judges.recorded_judgements import read_judgements, record_calibration
from softlaunch.evals.orders import EvalOrder
from softlaunch.evals.regression import RegressionEval
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.metrics import Spent
from softlaunch.policy.evals import EvalPolicy, JudgePolicy
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow, JudgementRow
from tests.support.endpoints import Endpoint, Reply, variant

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CASES = 80
Judging = Callable[[str, int], str]
"""What the judge says to a prompt, and how often it was asked the same before."""


def by_word(prompt: str, before: int) -> str:
    """Grades `good` answers 5 and others 1; prefers them, too."""
    if "answer_a" in prompt:
        first, second = ("good" in part for part in re.findall(r"<answer_[ab]>\n(.*?)\n</", prompt))
        return "[[C]]" if first == second else f"[[{'A' if first else 'B'}]]"
    return "Clear. [[5]]" if "good" in prompt.split("<answer>")[1] else "Poor. [[1]]"


@pytest.fixture
def database_url(migrated_file: Path, tmp_path: Path) -> str:
    """A ledger on SQLite alone; what is stored is tested on both databases where it is stored."""
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def playing(endpoint: Endpoint, database: Database) -> Callable[[Judging, Callable[[int], str]], None]:
    """Let the endpoint play stable (always good), a candidate, and a judge that is recorded under its name."""
    with database.begin() as session:
        record_model(session, variant(endpoint.url, "judge").model, "models.yaml", NOW)

    def play(judging: Judging, candidate: Callable[[int], str]) -> None:
        def behave(model: str, question: str, before: int) -> Reply:
            if model == "judge":
                return Reply(judging(question, before))
            return Reply("a good answer" if model == "stable" else candidate(int(question.rsplit(maxsplit=1)[-1])))

        endpoint.behaviour = behave

    return play


def order(
    endpoint: Endpoint, folder: Path, metrics: list[dict[str, Any]], header: dict[str, Any] | None = None
) -> EvalOrder:
    """Compare stable and candidate on questions that only a judge can grade."""
    golden = folder / "golden.jsonl"
    lines: list[dict[str, Any]] = [{"suite": header or {"created": "2026-11-01"}}]
    lines += [{"id": f"c{number}", "question": f"question {number}", "metrics": []} for number in range(CASES)]
    golden.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    policy = EvalPolicy.model_validate(
        {
            "golden_set": golden.name,
            "repeats": 1,
            "maximum_repeats": 1,
            "tolerance": "5 points",
            "metrics": metrics,
            "judge": {"models": ["judge"]},
        }
    )
    sides = (variant(endpoint.url, "stable"), variant(endpoint.url, "candidate"))
    return EvalOrder("support-1", "support", "support-1", *sides, policy, golden)


def report_of(database: Database, wanted: EvalOrder) -> EvalReport:
    """Work until there is a report."""
    evaluation = RegressionEval(database, clock=lambda: NOW)
    try:
        for _ in range(50):
            report = evaluation.work(wanted, 60.0).report
            if report is not None:
                return report
    finally:
        evaluation.close()
    raise AssertionError("no report")


def calibrated(database: Database, kind: Kind, kappa: Estimate) -> None:
    """As if somebody had compared the judge with people."""
    measured = agreement_of([("yes", "yes"), ("no", "no")])
    agreement = type(measured)(200, 0, measured.agreement, kappa, measured.table)
    prompt = {Kind.GRADE: "judge-rubric", Kind.PREFERENCE: "judge-pairwise"}[kind]
    with database.begin() as session:
        digest = judges_of(session, JudgePolicy(models=("judge",))).digest(prompt)
        record_calibration(session, digest, "labels", Calibration(kind, agreement, None, None, 0, Spent()), "anna", NOW)


def verdict_on(report: EvalReport, gate: str) -> Verdict:
    """The verdict of a gate."""
    return next(verdict for verdict in report.verdicts if verdict.gate == gate)


GOOD_JUDGE = Estimate(0.7, 0.6, 0.8)


@pytest.mark.parametrize("kind", [pytest.param(Kind.GRADE, id="rubric"), pytest.param(Kind.PREFERENCE, id="pairwise")])
@pytest.mark.parametrize("half_of_it_poor", [False, True])
def test_a_judge_that_agrees_with_people_decides(
    playing: Any, endpoint: Endpoint, database: Database, tmp_path: Path, kind: Kind, *, half_of_it_poor: bool
) -> None:
    """Its metric passes and fails like any other, and every call of it is kept and priced."""
    metric = "rubric" if kind is Kind.GRADE else "pairwise"
    playing(by_word, lambda number: "a poor answer" if half_of_it_poor and number % 2 else "a good answer")
    calibrated(database, kind, GOOD_JUDGE)
    report = report_of(database, order(endpoint, tmp_path, [{"metric": metric}]))
    assert report.outcome is (Outcome.FAIL if half_of_it_poor else Outcome.PASS), report.reason
    with database.read() as session:
        said = read_judgements(session, "support-1")
    asked = len(said) / (CASES if metric == "pairwise" else 2 * CASES)
    assert asked <= 0.5 if half_of_it_poor else asked == 1  # harm is plain after a few pieces of the eval
    assert sum(score.spent.calls for score in said.values()) == 2 * CASES * asked
    assert all(score.spent.cost_usd for score in said.values())


@pytest.mark.parametrize(
    ("kappa", "said"),
    [
        pytest.param(
            None, "judge can't gate: it hasn't been compared with people's labels; run", id="never calibrated"
        ),
        pytest.param(Estimate(0.45, 0.3, 0.6), "kappa 0.45 against people on 200 labels, at least 0.30", id="below"),
    ],
)
def test_a_judge_below_the_floor_can_not_gate(
    playing: Any, endpoint: Endpoint, database: Database, tmp_path: Path, kappa: Estimate | None, said: str
) -> None:
    """However clear its scores are, they are an error that says what to do."""
    playing(by_word, lambda number: "a good answer")
    if kappa is not None:
        calibrated(database, Kind.GRADE, kappa)
    verdict = verdict_on(report_of(database, order(endpoint, tmp_path, [{"metric": "rubric"}])), "rubric")
    assert verdict.outcome is Outcome.ERROR
    assert said in verdict.reason
    assert "100.0 % -> 100.0 %" in verdict.reason


def test_a_muted_metric_needs_no_calibration(
    playing: Any, endpoint: Endpoint, database: Database, tmp_path: Path
) -> None:
    """It is shown, and decides nothing: neither a fall nor a rise."""
    playing(by_word, lambda number: "a poor answer")
    metrics = [{"metric": "rubric", "role": "muted"}, {"metric": "length:maximum=10"}]
    report = report_of(database, order(endpoint, tmp_path, metrics))
    verdict = verdict_on(report, "rubric")
    assert (verdict.outcome, verdict.role) == (Outcome.FAIL, Role.MUTED)
    assert report.outcome is Outcome.PASS


def test_a_judge_that_answers_nonsense_is_an_error_and_never_a_pass(
    playing: Any, endpoint: Endpoint, database: Database, tmp_path: Path
) -> None:
    """What it says is kept, counted, and blocks the metric once it is more than the policy allows."""
    calibrated(database, Kind.GRADE, GOOD_JUDGE)
    number = re.compile(r"question (\d+)")
    playing(
        lambda prompt, before: "Hm." if int(number.findall(prompt)[0]) % 4 == 0 else by_word(prompt, before),
        lambda number: "a good answer",
    )
    report = report_of(database, order(endpoint, tmp_path, [{"metric": "rubric"}]))
    assert report.outcome is Outcome.ERROR
    assert f"rubric has no value for {CASES // 4} of the candidate's {CASES} answers" in report.reason
    with database.read() as session:
        said = read_judgements(session, "support-1")
    nonsense = [score for score in said.values() if score.value is None]
    assert {score.reason for score in nonsense} == {"judge said what can't be read: 'Hm.'"}
    assert len(nonsense) == CASES // 2


def test_what_was_judged_is_not_paid_twice(
    playing: Any, endpoint: Endpoint, database: Database, tmp_path: Path
) -> None:
    """Judgements that a killed process left are kept; only the rest is asked for."""
    playing(by_word, lambda number: "a good answer")
    calibrated(database, Kind.GRADE, GOOD_JUDGE)
    wanted = order(endpoint, tmp_path, [{"metric": "rubric"}])
    report_of(database, wanted)
    with database.begin() as session:
        rows = session.exec(select(JudgementRow)).all()
        for row in rows[: len(rows) // 2]:
            session.delete(row)
    before = sum(count for (model, _), count in endpoint.asked.items() if model == "judge")
    report_of(database, wanted)
    after = sum(count for (model, _), count in endpoint.asked.items() if model == "judge")
    assert (before, after) == (2 * CASES, 3 * CASES)


def test_an_old_golden_set_is_shown_and_opens_an_incident(
    playing: Any, endpoint: Endpoint, database: Database, tmp_path: Path
) -> None:
    """It holds nothing up, and the incident says what to do."""
    playing(by_word, lambda number: "a good answer")
    header = {"created": "2025-11-01", "refreshed": "2026-04-01"}
    wanted = order(endpoint, tmp_path, [{"metric": "length:maximum=10"}], header)
    report = report_of(database, wanted)
    assert report.outcome is Outcome.PASS
    verdict = verdict_on(report, "golden_set")
    assert (verdict.role, verdict.outcome) == (Role.MUTED, Outcome.INCONCLUSIVE)
    report_of(database, wanted)
    with database.read() as session:
        (incident,) = session.exec(select(IncidentRow)).all()
    assert (incident.kind, incident.app) == ("golden_set_stale", "support")
    assert "from 2026-04-01, 237 days ago" in incident.summary


def test_a_golden_set_that_flickers_beyond_its_budget_holds(
    playing: Any, endpoint: Endpoint, database: Database, tmp_path: Path
) -> None:
    """Cases that vary in both arms say more about chance than about the change."""

    def flicker(model: str, question: str, before: int) -> Reply:
        return Reply(
            "short" if before % 2 or int(question.rsplit(maxsplit=1)[-1]) >= CASES // 4 else "far too long an answer"
        )

    endpoint.behaviour = flicker
    header = {"created": "2026-11-01", "error_budget": "10 points"}
    wanted = order(endpoint, tmp_path, [], header)
    golden = wanted.golden_set.read_text()
    wanted.golden_set.write_text(golden.replace('"metrics":[]', '"metrics":["length:maximum=2"]'))
    policy = wanted.policy.model_copy(update={"repeats": 2, "maximum_repeats": 2})
    report = report_of(database, replace(wanted, policy=policy))
    verdict = verdict_on(report, "flickering")
    assert (verdict.outcome, verdict.candidate_value) == (Outcome.INCONCLUSIVE, 0.25)
    assert f"{CASES // 4} of {CASES} cases flicker, 10 points of them may" in verdict.reason
    with database.read() as session:
        (incident,) = session.exec(select(IncidentRow)).all()
    assert (incident.kind, len(incident.evidence["cases"])) == ("eval_flickering", CASES // 4)


def test_nobody_judges_without_being_named() -> None:
    """A policy whose metrics ask judges must name some."""
    with pytest.raises(ValueError, match=r"rubric needs judges: name their models under eval\.judge\.models"):
        EvalPolicy.model_validate({"golden_set": "g.jsonl", "metrics": [{"metric": "rubric"}]})


@pytest.mark.parametrize(
    "limit", [pytest.param({"budget_calls": 2 * CASES + 50}, id="calls"), pytest.param({"budget_usd": 0.008}, id="USD")]
)
def test_judges_spend_from_the_evals_budget(
    playing: Any, endpoint: Endpoint, database: Database, tmp_path: Path, limit: dict[str, float]
) -> None:
    """Where it runs out nothing passes, nothing is lost, and a larger one pays only for the rest."""
    playing(by_word, lambda number: "a good answer")
    calibrated(database, Kind.GRADE, GOOD_JUDGE)
    wanted = order(endpoint, tmp_path, [{"metric": "rubric"}])
    short = replace(wanted, policy=wanted.policy.model_copy(update=limit))
    report = report_of(database, short)
    assert verdict_on(report, "budget").outcome is Outcome.INCONCLUSIVE
    assert report.outcome is not Outcome.PASS
    asked = endpoint.asked.total()
    assert 2 * CASES < asked < 4 * CASES
    with database.read() as session:
        assert paid_calls(session, "support-1") == asked
        assert (spent_usd(session, "support-1") or 0) == pytest.approx(asked * 30e-6)
    assert report_of(database, wanted).outcome is Outcome.PASS
    assert endpoint.asked.total() == 4 * CASES
