"""Questions with known answers, and what simulated models make of them."""

import random
from pathlib import Path

import pytest

from softlaunch.simulator.cases import Case, CasesError, is_right, last_question, read_cases
from softlaunch.simulator.knowledge import UNSURE, Knowledge
from tests.simulator.responses import lesson_on

CLOSING = Case(id="1", question="When do you close?", expected="16:00")


def test_a_question_is_found_whatever_its_case_and_spacing() -> None:
    """Lookups ignore capitals and runs of white space."""
    assert lesson_on(Knowledge([CLOSING]), "  when DO you\nclose? ").case is CLOSING


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(
            [{"role": "user", "content": "old"}, {"role": "user", "content": "new"}], id="the last user message"
        ),
        pytest.param(
            [{"role": "user", "content": "new"}, {"role": "assistant", "content": "x"}], id="not the assistant"
        ),
        pytest.param([{"role": "user", "content": [{"type": "text", "text": "new"}]}], id="content in parts"),
    ],
)
def test_the_question_is_the_last_thing_a_user_said(messages: list[dict[str, object]]) -> None:
    """Few-shot examples before the question don't matter."""
    assert last_question(messages) == "new"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(CLOSING, id="contains, a number in it"),
        pytest.param(Case(id="1", question="q", expected="no", metric="exact"), id="exact, with an opposite"),
        pytest.param(Case(id="1", question="q", expected="blue", metric="exact"), id="exact, nothing to borrow"),
        pytest.param(Case(id="1", question="q", expected="12.50", metric="numeric"), id="numeric"),
        pytest.param(Case(id="1", question="q", expected=7, metric="numeric"), id="a JSON number"),
        pytest.param(
            Case(id="1", question="q", expected="^a+$", metric="regex", answer="aa"), id="regex with an answer"
        ),
        pytest.param(
            Case(id="1", question="q", expected="kind words", metric="judged by a model"), id="a foreign metric"
        ),
    ],
)
def test_right_answers_are_right_and_wrong_ones_wrong(case: Case) -> None:
    """Whatever a lesson says satisfies its case, or doesn't, as announced."""
    lesson = lesson_on(Knowledge([case]), case.asked)
    for seed in range(20):
        rng = random.Random(seed)
        assert is_right(case, lesson.right_answer(rng))
        assert not is_right(case, lesson.wrong_answer(rng))


def test_wrong_answers_are_borrowed_from_similar_cases() -> None:
    """A case without a number is confused with one of the same tag."""
    streets = [
        Case(id=str(n), question=f"q{n}", expected=name, tags=["street"]) for n, name in enumerate(("Oak", "Elm"))
    ]
    other = Case(id="9", question="q9", expected="blue", tags=["colour"])
    knowledge = Knowledge([*streets, other])
    assert lesson_on(knowledge, "q0").wrong == ("The answer is: Elm.",)
    assert lesson_on(knowledge, "q9").wrong == (UNSURE,)


def test_a_case_that_words_its_answer_supplements_one_that_does_not() -> None:
    """A golden set can stay as it is while another file says how its answers read."""
    golden = Case(id="g", question="q", expected="^a+$", metric="regex")
    wording = Case(id="a", question="Q", expected="^a+$", metric="regex", answer="aaa")
    assert lesson_on(Knowledge([golden, wording]), "q").case is wording


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        pytest.param(
            [CLOSING, Case(id="2", question="when do you close?", expected="18:00")], "1 and 2", id="contradiction"
        ),
        pytest.param(
            [Case(id="7", question="q", expected="a+", metric="regex")], "add one with", id="regex, no answer"
        ),
    ],
)
def test_knowledge_that_can_not_be_played_is_refused(cases: list[Case], said: str) -> None:
    """The message names the cases and what to change."""
    with pytest.raises(CasesError, match=said):
        Knowledge(cases)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param('{"id": "1", "question": "q"', "line 2: no valid JSON", id="broken JSON"),
        pytest.param('{"id": "1", "question": "q"}', "line 2: expected", id="nothing expected"),
        pytest.param('{"id": "1", "expected": "x"}', "line 2: give it a 'question'", id="no question"),
        pytest.param('{"id": "1", "question": "q", "expected": " "}', "line 2: 'expected'", id="anything would do"),
        pytest.param('{"id": "1", "question": "q", "expected": "(", "metric": "regex"}', "regular", id="a bad pattern"),
        pytest.param(
            '{"id": "1", "question": "q", "expected": "x", "answer": "y"}', "'answer'", id="wrong right answer"
        ),
        pytest.param('{"id": "1", "question": "q", "expected": "x", "wrong": ["xx"]}', "'xx'", id="right wrong answer"),
        pytest.param("[1]", "line 2", id="not an object"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    """File, line and key are in the message."""
    path = tmp_path / "questions.jsonl"
    path.write_text('{"id": "0", "question": "q0", "expected": "fine"}\n' + line)
    with pytest.raises(CasesError, match=said) as failed:
        read_cases(path)
    assert "questions.jsonl" in str(failed.value)


@pytest.mark.parametrize("content", [None, "\n"], ids=["missing", "empty"])
def test_a_file_without_questions_is_refused(tmp_path: Path, content: str | None) -> None:
    """An absent and an empty file both say what to give."""
    path = tmp_path / "questions.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CasesError, match=r"questions\.jsonl"):
        read_cases(path)
