"""The values and labels of axes."""

import pytest

from softlaunch.core.axes import labels, round_values


@pytest.mark.parametrize(
    ("start", "end", "most", "shown"),
    [
        pytest.param(0, 10.24, 6, ["0", "2", "4", "6", "8", "10"], id="an end that isn't round"),
        pytest.param(91.21, 91.29, 4, ["91.22", "91.24", "91.26", "91.28"], id="a range of hundredths"),
        pytest.param(-0.5, 0.5, 4, ["-0.5", "0.0", "0.5"], id="around zero"),
        pytest.param(0, 8, 8, ["0", "1", "2", "3", "4", "5", "6", "7", "8"], id="ends that are round"),
        pytest.param(120, 5120, 5, ["1000", "2000", "3000", "4000", "5000"], id="thousands"),
    ],
)
def test_axes_have_round_values_that_differ(start: float, end: float, most: int, shown: list[str]) -> None:
    """Nobody reads 5.12 off an axis, and no two labels are the same."""
    assert labels(round_values(start, end, most)) == shown
