"""A simulated judge: right as often as its profile says, biased and garbled where it says so."""

from pathlib import Path

import pytest

from softlaunch.evals.judges.panel import shipped_prompts
from softlaunch.metrics.judge_replies import Preferred, read_claims, read_grade, read_preference
from softlaunch.simulator.cases import Case, read_cases
from softlaunch.simulator.judging import JudgeModel
from softlaunch.simulator.knowledge import Knowledge
from softlaunch.simulator.models import Answer, Ask
from softlaunch.simulator.profiles import JudgeFigures, Latency, Profile, builtin_profiles

CASES = [Case(id=str(number), question=f"What is {number} plus 1?", expected=str(number + 1)) for number in range(300)]
RIGHT, WRONG = "The answer is: {}.", "It is many."


def judge(**figures: float) -> JudgeModel:
    """A judge who knows the answers."""
    profile = Profile(name="judge", latency=Latency(p50_s=1, p95_s=2), accuracy=1, judge=JudgeFigures(**figures))
    return JudgeModel(profile, Knowledge(CASES), seed=1)


def ask(model: JudgeModel, prompt: str, **variables: str) -> str:
    """What it says to one of our judges' prompts."""
    messages = shipped_prompts()[prompt].render((), {"criterion": "It is right.", "scale": "5", **variables})
    answer = model.respond(Ask(messages), 1.0)
    assert isinstance(answer, Answer)
    return answer.text


def preferences(model: JudgeModel, *, right_first: bool) -> list[Preferred | None]:
    """Its verdicts on a right and a wrong answer to every question."""
    sides = ("answer_a", "answer_b") if right_first else ("answer_b", "answer_a")
    return [
        read_preference(
            ask(
                model,
                "judge-pairwise",
                question=case.question,
                **{sides[0]: RIGHT.format(case.expected), sides[1]: WRONG},
            )
        )
        for case in CASES
    ]


def test_a_perfect_judge_is_always_right() -> None:
    """In either order, of one answer or two, and of claims that simulated models invent."""
    model = judge(accuracy=1.0)
    assert set(preferences(model, right_first=True)) == {Preferred.A}
    assert set(preferences(model, right_first=False)) == {Preferred.B}
    case = CASES[7]
    grades = [ask(model, "judge-rubric", question=case.question, answer=text) for text in (RIGHT.format(8), WRONG)]
    assert [read_grade(text, 5) for text in grades] == [5.0, 1.0]
    answer = "It is 8. This is printed on the back of every receipt."
    claims = read_claims(ask(model, "judge-hallucination", question=case.question, answer=answer))
    assert claims is not None
    assert [claim.supported for claim in claims] == [True, False]


def test_accuracy_bias_and_nonsense_are_those_of_the_profile() -> None:
    """Measured over 300 questions, within four standard errors."""
    right = preferences(judge(accuracy=0.8), right_first=True).count(Preferred.A) / 300
    assert right == pytest.approx(0.8, abs=0.1)
    biased = preferences(judge(accuracy=1.0, first_bias=0.3), right_first=False)
    assert biased.count(Preferred.A) / 300 == pytest.approx(0.3, abs=0.11)
    garbled = preferences(judge(accuracy=1.0, nonsense_rate=0.2), right_first=True)
    assert garbled.count(None) / 300 == pytest.approx(0.2, abs=0.1)


def test_the_same_prompt_gets_the_same_verdict() -> None:
    """As at temperature 0."""
    model = judge(accuracy=0.5)
    assert preferences(model, right_first=True) == preferences(model, right_first=True)


def test_what_is_no_judging_gets_nonsense() -> None:
    """It plays nothing else."""
    answer = judge(accuracy=1.0).respond(Ask([{"role": "user", "content": "What is 2 plus 1?"}]), 1.0)
    assert isinstance(answer, Answer)
    assert read_preference(answer.text) is None


def test_two_judges_come_along() -> None:
    """A good one, and one that should never gate."""
    figures = {profile.name: profile.judge for profile in builtin_profiles() if profile.judge}
    assert set(figures) == {"judge", "biased-judge"}


def test_a_golden_sets_header_is_no_question(tmp_path: Path) -> None:
    """Golden sets can be used as they are."""
    path = tmp_path / "golden.jsonl"
    path.write_text('{"suite": {"owner": "anna"}}\n{"id": "a", "question": "?", "expected": "x"}\n')
    assert [case.id for case in read_cases(path)] == ["a"]
