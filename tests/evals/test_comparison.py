"""An eval's verdicts: from whole answers to pass, fail, inconclusive or error."""

import csv
from pathlib import Path

import numpy as np
import pytest

from softlaunch.core.quantities import Margin
from softlaunch.core.verdict import Outcome
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.evals.suites.scoring import accuracy
from softlaunch.evals.suites.suite import Case
from softlaunch.metrics import ACCURACY
from tests.evals.arms import candidate, cases, stable
from tests.evals.compared import NONE, POLICY, RIGHT, WRONG, outcomes


@pytest.mark.parametrize(
    ("of_stable", "of_candidate", "expected"),
    [
        pytest.param([RIGHT] * 200, [RIGHT] * 200, Outcome.PASS, id="the same on 200 cases"),
        pytest.param([RIGHT] * 40, [RIGHT] * 40, Outcome.INCONCLUSIVE, id="the same on 40 cases"),
        pytest.param([RIGHT] * 170 + [WRONG] * 30, [RIGHT] * 168 + [WRONG] * 32, Outcome.INCONCLUSIVE, id="85 to 84 %"),
        pytest.param([RIGHT] * 170 + [WRONG] * 30, [RIGHT] * 150 + [WRONG] * 50, Outcome.FAIL, id="85 to 75 %"),
        pytest.param([WRONG] * 200, [RIGHT] * 200, Outcome.PASS, id="better everywhere"),
    ],
)
def test_accuracy(of_stable: list[tuple[float]], of_candidate: list[tuple[float]], expected: Outcome) -> None:
    """Pass and fail must both be shown; everything between is inconclusive."""
    report = compare(cases(len(of_stable)), [*stable(of_stable), *candidate(of_candidate)], POLICY)
    assert outcomes(report) == {"accuracy": expected, "unscored": Outcome.PASS}
    assert report.outcome is expected


def test_a_verdict_carries_its_figures() -> None:
    """Values, harm, interval, margin and counts stand beside the reason."""
    report = compare(cases(200), [*stable([RIGHT] * 200), *candidate([RIGHT] * 150 + [WRONG] * 50)], POLICY)
    verdict = report.verdicts[0]
    assert (verdict.stable_value, verdict.candidate_value, verdict.margin) == (1.0, 0.75, 0.02)
    assert verdict.harm == pytest.approx(0.25)
    assert verdict.interval is not None
    assert verdict.interval.lower < 0.25 < verdict.interval.upper
    assert (verdict.stable_count, verdict.candidate_count) == (200, 200)
    assert verdict.reason.startswith("100.0 % -> 75.0 %: at least 20.")
    assert "95 % confidence, tolerance 2 points (score interval" in verdict.reason
    assert report.reason == f"accuracy: {verdict.reason}"


def test_repeats_are_averaged_within_a_case() -> None:
    """Three answers to one question are one piece of evidence, not three."""
    once = compare(cases(60), [*stable([RIGHT] * 60), *candidate([RIGHT] * 60)], POLICY)
    thrice = compare(cases(60), [*stable([RIGHT * 3] * 60), *candidate([RIGHT * 3] * 60)], POLICY)
    assert thrice.verdicts[0].interval == once.verdicts[0].interval
    assert (thrice.repeats, thrice.stable.calls) == (3, 180)


def test_weights_are_respected() -> None:
    """A case of weight 2 counts for two."""
    two = [cases(2)[0].model_copy(update={"weight": 3.0}), cases(2)[1]]
    report = compare(two, [*stable([RIGHT, RIGHT]), *candidate([WRONG, RIGHT])], POLICY)
    assert report.metrics[0].candidate == pytest.approx(0.25)


def test_cases_without_a_pair_are_left_out_and_counted() -> None:
    """An answer in one arm only says nothing about the change."""
    report = compare(
        cases(102),
        [*stable([RIGHT] * 100 + [NONE, RIGHT]), *candidate([RIGHT] * 100 + [WRONG, NONE])],
        POLICY,
    )
    assert (report.paired_cases, report.left_out_cases) == (100, 2)
    assert report.metrics[0].candidate == 1.0
    assert report.metrics[0].estimate.cases == 100


@pytest.mark.parametrize(
    ("of_stable", "of_candidate", "expected", "said"),
    [
        pytest.param([RIGHT] * 100, [RIGHT] * 96 + [NONE] * 4, Outcome.PASS, "4 of the candidate's", id="within"),
        pytest.param(
            [RIGHT] * 100, [RIGHT] * 80 + [NONE] * 20, Outcome.FAIL, "fails where stable does not", id="candidate's own"
        ),
        pytest.param(
            [RIGHT] * 19 + [NONE] * 0 + [RIGHT],
            [RIGHT] * 18 + [NONE] * 2,
            Outcome.INCONCLUSIVE,
            "not clearly more",
            id="too many of very few calls",
        ),
        pytest.param(
            [RIGHT] * 70 + [NONE] * 30,
            [RIGHT] * 70 + [NONE] * 30,
            Outcome.ERROR,
            "repair the endpoint",
            id="endpoint down for both",
        ),
        pytest.param(
            [RIGHT] * 70 + [NONE] * 30, [RIGHT] * 100, Outcome.ERROR, "stable's calls fail", id="stable's only"
        ),
    ],
)
def test_unscored_calls_gate_by_themselves(
    of_stable: list[tuple[float | None]], of_candidate: list[tuple[float | None]], expected: Outcome, said: str
) -> None:
    """Errors are neither right nor wrong; whose they are decides what they mean."""
    report = compare(cases(len(of_stable)), [*stable(of_stable), *candidate(of_candidate)], POLICY)
    assert outcomes(report)["unscored"] is expected
    assert said in report.verdicts[-1].reason


def test_a_candidate_that_never_answers_fails() -> None:
    """No pair is left to compare, but the candidate's own errors are shown."""
    report = compare(cases(100), [*stable([RIGHT] * 100), *candidate([NONE] * 100)], POLICY)
    assert outcomes(report) == {"accuracy": Outcome.ERROR, "unscored": Outcome.FAIL}
    assert report.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([], id="no calls at all"),
        pytest.param(stable([RIGHT] * 100), id="stable only"),
        pytest.param(candidate([RIGHT] * 100), id="candidate only"),
        pytest.param([*stable([RIGHT, NONE]), *candidate([NONE, RIGHT])], id="no case in common"),
        pytest.param([*stable([NONE] * 9), *candidate([NONE] * 9)], id="no answer from anybody"),
    ],
)
def test_without_evidence_nothing_passes(answers: list[EvalAnswer]) -> None:
    """Zero paired cases are an error, never a pass."""
    report = compare(cases(100), answers, POLICY)
    assert outcomes(report)["accuracy"] is Outcome.ERROR
    assert report.outcome is Outcome.ERROR


def test_answers_to_cases_of_another_suite_are_ignored() -> None:
    """Only what was asked counts."""
    extra = EvalAnswer(CallKey(EvalArm.CANDIDATE, "other", 0), "x", Status.SCORED, scores={ACCURACY: 0.0})
    report = compare(cases(200), [*stable([RIGHT] * 200), *candidate([RIGHT] * 200), extra], POLICY)
    assert report.outcome is Outcome.PASS
    assert report.candidate.calls == 200


def test_flickering_cases_are_flagged() -> None:
    """A case whose score varies in both arms is chance; one that varies in one arm only may be the change."""
    report = compare(
        cases(3),
        [
            *stable([(1.0, 0.0, 1.0), (1.0, 1.0, 1.0), RIGHT * 3]),
            *candidate([(0.0, 0.0, 1.0), (1.0, 0.0, 1.0), WRONG * 3]),
        ],
        POLICY,
    )
    assert [row.flickering for row in report.cases] == [True, False, False]
    assert [(row.stable.flips, row.candidate.flips) for row in report.cases] == [(2, 1), (0, 2), (0, 0)]
    assert report.flickering_cases == 1


def test_the_answers_shown_are_those_that_show_the_change() -> None:
    """For a case that got worse: a good answer of stable beside a bad one of the candidate."""
    report = compare(cases(2), [*stable([(0.0, 1.0)] * 2), *candidate([(0.0, 0.0), (1.0, 1.0)])], POLICY)
    assert [(row.stable.answer, row.candidate.answer) for row in report.cases] == [("yes", "no"), ("no", "yes")]


def test_totals_per_arm() -> None:
    """Calls, errors, cost and latency are added up by arm; a cost that is partly unknown is unknown."""
    report = compare(
        cases(10),
        [*stable([RIGHT] * 10, cost_usd=None), *candidate([RIGHT] * 8 + [NONE] * 2, latency_ms=50.0)],
        POLICY,
    )
    assert report.stable.cost_usd is None
    assert report.candidate.cost_usd == pytest.approx(0.008)
    assert (report.candidate.latency_p50_ms, report.stable.latency_p95_ms) == (50.0, 100.0)
    assert report.candidate.errors == {"timeout": 2}
    assert report.candidate.unscored_share == pytest.approx(0.2)


@pytest.mark.long
def test_an_unchanged_variant_is_rarely_failed_and_often_passed() -> None:
    """Of 60 simulated A/A evals (200 cases, three repeats) at most one fails; with 5 points allowed most pass."""
    rng = np.random.default_rng(11)
    policy = POLICY.model_copy(update={"tolerance": Margin.parse("5 points")})
    seen = []
    for _ in range(60):
        chance = rng.beta(2.55, 0.45, 200)
        arms = [[tuple(map(float, rng.random(3) < one)) for one in chance] for _ in range(2)]
        seen.append(compare(cases(200), [*stable(arms[0]), *candidate(arms[1])], policy).outcome)
    assert seen.count(Outcome.FAIL) <= 1
    assert seen.count(Outcome.PASS) > 40


PRIMES = "llmdrift/PRIME_FULL_EVAL.csv"


def primes(folder: Path, of_stable: str, of_candidate: str) -> EvalReport:
    """Compare two recorded snapshots; an answer is right when it holds [Yes] or [No] as the number demands."""
    with (folder / PRIMES).open(newline="") as file:
        rows = list(csv.DictReader(file))
    asked = {row["id"]: Case(id=row["id"], question=row["query"], expected=f"[{row['ref_answer']}]") for row in rows}
    answers = [
        EvalAnswer(
            CallKey(arm, row["id"], 0),
            model,
            Status.SCORED,
            answer=row["answer"],
            scores={ACCURACY: accuracy(asked[row["id"]], asked[row["id"]].sample(row["answer"])).value or 0.0},
            latency_ms=float(row["latency"]) * 1000,
            cost_usd=float(row["cost"]),
        )
        for arm, model in ((EvalArm.STABLE, of_stable), (EvalArm.CANDIDATE, of_candidate))
        for row in rows
        if row["model"] == f"openaichat/{model}"
    ]
    return compare(list(asked.values()), answers, POLICY)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("of_stable", "of_candidate", "expected", "accuracies"),
    [
        pytest.param("gpt-4-0314", "gpt-4-0613", Outcome.FAIL, (0.840, 0.502), id="GPT-4 lost 34 points"),
        pytest.param("gpt-4-0314", "gpt-4-0314", Outcome.PASS, (0.840, 0.840), id="a snapshot against itself"),
        pytest.param("gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613", Outcome.PASS, (0.520, 0.681), id="GPT-3.5 got better"),
    ],
)
def test_recorded_snapshots_on_the_primes(
    realdata: Path, of_stable: str, of_candidate: str, expected: Outcome, accuracies: tuple[float, float]
) -> None:
    """The provider updates of 2023 get the verdicts that their published accuracies call for."""
    report = primes(realdata, of_stable, of_candidate)
    assert report.outcome is expected
    assert (report.metrics[0].stable, report.metrics[0].candidate) == pytest.approx(accuracies, abs=5e-4)
    assert report.paired_cases == 1000


@pytest.mark.realdata
def test_the_size_of_the_drop_on_the_primes(realdata: Path) -> None:
    """33.8 points with an interval of less than 4 to either side, and the costs of both snapshots."""
    report = primes(realdata, "gpt-4-0314", "gpt-4-0613")
    found = report.metrics[0].estimate
    assert found.harm == pytest.approx(0.338, abs=5e-4)
    assert 0.30 < found.lower < 0.338 < found.upper < 0.375
    assert report.stable.cost_usd == pytest.approx(13.83, 0.01)
    assert report.candidate.cost_usd == pytest.approx(1.07, 0.01)
