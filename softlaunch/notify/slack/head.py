"""The head of a release's thread: where it stands, kept true in place."""

from collections.abc import Sequence

from slack_sdk.models.blocks import Block, HeaderBlock, PlainTextObject

from softlaunch.core.formatting import show_harm, show_interval, show_pair
from softlaunch.core.verdict import Met, Outcome, Verdict
from softlaunch.core.visible import one_line
from softlaunch.ledger.stages import StageState
from softlaunch.notify.links import Links
from softlaunch.notify.slack.blocks import HEADER, bar, button, buttons, clip, context, escape, link, section, words
from softlaunch.policy.release import Kind, State
from softlaunch.releases.early import may_advance_early
from softlaunch.releases.views import ReleaseView, StageView
from softlaunch.releases.wording import LATELY, evidence_unit, has_met, show_early, show_exposure

ROLL_BACK = "softlaunch_roll_back"
ADVANCE = "softlaunch_advance"
_STATES = {
    State.PROMOTED: ":white_check_mark:",
    State.REJECTED: ":no_entry:",
    State.ROLLED_BACK: ":leftwards_arrow_with_hook:",
    State.ABORTED: ":black_square_for_stop:",
}
_STAGES = {StageState.WAITING: "·", StageState.RUNNING: "▶", StageState.PASSED: "✔", StageState.ENDED_EARLY: "»"}
_OUTCOMES = {Outcome.PASS: "✔", Outcome.FAIL: "✘", Outcome.ERROR: "!", Outcome.INCONCLUSIVE: "…"}

_PHONE = 45


def head_text(view: ReleaseView) -> str:
    """The release in one line, for notifications and for readers of plain text."""
    release = view.release
    where = release.stage.name if release.state.live else str(release.state).replace("_", " ")
    return f"{release.id}: {where} - {release.candidate.label} in place of {release.stable.label}"


def head_blocks(view: ReleaseView, links: Links, shown: Sequence[Block] = ()) -> list[Block]:
    """A release, its progress, its gates' verdicts and what is `shown` of them, its exposure, and buttons."""
    release = view.release
    where = release.stage.name if release.state.live else str(release.state).replace("_", " ")
    blocks: list[Block] = [
        HeaderBlock(text=PlainTextObject(text=clip(f"{release.id} · {where}", HEADER))),
        section(f"{words(release.stable.label, 400)} → *{words(release.candidate.label, 400)}*\n{_state_line(view)}"),
        section(_progress(view)),
    ]
    judged = _judged(view)
    if judged is not None:
        blocks.append(section(_table(judged)))
    blocks += shown
    blocks.append(context(words(show_exposure(view.exposure)), f"Started by {words(release.opened_by, 200)}"))
    blocks.append(context(_links(view, links)))
    return blocks + _actions(view)


def _state_line(view: ReleaseView) -> str:
    release = view.release
    mark = _STATES.get(release.state, ":large_blue_circle:")
    frozen = f"\n:snowflake: {words(view.frozen_words, 500)}" if view.frozen else ""
    early = f"\n:fast_forward: {words(show_early(view), 500)}" if view.early else ""
    return f"{mark} *{release.state}* {words(release.reason or 'opened', 1500)}{frozen}{early}".replace(
        "_back*", " back*"
    )


def _progress(view: ReleaseView) -> str:
    """A line a stage, and the share of users as a bar."""
    lines = [_stage_line(stage) for stage in view.stages]
    release = view.release
    weight = (
        release.stage.weight_percent if release.state is State.CANARY else 100.0 * (release.state is State.PROMOTED)
    )
    only = release.stage.only if release.state is State.CANARY else None
    whom = "users" if only is None else words(only.words, 100)
    return "\n".join([*lines, f"`{bar(weight / 100, 20)}` {weight:g} % of {whom} on the candidate"])


def _stage_line(stage: StageView) -> str:
    mark = _STAGES.get(stage.record.state, "✘")
    name = f"*{escape(stage.stage.name)}*" if stage.record.state is StageState.RUNNING else escape(stage.stage.name)
    calls, requests = stage.calls, stage.requests
    if calls.done or calls.planned:
        return f"{mark} {name} - {calls.done:,} of {calls.planned:,} calls"
    if requests.candidate or requests.stable:
        return f"{mark} {name} - {requests.candidate:,} vs {requests.stable:,} requests"
    return f"{mark} {name}"


def _judged(view: ReleaseView) -> StageView | None:
    """The newest stage that has verdicts."""
    reached = [stage for stage in view.stages[: view.release.position + 1] if stage.verdicts]
    return reached[-1] if reached else None


def _table(stage: StageView) -> str:
    """A gate's verdict, harm so far as a share of the margin, and both in figures; below it what users met."""
    counted = evidence_unit(stage)
    rows = [line for verdict in stage.verdicts[:12] for line in _rows(verdict, counted)]
    title = f"{stage.stage.name}: candidate/stable" if has_met(stage.verdicts) else stage.stage.name
    return f"{escape(title)}\n```" + "\n".join(rows) + "```"


def _rows(verdict: Verdict, counted: str) -> list[str]:
    """Lines that fit a phone."""
    share = 0.0 if verdict.harm is None or not verdict.margin else verdict.harm / verdict.margin
    harm, margin = show_harm(verdict.gate, verdict.harm), show_harm(verdict.gate, verdict.margin) + verdict.per.words
    gate = one_line(clip(verdict.gate, 13)).replace("`", "'")
    lines = [f"{_OUTCOMES[verdict.outcome]} {gate:<13} {bar(share, 8)} {harm} of {margin}"]
    if has_met([verdict]):
        evidence = f"{verdict.candidate_count:,}/{verdict.stable_count:,} {counted}"
        lines += [f"  {show_interval(verdict.gate, verdict.interval)}, {evidence}", *_met(verdict)]
    return [escape(line) for line in lines]


def _met(verdict: Verdict) -> list[str]:
    gate, candidate, stable = verdict.gate, verdict.candidate_met or Met(), verdict.stable_met or Met()
    met, lately = show_pair(gate, candidate.value, stable.value), show_pair(gate, candidate.lately, stable.lately)
    line = f"  met {met}, {LATELY} {lately}"
    lines = [line] if len(line) <= _PHONE else [f"  met {met}", f"  {LATELY} {lately}"]
    if candidate.slow is not None or stable.slow is not None:
        lines.append(f"  p95 {show_pair(gate, candidate.slow, stable.slow)}")
    return lines


def _links(view: ReleaseView, links: Links) -> str:
    console = links.console(view.release.id)
    shown = [link("Console", console)] if console else []
    shown.append(link("Report", links.report(view.release.id)))
    if view.release.run_url:
        shown.append(link("Run in Prefect", view.release.run_url))
    return "  ·  ".join(shown)


def _actions(view: ReleaseView) -> list[Block]:
    release = view.release
    if not (release.state.live or release.state is State.PROMOTED):
        return []
    promoted = not release.state.live or release.kind is Kind.TOPLINE
    text = "Roll back" if release.state.exposes_users or promoted else "Stop"
    early = [button("Advance early", ADVANCE, f"{release.id} {release.position}")]
    offered = early if may_advance_early(release) and not view.early else []
    return buttons(button(text, ROLL_BACK, release.id, style="danger"), *offered)
