"""A check's result as a comment on a pull request: one that is found by its first line, and updated in place.

GitHub takes 65,536 characters. What is longest is shortened first, then left out: the answers, then the changed words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from softlaunch.core.word_diff import Op
from softlaunch.evals.statistics.report import CaseRow, EvalReport
from softlaunch.pull_requests.changes import Pair
from softlaunch.pull_requests.formats.escaping import code, html, prose, shortened
from softlaunch.pull_requests.formats.sentences import (
    change,
    change_lines,
    compared_sides,
    gate_lines,
    notes_of,
    spent,
    value,
)
from softlaunch.pull_requests.results import MEANINGS, AppResult, CheckResult, Conclusion, Judged, PairResult

MARKER = "<!-- softlaunch check -->"
"""The first line of every comment, by which the next check finds it."""
LONGEST_COMMENT = 65_536
_SIGNS = {
    Conclusion.BROKEN: "❌",
    Conclusion.FAIL: "❌",
    Conclusion.REVIEW: "⚖️",
    Conclusion.INCONCLUSIVE: "❔",
    Conclusion.NOT_JUDGED: "➖",
    Conclusion.PASS: "✅",
    Conclusion.UNCHANGED: "✅",
}
_TAGS = {Op.SAME: ("", ""), Op.REMOVED: ("<del>", "</del>"), Op.ADDED: ("<ins>", "</ins>")}


@dataclass(frozen=True, slots=True)
class _Detail:
    """How much is shown: characters of an answer and of a changed part, and of any other line; 0 leaves them out."""

    answer: int
    part: int
    line: int = 2000
    apps: int = 100


_DETAILS = (_Detail(1500, 4000), _Detail(500, 1000), _Detail(200, 0, 1000), _Detail(0, 0, 500), _Detail(0, 0, 200, 20))


def to_markdown(result: CheckResult) -> str:
    """The comment, at most as long as GitHub takes."""
    for detail in _DETAILS:
        text = "\n".join(_lines(result, detail)) + "\n"
        if len(text) <= LONGEST_COMMENT:
            return text
    return "\n".join([*_head(result), "", "It is too long for a comment; read the log of the job.", ""])


def _head(result: CheckResult) -> list[str]:
    conclusion = result.conclusion
    meaning = MEANINGS[conclusion]
    title = f"### {_SIGNS[conclusion]} softlaunch check: {conclusion.value}"
    return [MARKER, title, "", f"{meaning[0].upper()}{meaning[1:]}."]


def _lines(result: CheckResult, detail: _Detail) -> Iterator[str]:
    yield from _head(result)
    for reason in result.withheld:
        yield f"- No model was asked: {_cut(reason, detail)}"
    for app in result.touched[: detail.apps]:
        yield ""
        yield from _app_lines(app, detail)
    if len(result.touched) > detail.apps:
        yield f"\n{len(result.touched) - detail.apps:,} more apps are left out here; read the log of the job."
    yield ""
    yield f"<sub>{_cut(compared_sides(result), detail)}. {spent(result)}</sub>"


def _app_lines(app: AppResult, detail: _Detail) -> Iterator[str]:
    yield f"#### {code(app.name)}: {app.conclusion.value}"
    yield ""
    if app.problem:
        yield f"<pre>{html(shortened(app.problem, detail.line))}</pre>"
    if app.change is not None:
        yield from (f"- {_cut(line, detail)}" for line in change_lines(app.change))
    yield from (f"- warning: {_cut(line, detail)}" for line in app.warnings)
    for result in app.pairs:
        yield ""
        yield from _pair_lines(result, detail)


def _pair_lines(result: PairResult, detail: _Detail) -> Iterator[str]:
    pair = result.pair
    yield f"**{_SIGNS[result.conclusion]} Variant** {code(pair.name)}**: {result.conclusion.value}**"
    yield ""
    yield f"{code(pair.base.label)} → {code(pair.head.label)}, {_cut(pair.why, detail)}"
    for judged in result.judged:
        yield ""
        yield from _judged_lines(judged, detail)
    if result.worst and detail.answer:
        yield ""
        yield from _worst(result.worst, detail)
    if detail.part:
        yield ""
        yield from _changed(pair, detail)


def _judged_lines(judged: Judged, detail: _Detail) -> Iterator[str]:
    if judged.on:
        yield f"By {judged.on}: **{judged.conclusion.value}**"
        yield ""
    if judged.compared is None:
        yield f"- {_cut(judged.reason, detail)}"
    else:
        yield from _table(judged.compared.report)
        yield ""
        yield from (f"- {_cut(line, detail)}" for line in gate_lines(judged.compared.report))
    yield from (f"- {_cut(line, detail)}" for line in notes_of(judged))


def _table(report: EvalReport) -> Iterator[str]:
    yield "| metric | verdict | base | head | difference | interval | tolerance |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for one in report.metrics:
        unit = "%" if one.relative else "points"
        between = f"{change(one, one.bounds.lower)} to {change(one, one.bounds.upper)}"
        cells = (
            code(one.metric, in_table=True),
            f"**{one.outcome.value}**",
            value(one, one.stable),
            value(one, one.candidate),
            f"{change(one, one.difference)} {unit}",
            f"{between} {unit}",
            f"{one.margin * 100:g} {unit}",
        )
        yield f"| {' | '.join(cells)} |"


def _worst(rows: Sequence[CaseRow], detail: _Detail) -> Iterator[str]:
    """The worst cases, a table of HTML: in it no line of an answer is Markdown."""
    yield f"<details><summary>The {len(rows)} cases that lost most, side by side</summary>"
    yield "<table><tr><th>case</th><th>asked, and wanted</th><th>base</th><th>head</th></tr>"
    for row in rows:
        asked = f"{_pre(row.asked, detail)}{_pre(row.wanted, detail) if row.wanted else ''}"
        cells = (
            f"<code>{html(row.case_id)}</code>",
            asked,
            _arm(row, detail, head=False),
            _arm(row, detail, head=True),
        )
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    yield "</table></details>"


def _arm(row: CaseRow, detail: _Detail, *, head: bool) -> str:
    arm = row.candidate if head else row.stable
    score = "-" if arm.mean is None else f"{arm.mean * 100:.0f} %"
    return f"{score}{_pre(arm.answer or arm.error or '', detail)}"


def _pre(text: str, detail: _Detail) -> str:
    return f"<pre>{html(shortened(text, detail.answer))}</pre>"


def _changed(pair: Pair, detail: _Detail) -> Iterator[str]:
    """What differs, word by word."""
    yield f"<details><summary>What changes: {len(pair.parts)} parts</summary>"
    for part in pair.parts:
        room, words = detail.part, []
        for piece in part.pieces:
            opened, closed = _TAGS[piece.op]
            words.append(f"{opened}{html(shortened(piece.text, room))}{closed}")
            room -= len(piece.text)
            if room <= 0:
                break
        yield f"<p><code>{html(part.part)}</code></p><pre>{''.join(words)}</pre>"
    yield "</details>"


def _cut(sentence: str, detail: _Detail) -> str:
    return prose(shortened(sentence, detail.line))
