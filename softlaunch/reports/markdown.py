"""The text of Prefect artifacts: what a stage compared, how a release went, what a cleanup plans."""

import re
from collections.abc import Mapping, Sequence

from softlaunch.core.formatting import show_harm, show_interval, show_moment, show_value
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Met, Outcome
from softlaunch.core.visible import one_line, visible
from softlaunch.notify.links import Links, is_address
from softlaunch.releases.views import ReleaseView, StageView
from softlaunch.releases.wording import (
    evidence_unit,
    has_met,
    outcome_rows,
    show_counts,
    show_evidence,
    show_exposure,
    show_met,
)
from softlaunch.reports.live_words import show_live
from softlaunch.reports.similarity_words import show_shadow
from softlaunch.retention.cleanup_run import Plan

_HTML = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
_MARKS = re.compile(r"[\\\[\]|`]")


def stage_markdown(view: ReleaseView, stage: StageView, links: Links) -> str:
    """What was compared in a stage, gate by gate, what came of it, and where to read on."""
    release = view.release
    lines = [
        f"# {release.app}: {stage.stage.name} - {stage.record.state}",
        "",
        f"{release.id}: {_code(release.stable.label)} -> {_code(release.candidate.label)}",
        "",
        f"{_cell(stage.record.reason) or 'under way'}. Compared: {show_counts(stage)}.",
        "",
    ]
    told = [line for text in (show_shadow(view, stage), _cell(show_live(stage))) if text for line in (text, "")]
    return "\n".join([*lines, *_verdict_table(stage_table(stage)), "", *told, *_read_on(view, stage, links)])


def stage_table(stage: StageView) -> list[Mapping[str, str]]:
    """A row a gate, for a table that can be sorted; empty where no gate has judged anything.

    An arm's figures are what its users met; where nobody can tell, those of the evidence.
    """
    known, counted = has_met(stage.verdicts), evidence_unit(stage)
    return [
        {
            "gate": verdict.name,
            "role": str(verdict.role),
            "verdict": str(verdict.outcome),
            "candidate": _arm(verdict.gate, verdict.candidate_met, verdict.candidate_value, known=known),
            "stable": _arm(verdict.gate, verdict.stable_met, verdict.stable_value, known=known),
            "harm": show_harm(verdict.gate, verdict.harm),
            "interval": show_interval(verdict.gate, verdict.interval),
            "margin": show_harm(verdict.gate, verdict.margin),
            "evidence": show_evidence(verdict, counted),
            "why": verdict.reason,
        }
        for verdict in stage.verdicts
    ]


def _arm(gate: str, met: Met | None, measured: float | None, *, known: bool) -> str:
    return show_met(gate, met) if known else show_value(gate, measured)


def release_markdown(view: ReleaseView, links: Links) -> str:
    """How a release went, stage by stage, with who was exposed to the candidate, and where to read on."""
    release = view.release
    lines = [
        f"# {release.app}: {release.state}",
        "",
        f"{release.id}: {_code(release.stable.label)} -> {_code(release.candidate.label)}",
        "",
        f"**{_cell(release.reason or 'under way')}**",
        "",
        *([f"Emergency, nothing was compared: {_code(release.emergency)}", ""] if release.emergency else []),
        show_exposure(view.exposure),
        "",
        *_outcome_table(view),
        "| stage | result | compared | why |",
        "| --- | --- | --- | --- |",
        *(
            f"| {stage.stage.name} | {stage.record.state} | {show_counts(stage)} | {_cell(stage.record.reason)} |"
            for stage in view.stages
        ),
        "",
        "| when (UTC) | became | why | by |",
        "| --- | --- | --- | --- |",
        *(
            f"| {show_moment(step.happened_at)} | {step.to_state} | {_cell(step.reason)} | {_cell(step.actor)} |"
            for step in view.history
        ),
        "",
        *_read_on(view, view.stages[release.position], links),
    ]
    return "\n".join(lines)


def _outcome_table(view: ReleaseView) -> list[str]:
    """What became of each arm's requests in the stage in force, where not all were simply answered."""
    rows = outcome_rows(view.outcomes)
    if not rows:
        return []
    head = [f"| outcome at {view.release.stage.name} | candidate | stable |", "| --- | --- | --- |"]
    return [*head, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _verdict_table(table: Sequence[Mapping[str, str]]) -> list[str]:
    if not table:
        return ["No gate has judged anything."]
    columns = list(table[0])
    return [
        f"| {' | '.join(columns)} |",
        f"|{' --- |' * len(columns)}",
        *(f"| {' | '.join(_judged(column, row[column]) for column in columns)} |" for row in table),
    ]


def _judged(column: str, text: str) -> str:
    return f"**{text}**" if column == "verdict" else _cell(text)


def _read_on(view: ReleaseView, stage: StageView, links: Links) -> list[str]:
    """The release's page, and the runbook of each gate that failed."""
    failed = [Metric.named(verdict.gate) for verdict in stage.verdicts if verdict.outcome is Outcome.FAIL]
    kinds = [IncidentKind.of_metric(metric) for metric in failed if metric is not None]
    runbooks = [f"Runbook: {_link(kind.words, links.runbook(kind))}" for kind in kinds]
    report = _link(f"{view.release.id}.html", links.report(view.release.id))
    return [f"Report: {report}", *(line for runbook in runbooks for line in ("", runbook))]


def _link(words: str, place: str) -> str:
    """A link where the place has an address, its path where it is a file."""
    return f"[{words}]({place})" if is_address(place) else _code(place)


def _code(text: str) -> str:
    return f"`{one_line(text).replace('`', '')}`"


def _cell(text: str) -> str:
    """Other people's words in a line of Markdown: no cell, link, code or HTML of theirs."""
    plain = visible(text).replace("\n", " ").translate(_HTML)
    return _MARKS.sub(r"\\\g<0>", plain)


def plan_markdown(plan: Plan, archive: str) -> str:
    """What would be deleted, why, how much it is, and what it costs a month before and after."""
    lines = ["| what | kept | to delete | MB | why |", "|---|---|---|---|---|"]
    for part in plan.parts:
        why = ", ".join(f"{reason}: {count}" for reason, count in sorted(part.totals.reasons.items())) or "-"
        size = f"{part.totals.deleted_bytes / 1e6:.1f}"
        lines.append(f"| {part.kind} | {part.totals.kept} | {part.totals.deleted} | {size} | {why} |")
    lines += ["", f"List prices: {plan.usd_now:.2f} USD a month in the ledger, {plan.usd_archived:.2f} in {archive}."]
    first = [f"- {part.kind} `{choice.item.key}`: {choice.reason}" for part in plan.parts for choice in part.first]
    return "\n".join([*lines, "", *first])
