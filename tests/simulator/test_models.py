"""How a profile answers: as often right as it should be, and the same for the same seed."""

import statistics

import pytest

from softlaunch.simulator.cases import Case, is_right
from softlaunch.simulator.knowledge import UNKNOWN, Knowledge
from softlaunch.simulator.models import Answer, ArrivalMeter, Ask, ProfileModel, Refusal
from softlaunch.simulator.profiles import builtin_profiles
from tests.simulator.responses import answer_of, lesson_on
from tests.support.providers import quick_profile

CASES = [Case(id=str(n), question=f"How much is {n} times 7?", expected=7 * n, metric="numeric") for n in range(400)]
KNOWLEDGE = Knowledge(CASES)


def asking(case: Case, max_tokens: int | None = None) -> Ask:
    """A request with a prompt in front of the question."""
    return Ask([{"role": "system", "content": "Be brief."}, {"role": "user", "content": case.question}], max_tokens)


def rights(model: ProfileModel, case: Case, calls: int) -> list[bool]:
    """Which of some calls with one question come out right."""
    return [bool(answer_of(model, asking(case)).right) for _ in range(calls)]


@pytest.mark.parametrize("accuracy", [0.5, 0.84, 0.96])
def test_accuracy_is_the_share_of_right_answers(accuracy: float) -> None:
    """Over many questions the share of right answers comes near the profile's."""
    model = ProfileModel(quick_profile("m", accuracy=accuracy), KNOWLEDGE, seed=3)
    right = [answer for case in CASES for answer in rights(model, case, 5)]
    assert statistics.mean(right) == pytest.approx(accuracy, abs=0.04)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_repeats_of_a_question_are_as_alike_as_the_profile_says(correlation: float) -> None:
    """The intra-class correlation of repeats is the profile's."""
    model = ProfileModel(quick_profile("m", accuracy=0.7, repeat_correlation=correlation), KNOWLEDGE, seed=5)
    shares = [statistics.mean(rights(model, case, 10)) for case in CASES]
    overall = statistics.mean(shares)
    within = statistics.mean(share * (1 - share) for share in shares) * 10 / 9
    assert 1 - within / (overall * (1 - overall)) == pytest.approx(correlation, abs=0.08)


def test_a_more_accurate_profile_is_at_least_as_good_on_every_question() -> None:
    """A hard question is hard for every model, so paired comparisons are between like and like."""
    better, worse = (ProfileModel(quick_profile("m", accuracy=share), KNOWLEDGE, seed=2) for share in (0.9, 0.8))
    for case in CASES:
        lesson = lesson_on(KNOWLEDGE, case.question)
        assert better.chance_of_right(lesson) >= worse.chance_of_right(lesson)


def test_what_it_says_is_what_it_claims() -> None:
    """An answer counted as right satisfies its case, and one counted as wrong doesn't, invented claims or not."""
    model = ProfileModel(quick_profile("m", accuracy=0.5, hallucination_rate=0.5), KNOWLEDGE, seed=1)
    answers = [(case, answer_of(model, asking(case))) for case in CASES]
    assert all(is_right(case, answer.text) == answer.right for case, answer in answers)
    assert 0.4 < statistics.mean(answer.hallucinated for _, answer in answers) < 0.6


def test_the_same_seed_gives_the_same_answers_in_any_order() -> None:
    """The n-th call with a question doesn't depend on what else was asked meanwhile."""
    profile = next(profile for profile in builtin_profiles() if profile.name == "steady")
    forwards: dict[str, list[Answer | Refusal]] = {}
    backwards: dict[str, list[Answer | Refusal]] = {}
    for outcomes, order in ((forwards, CASES), (backwards, CASES[::-1])):
        model = ProfileModel(profile, KNOWLEDGE, seed=4)
        for _ in range(2):
            for case in order:
                outcomes.setdefault(case.id, []).append(model.respond(asking(case), 0.0))
    other = ProfileModel(profile, KNOWLEDGE, seed=5)
    assert forwards == backwards
    assert {case.id: other.respond(asking(case), 0.0) for case in CASES} != {
        key: both[0] for key, both in forwards.items()
    }


def test_an_unknown_question_gets_a_generic_answer() -> None:
    """Nobody can say whether that is right."""
    answer = answer_of(ProfileModel(quick_profile("m"), KNOWLEDGE), Ask([{"role": "user", "content": "Who?"}]))
    assert (answer.text, answer.right) == (UNKNOWN, None)


def test_errors_come_at_the_profile_s_rate_and_statuses() -> None:
    """Failures are drawn, and only from the listed statuses."""
    model = ProfileModel(quick_profile("m", errors={"rate": 0.25, "statuses": [429, 503]}), KNOWLEDGE, seed=1)
    refusals = [made for case in CASES if isinstance(made := model.respond(asking(case), 0.0), Refusal)]
    assert len(refusals) / len(CASES) == pytest.approx(0.25, abs=0.06)
    assert {refusal.status for refusal in refusals} == {429, 503}


def test_load_multiplies_latency() -> None:
    """The same call takes five times as long on a saturated model."""
    profile = quick_profile("m", load={"capacity_rps": 10, "slowdown": 5})
    idle, loaded = (answer_of(ProfileModel(profile, KNOWLEDGE), asking(CASES[0]), rate) for rate in (1.0, 100.0))
    assert loaded.latency_s == pytest.approx(5 * idle.latency_s)


def test_a_limit_on_tokens_shortens_the_answer() -> None:
    """The answer says that its length is why it ended, and takes less time."""
    profile = quick_profile("m", output_tokens={"mean": 100, "spread": 0})
    whole, short = (
        answer_of(ProfileModel(profile, KNOWLEDGE), asking(CASES[0], max_tokens)) for max_tokens in (None, 2)
    )
    assert (short.finish_reason, short.output_tokens, len(short.text)) == ("length", 2, 8)
    assert short.first_token_s < short.latency_s < whole.latency_s


def test_arrivals_are_measured_over_a_sliding_window() -> None:
    """The rate counts the last two seconds only."""
    meter = ArrivalMeter(window_s=2.0)
    rates = [meter.arrive(tick / 10) for tick in range(100)]
    assert rates[0] == 0.5
    assert rates[-1] == 10.0
    assert meter.arrive(60.0) == 0.5
