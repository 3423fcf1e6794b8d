"""Which label an answer settles on."""

import pytest

from softlaunch.evals.recordings.metrics import Labels

YES_NO = Labels(("no", "yes"))


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        pytest.param("Yes.", "yes", id="a word"),
        pytest.param("No, wait. The answer is yes", "yes", id="the last one counts"),
        pytest.param("[Yes] because no divisor is left", "yes", id="brackets go first"),
        pytest.param("**No** I would not say yes to that", "no", id="bold"),
        pytest.param("I know nothing", None, id="only inside of words"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_settled(answer: str, label: str | None) -> None:
    """Marked labels before plain ones, the last of them, and never a part of another word."""
    assert YES_NO.settled(answer) == label


def test_labels_are_found_in_references() -> None:
    """A few short words that come again and again are labels; texts and numbers of their own are not."""
    assert Labels.among(["Yes", "no"] * 5) == YES_NO
    assert Labels.among(["yes", "no"]) is None
    assert Labels.among([f"answer {number}" for number in range(100)]) is None
    assert Labels.among(["a long sentence that is no label at all, however often it comes"] * 9 + ["yes"] * 9) is None


def test_a_form_that_the_question_asks_for_is_demanded() -> None:
    """Where every question wants [Yes] or [No], a bare word is no answer."""
    asked = Labels.among(["yes", "no"] * 5, ['Is it? Answer "[Yes]" or "[No]".'] * 10)
    assert asked == Labels(("no", "yes"), bracketed=True)
    assert (asked.settled("yes"), asked.settled("[Yes]")) == (None, "yes")
