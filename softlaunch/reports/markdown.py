"""The text of Prefect artifacts: what a stage compared, and how a release went."""

from collections.abc import Sequence

from softlaunch.reports.wording import show_counts, show_exposure, show_harm, show_interval, show_moment, show_value
from softlaunch.verdict import Verdict
from softlaunch.views import ReleaseView, StageView


def stage_markdown(view: ReleaseView, stage: StageView) -> str:
    """What was compared in a stage, gate by gate, and what came of it."""
    release = view.release
    lines = [
        f"# {release.app}: {stage.stage.name} - {stage.record.state}",
        "",
        f"{release.id}: {_code(release.stable.label)} -> {_code(release.candidate.label)}",
        "",
        f"{stage.record.reason or 'under way'}. Compared: {show_counts(stage)}.",
        "",
    ]
    return "\n".join([*lines, *_verdict_table(stage.verdicts)])


def release_markdown(view: ReleaseView) -> str:
    """How a release went, stage by stage, with who met the candidate."""
    release = view.release
    lines = [
        f"# {release.app}: {release.state}",
        "",
        f"{release.id}: {_code(release.stable.label)} -> {_code(release.candidate.label)}",
        "",
        f"**{release.reason or 'under way'}**",
        "",
        show_exposure(view.exposure),
        "",
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
    ]
    return "\n".join(lines)


def _verdict_table(verdicts: Sequence[Verdict]) -> list[str]:
    if not verdicts:
        return ["No gate has judged anything."]
    rows = [
        f"| {verdict.gate} | {verdict.role} | **{verdict.outcome}** | "
        f"{show_value(verdict.gate, verdict.candidate_value)} | {show_value(verdict.gate, verdict.stable_value)} | "
        f"{show_harm(verdict.gate, verdict.harm)} | {show_interval(verdict.gate, verdict.interval)} | "
        f"{show_harm(verdict.gate, verdict.margin)} | {verdict.candidate_count:,} / {verdict.stable_count:,} | "
        f"{_cell(verdict.reason)} |"
        for verdict in verdicts
    ]
    return [
        "| gate | role | verdict | candidate | stable | harm | interval | margin | candidate / stable | why |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *rows,
    ]


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
