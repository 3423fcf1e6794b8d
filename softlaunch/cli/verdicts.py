"""Verdicts in a terminal: a line a gate, with what users met beside what the gate makes of it."""

from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from softlaunch.cli.output import console
from softlaunch.core.formatting import show_pair
from softlaunch.core.verdict import Met, Outcome, Verdict
from softlaunch.core.visible import one_line
from softlaunch.releases.wording import LATELY, has_met, show_estimate, show_prediction

_COLOURS = {
    Outcome.PASS: "green",
    Outcome.FAIL: "red",
    Outcome.ERROR: "red",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.REVIEW: "yellow",
}
_WHOLE, _NARROW = 100, 78
"""Widths from which on everything stands in one table, and from which on only values may go on in the next line."""
_ALL, _MEASURED, _HARM = "all requests", "measured", "harm (between) of margin"


def verdict_table(title: str, verdicts: Sequence[Verdict], counted: str, arms: str = "candidate/stable") -> Group:
    """A line a gate; a magnitude's 95th percentile, and what a gate that doesn't pass has to say, stand below.

    Values are pairs of both arms. Where it is known what users met, they are that; elsewhere they are those of the
    evidence, which is so many of what is `counted`.
    """
    met = has_met(verdicts)
    values = (_ALL, LATELY) if met else (_MEASURED,)
    judged = (_HARM, counted)
    rows = [row for verdict in verdicts for row in _rows(verdict, counted, met=met)]
    whole = console.width >= _WHOLE
    tables = [_table(("gate", "verdict", *values, *judged), rows)] if whole else _two_tables(values, judged, rows)
    tables[0].title, tables[0].title_justify = f"{title}: {arms}", "left"
    reasons = [
        Text(one_line(f"  {verdict.name}: {verdict.reason}"), style="dim")
        for verdict in verdicts
        if verdict.outcome is not Outcome.PASS
    ]
    predicted = [
        Text(one_line(f"  {verdict.name}: {show_prediction(verdict)}"), style="dim")
        for verdict in verdicts
        if verdict.prediction is not None
    ]
    return Group(*tables, *reasons, *predicted)


def _two_tables(values: Sequence[str], judged: Sequence[str], rows: Sequence[Mapping[str, str | Text]]) -> list[Table]:
    return [_table(("gate", "verdict", *judged), rows), _table(("gate", *values), rows)]


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, str | Text]]) -> Table:
    """These columns of the rows that have more of them than a name. No figure is ever cut."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        is_value = column in {_ALL, LATELY, _MEASURED}
        table.add_column(column, overflow="fold", no_wrap=console.width >= _NARROW and not is_value)
    for row in rows:
        if len(row.keys() & set(columns)) > 1:
            table.add_row(*(row.get(column, "") for column in columns))
    return table


def _rows(verdict: Verdict, counted: str, *, met: bool) -> list[dict[str, str | Text]]:
    """A gate's cells by column, and those of its 95th percentile."""
    gate = verdict.gate
    row: dict[str, str | Text] = {
        "gate": verdict.name,
        "verdict": Text(verdict.outcome, style=_COLOURS[verdict.outcome]),
        _HARM: show_estimate(verdict),
        counted: f"{verdict.candidate_count:,}/{verdict.stable_count:,}",
    }
    if not met:
        return [{**row, _MEASURED: show_pair(gate, verdict.candidate_value, verdict.stable_value)}]
    candidate, stable = verdict.candidate_met or Met(), verdict.stable_met or Met()
    row[_ALL] = show_pair(gate, candidate.value, stable.value)
    row[LATELY] = show_pair(gate, candidate.lately, stable.lately)
    if candidate.slow is None and stable.slow is None:
        return [row]
    return [row, {"gate": "  p95", _ALL: show_pair(gate, candidate.slow, stable.slow)}]
