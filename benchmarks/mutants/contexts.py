"""A plugin for pytest: notes which test runs which line, how it ended, and how long it took.

It is loaded before anything of the project is, so that lines that run once, at import, are known as such. What runs
in another process than the test's is not seen.
"""

import json
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import coverage
import pytest

from benchmarks.mutants.covering import FOLDER, LINES, TESTS

_PACKAGES = ("softlaunch", "deployments")

_folder = Path(os.environ[FOLDER])
_measured = coverage.Coverage(str(_folder / LINES), config_file=False, include=[f"{name}/*" for name in _PACKAGES])
_measured.set_option("run:relative_files", True)
_measured.start()
_tests: dict[str, dict[str, Any]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test with its fixtures."""
    _measured.switch_context(item.nodeid)
    began = time.perf_counter()
    try:
        return (yield)
    finally:
        _measured.switch_context("")
        _tests.setdefault(item.nodeid, {"passed": False})["seconds"] = time.perf_counter() - began


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Only what ran and passed can notice anything."""
    noted = _tests.setdefault(report.nodeid, {"passed": False})
    if report.when == "call":
        noted["passed"] = report.passed
    elif report.failed:
        noted["passed"] = False


def pytest_sessionfinish() -> None:
    """Leave the notes."""
    _measured.stop()
    _measured.save()
    (_folder / TESTS).write_text(json.dumps(_tests))
