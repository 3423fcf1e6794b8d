"""The report of a run of pytest: every eval of every test, in the file that --softlaunch-report names."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Report:
    """Collects what tests' evals found, from workers too, and writes it when the run ends."""

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path.suffix not in _WRITERS:
            known = ", ".join(_WRITERS)
            raise pytest.UsageError(f"--softlaunch-report {self.path}: the ending says how it is written: {known}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the evals of a test that has ended."""
        self.rows.extend({"test": report.nodeid, **one} for one in getattr(report, "softlaunch", ()))

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        self.path.write_text(_WRITERS[self.path.suffix](self.rows), encoding="utf-8", errors="backslashreplace")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where it is."""
        terminalreporter.write_line(f"softlaunch: {len(self.rows)} evals, see {self.path}")


def _to_json(rows: Rows) -> str:
    return json.dumps({"format": 1, "evals": list(rows)}, indent=2) + "\n"


def _to_markdown(rows: Rows) -> str:
    from softlaunch.pull_requests.formats.escaping import code, html

    lines = ["### softlaunch: evals of this run", "", "| test | eval | verdict | calls |", "| --- | --- | --- | --- |"]
    for row in rows:
        cells = (code(row["test"], in_table=True), code(row["eval"], in_table=True), row["outcome"], str(_calls(row)))
        lines.append(f"| {' | '.join(cells)} |")
    for row in rows:
        lines += ["", f"<details><summary>{row['outcome']}</summary><pre>{html(row['text'])}</pre></details>"]
    return "\n".join([*lines, ""])


def _to_html(rows: Rows) -> str:
    from softlaunch.reports.html import page_environment

    page = page_environment().get_template("evals_of_tests.html.j2")
    return page.render(rows=[{**row, "calls": _calls(row)} for row in rows])


def _calls(row: dict[str, Any]) -> int:
    return int((row["comparison"] or {"calls": 0})["calls"])


_WRITERS: dict[str, Callable[[Rows], str]] = {".html": _to_html, ".md": _to_markdown, ".json": _to_json}
