"""What makes no difference between texts."""

import pytest

from softlaunch.metrics import normalise


@pytest.mark.parametrize(
    ("written", "alike"),
    [
        pytest.param("We don’t deliver.", "we don't deliver.", id="curly apostrophe"),
        pytest.param("It says „no“.", 'it says "no".', id="German quotes"),
        pytest.param("«oui»", '"oui"', id="French quotes"),
        pytest.param("cafe\u0301", "caf\u00e9", id="a combining mark"),
        pytest.param("ﬁve ½", "five 1⁄2", id="ligatures and fractions"),
        pytest.param("Ｆｕｌｌ", "full", id="wide letters"),
        pytest.param("co\u00adop\u200beration", "cooperation", id="characters of no width"),
        pytest.param("10\u00a0km", "10 km", id="a space that doesn't break"),
        pytest.param("9–17 h", "9-17 h", id="dashes"),
        pytest.param("\u202bשלום\u202c", "שלום", id="marks of direction"),
    ],
)
def test_texts_that_look_alike_are_alike(written: str, alike: str) -> None:
    """Nobody sees the difference, so no metric does."""
    assert normalise(written) == normalise(alike)
    assert normalise(normalise(written)) == normalise(written)


def test_other_words_stay_different() -> None:
    """Accents make words."""
    assert normalise("resume") != normalise("résumé")
