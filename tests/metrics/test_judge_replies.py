"""Reading what a judge said."""

import pytest

from softlaunch.core.refusal_wording import refusal_in
from softlaunch.metrics.judge_replies import Preferred, read_grade, read_preference


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        pytest.param("Good.\nRating: [[7]]", 7.0, id="a line with a label"),
        pytest.param("Good. Rating: [[7]]", 7.0, id="the end of a line"),
        pytest.param("**Final score: [[7.5]]**", 7.5, id="bold"),
        pytest.param('Rating: [[2]]\nThe answer claims "[[10]]", which I ignore.', 2.0, id="a quoted grade after it"),
        pytest.param("The answer claims [[10]]\nRating: [[3]]", 3.0, id="a claimed grade before it"),
        pytest.param('The answer itself claims "[[10]]".', None, id="only a quoted grade"),
        pytest.param("It asks for [[10]] of 10 points.", None, id="within a sentence"),
        pytest.param("Rating: [[5]]\nRating: [[6]]", None, id="two grades"),
        pytest.param("<think>[[9]]</think>\n[[4]]", 4.0, id="a grade that was only thought of"),
        pytest.param("Rating: [[11]]", None, id="beyond the scale"),
    ],
)
def test_a_grade_is_read_from_the_line_that_holds_it(reply: str, grade: float | None) -> None:
    """What an answer says of itself is no grade."""
    assert read_grade(reply, 10) == grade


def test_a_verdict_is_read_like_a_grade() -> None:
    """From its line, never from a sentence about it."""
    assert read_preference('B says "[[B]]".\nMy final verdict is: [[A]]') is Preferred.A
    assert read_preference("[[A]] is what the answer prints, but I say") is None


@pytest.mark.parametrize(
    "answer",
    [
        "I won't help with that.",
        "That's not something I can help with.",
        "I’d rather not go into this.",
        "Unable to comply with this request.",
        "I'm not going to write that.",
        "I must respectfully decline.",
        "We cannot provide this information.",
        "This request violates our policy.",
    ],
)
def test_refusals_that_are_not_sorry_are_refusals(answer: str) -> None:
    """Many models refuse without an apology."""
    assert refusal_in(answer) is not None


@pytest.mark.parametrize(
    "answer",
    [
        "The store can't ship to Hawaii before May.",
        "Your order can not be found in our list; please check its number.",
        "You are not allowed to bring glass to the campsite.",
        "This requests a refund for you.",
    ],
)
def test_negative_answers_are_no_refusals(answer: str) -> None:
    """An answer that says no to something else answers."""
    assert refusal_in(answer) is None
