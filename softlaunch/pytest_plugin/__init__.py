"""A plugin for pytest: evals of prompts as tests.

Whoever has softlaunch installed loads this module in every run of pytest, so it imports nothing else of softlaunch
until a test asks for an eval, or the command line for a report.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from softlaunch.pytest_plugin.evals import SoftlaunchEval
    from softlaunch.store.database import Database

__all__ = ["softlaunch_endpoint", "softlaunch_eval", "softlaunch_ledger"]

FOUND: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()
"""What a test's evals found, kept with the test until its report is made."""
_MARKER = (
    "softlaunch(app, variant, against, base, cases, budget_calls, budget_usd): what softlaunch_eval takes where its "
    "call says nothing else"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the plugin."""
    group = parser.getgroup("softlaunch", "evals of prompts (softlaunch)")
    group.addoption(
        "--softlaunch-report",
        metavar="FILE",
        help="write what the evals found into a file, whose ending says how: .html, .md or .json",
    )
    group.addoption("--softlaunch-dry", action="store_true", help="make no call: evals are planned, and not judged")
    group.addoption("--softlaunch-base", metavar="REV", help="compare each variant with what it was at this revision")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker; collect results where a report of them is wanted, in the process that writes it."""
    config.addinivalue_line("markers", _MARKER)
    path = config.getoption("--softlaunch-report")
    if path and not hasattr(config, "workerinput"):
        from softlaunch.pytest_plugin.report import Report

        config.pluginmanager.register(Report(config.invocation_params.dir / path), "softlaunch-report")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test's report carry what its evals found: reports reach the process that writes, whichever ran the test."""
    report = yield
    found = item.stash.get(FOUND, None)
    if found is not None and report.when == "call":
        report.__dict__["softlaunch"] = found  # a report goes from worker to controller with everything in it
    return report


@pytest.fixture(scope="session")
def softlaunch_ledger(request: pytest.FixtureRequest) -> "Iterator[Database | None]":
    """The ledger in which answers are kept, by SOFTLAUNCH_HOME and SOFTLAUNCH_DATABASE_URL; None in a dry run."""
    if request.config.getoption("--softlaunch-dry"):
        yield None
        return
    from softlaunch.core.settings import Settings
    from softlaunch.store.migrate import open_database

    database = open_database(Settings().ledger_url)
    yield database
    database.close()


@pytest.fixture(scope="session")
def softlaunch_endpoint() -> str | None:
    """The endpoint that all models are asked at; None leaves each its own. Override it to test against a stand-in."""
    return None


@pytest.fixture
def softlaunch_eval(
    request: pytest.FixtureRequest, softlaunch_ledger: "Database | None", softlaunch_endpoint: str | None
) -> "SoftlaunchEval":
    """Compare variants of an app on its golden set: `softlaunch_eval("apps/shop", variant="new").assert_no_worse()`."""
    from softlaunch.pytest_plugin.evals import SoftlaunchEval, wanted_by

    found: list[dict[str, Any]] = []
    request.node.stash[FOUND] = found
    marks = [mark.kwargs for mark in request.node.iter_markers("softlaunch")]
    defaults = wanted_by(marks, request.config.getoption("--softlaunch-base"))
    return SoftlaunchEval(request.config.rootpath, softlaunch_ledger, softlaunch_endpoint, defaults, found)
