"""A check's result for terminals and logs."""

from collections.abc import Iterator

from softlaunch.core.visible import one_line
from softlaunch.evals.statistics.report import CaseRow
from softlaunch.pull_requests.formats.escaping import neutral, on_terminal, shortened
from softlaunch.pull_requests.formats.sentences import (
    change_lines,
    compared_sides,
    figures,
    gate_lines,
    headline,
    notes_of,
    pair_line,
    spent,
)
from softlaunch.pull_requests.results import AppResult, CheckResult, Conclusion, Judged

_LONGEST = 500


def to_text(result: CheckResult) -> str:
    """The result in words, worst cases side by side beneath each other."""
    return "\n".join([*_lines(result), ""])


def _lines(result: CheckResult) -> Iterator[str]:
    yield _said(f"Checked {compared_sides(result)}.")
    for reason in result.withheld:
        yield _said(f"No model was asked: {reason}.")
    for app in result.touched:
        yield ""
        yield from _app_lines(app)
    yield ""
    yield _said(spent(result))
    yield _said(headline(result))


def _app_lines(app: AppResult) -> Iterator[str]:
    yield _said(f"App {app.name}: {app.conclusion.value}")
    if app.problem:
        yield on_terminal(app.problem)
    if app.change is not None:
        yield from (f"- {_said(line)}" for line in change_lines(app.change))
    yield from (f"- warning: {_said(line)}" for line in app.warnings)
    for result in app.pairs:
        yield ""
        yield _said(f"Variant {result.pair.name}: {result.conclusion.value}")
        yield f"- {_said(pair_line(result.pair))}"
        for judged in result.judged:
            yield from judged_lines(judged)
        for row in result.worst if result.conclusion is not Conclusion.PASS else ():
            yield from case_lines(row)


def judged_lines(judged: Judged) -> Iterator[str]:
    """A judgement: its figures, and what else is to be said of it."""
    where = f"By {judged.on}: " if judged.on else "Verdict: "
    yield f"- {where}{judged.conclusion.value}"
    if judged.compared is None:
        yield f"  - {_said(judged.reason)}"
    else:
        report = judged.compared.report
        yield from (f"  - {_said(figures(one))}: {one.outcome.value}" for one in report.metrics)
        yield from (f"  - {_said(line)}" for line in gate_lines(report))
    yield from (f"  - {_said(line)}" for line in notes_of(judged))


def case_lines(row: CaseRow) -> Iterator[str]:
    """A case with both answers, one beneath the other."""
    yield _said(f"- Case {row.case_id}: {_score(row.stable.mean)} -> {_score(row.candidate.mean)}")
    for name, text in (
        ("asked", row.asked),
        ("wanted", row.wanted),
        ("base", row.stable.answer or row.stable.error or ""),
        ("head", row.candidate.answer or row.candidate.error or ""),
    ):
        yield f"  {name}:"
        yield on_terminal(shortened(text, _LONGEST))


def _score(mean: float | None) -> str:
    return "-" if mean is None else f"{mean * 100:.0f} %"


def _said(sentence: str) -> str:
    return neutral(one_line(sentence))
