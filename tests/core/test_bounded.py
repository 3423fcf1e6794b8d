"""Functions in a process that is ended when they take too long or too much memory."""

import math
import operator
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from softlaunch.core.bounded import BeyondLimitsError, Helper
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def helper() -> Iterator[Helper]:
    """One with small limits."""
    one = Helper(cpu_seconds=0.2, wall_seconds=0.6, memory_bytes=256 << 20)
    yield one
    one.close()


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        pytest.param(re.search, (r"^(a+)+$", "a" * 40 + "!"), "longer than 0.2 s of processor time", id="a regex"),
        pytest.param(time.sleep, (30,), "or 0.6 s in all", id="sleep"),
        pytest.param(operator.mul, ("a", 1 << 30), "more memory than 256 MB", id="memory"),
        pytest.param(os._exit, (3,), r"ended the process that it ran in \(exit code 3\)", id="an end"),
    ],
)
def test_what_passes_a_limit_is_ended(helper: Helper, function: Any, arguments: tuple[Any, ...], said: str) -> None:
    """The caller goes on with an error that says what it took too much of, and so does the next call."""
    with pytest.raises(BeyondLimitsError, match=said):
        helper.call(function, *arguments)
    assert helper.call(math.factorial, 5) == 120


def test_what_is_raised_arrives(helper: Helper) -> None:
    """As it is; the process goes on."""
    with pytest.raises(re.error, match="unterminated"):
        helper.call(re.compile, "[a")


def test_large_values_go_both_ways(helper: Helper) -> None:
    """Also those that don't fit in a pipe."""
    assert helper.call(operator.mul, "ab" * 1_000_000, 2) == "ab" * 2_000_000


def test_threads_get_their_own_answers(helper: Helper) -> None:
    """However many share it."""
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: helper.call(operator.neg, number), range(200))) == [*range(0, -200, -1)]


def test_ctrl_c_ends_a_caller_at_once() -> None:
    """A match that backtracks for ever doesn't hold the program that waits for it."""
    waits = (
        "import re\nfrom softlaunch.core.bounded import Helper\nprint('begins', flush=True)\n"
        "Helper(60, 60, 1 << 30).call(re.search, r'^(a+)+$', 'a' * 60 + '!')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", waits], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=10)[1]


def test_nothing_of_the_folder_that_somebody_is_in_is_imported(tmp_path: Path) -> None:
    """A checkout with a module called like one of Python's own must not have it run."""
    (tmp_path / "struct.py").write_text("raise SystemExit('run')")
    calls = (
        f"import sys; sys.path[0] = {str(ROOT)!r}; from softlaunch.core.bounded import OURS; print(OURS.call(abs, -1))"
    )
    done = subprocess.run([sys.executable, "-c", calls], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("1\n", 0)
