"""Verdicts, stages and what users met, in words."""

from collections.abc import Iterable

from softlaunch.core.formatting import (
    UNKNOWN,
    is_relative,
    show_duration,
    show_harm,
    show_interval,
    show_pair,
    show_share,
    show_value,
)
from softlaunch.core.verdict import LATELY_MINUTES, Estimate, Met, Outcome, Per, Role, Verdict
from softlaunch.ledger.exposure import Exposure
from softlaunch.ledger.outcomes import StageOutcomes
from softlaunch.policy.release import StageKind, State
from softlaunch.policy.stage_limits import Limit
from softlaunch.releases.early import may_advance_early
from softlaunch.releases.views import ReleaseView, StageView

LATELY = f"last {LATELY_MINUTES} min"


def show_estimate(verdict: Verdict) -> str:
    """`+391 (+240 to …) of 10 %`: a gate's estimate of harm, its interval and its margin, in one unit."""
    gate, unit = verdict.gate, " %" if is_relative(verdict.gate) else " points"
    harm, interval = show_harm(gate, verdict.harm), show_interval(gate, verdict.interval)
    if verdict.margin is None:
        return harm
    between = "unknown" if interval in {"-", UNKNOWN} else interval.removesuffix(unit)
    return f"{harm.removesuffix(unit)} ({between}) of {show_harm(gate, verdict.margin).removeprefix('+')}"


def show_met(gate: str, met: Met | None) -> str:
    """`4.91 s (p95 9.80 s, last 5 min 5.02 s)`: what one arm's users met; a dash where nothing was measured."""
    if met is None or met.value is None:
        return "-"
    slow = "" if met.slow is None else f"p95 {show_value(gate, met.slow)}, "
    return f"{show_value(gate, met.value)} ({slow}{show_lately(gate, met)})"


def show_lately(gate: str, met: Met) -> str:
    """`last 5 min 5.02 s`; a dash in place of a value where nothing was measured."""
    return f"{LATELY} {show_value(gate, met.lately)}"


def show_evidence(verdict: Verdict, counted: str) -> str:
    """`4.80/1.00 s of 812/790 users`: the arms' values and how much they rest on, of what is `counted`."""
    shown = show_pair(verdict.gate, verdict.candidate_value, verdict.stable_value)
    counts = f"{verdict.candidate_count:,}/{verdict.stable_count:,} {counted}"
    return counts if shown == "-" else f"{shown} of {counts}"


def show_met_by(met: Met | None, per: Per = Per.REQUEST) -> str:
    """`1,412 requests of 151 users`: how much that is, of what is counted; a dash where nothing was measured."""
    if met is None or not met.requests:
        return "-"
    return f"{met.requests:,} {per.counted}" + (f" of {met.users:,} users" if met.users else "")


def show_prediction(verdict: Verdict) -> str:
    """What ratings alone say of the difference, and what they say with judges' scores; empty without.

    `candidate less stable: -7.9 points (-12 to -3.8) by 312 ratings; -7.2 points (-9.4 to -5) with quality of 290 of
    them and of other answers, an interval 34 % narrower`
    """
    found = verdict.prediction
    if found is None:
        return ""
    width = f"{abs(found.narrower) * 100:.0f} % {'narrower' if found.narrower >= 0 else 'wider'}"
    return (
        f"candidate less stable: {_points(found.plain)} by {found.ratings:,} ratings; {_points(found.powered)} with "
        f"{found.by} of {found.scored:,} of them and of other answers, an interval {width}"
    )


def _points(estimate: Estimate) -> str:
    value, lower, upper = (f"{100 * one:+.3g}" for one in (estimate.value, estimate.lower, estimate.upper))
    return f"{value} points ({lower} to {upper})"


def has_met(verdicts: Iterable[Verdict]) -> bool:
    """Whether anything is known of what users met, besides the evidence of the gates."""
    return any(verdict.candidate_met or verdict.stable_met for verdict in verdicts)


def evidence_unit(view: StageView) -> str:
    """What the evidence of a stage's gates is counted in: users' first visits, calls of an eval, or requests."""
    if view.stage.kind is StageKind.EVAL:
        return "calls"
    return "visits" if has_met(view.verdicts) else "requests"


def verdict_facts(verdict: Verdict) -> list[tuple[str, str]]:
    """A gate's figures in words, by name: what it makes of them, on what evidence, and what users met."""
    met = has_met([verdict])
    facts = [
        ("harm (between) of margin", show_estimate(verdict)),
        ("evidence of candidate/stable", show_evidence(verdict, "visits" if met else "requests")),
    ]
    for arm, seen in (("candidate", verdict.candidate_met), ("stable", verdict.stable_met)):
        facts += [(f"met on {arm}", f"{show_met(verdict.gate, seen)}, {show_met_by(seen, verdict.per)}")] if met else []
    return facts


def show_counts(view: StageView) -> str:
    """`120 of 360 calls`, or `34 candidate, 3,312 stable`."""
    if view.stage.kind is StageKind.EVAL:
        return f"{view.calls.done:,} of {view.calls.planned:,} calls" if view.calls.planned else "-"
    candidate, stable = view.requests.candidate, view.requests.stable
    return f"{candidate:,} candidate, {stable:,} stable" if candidate or stable else "-"


def show_limits(view: StageView) -> str:
    """What a stage under way still needs, and how long it may stay undecided; empty for any other.

    `Needs 40 of 100 requests in the smaller arm. May stay undecided for 5 min of 24 h or 40 of 1,200 units of the
    candidate, whichever ends first.`
    """
    minima = [one for one in view.limits if one.key.startswith("minimum_")]
    missing = [_show_limit(one) for one in minima if one.met < one.of]
    ends = [_show_limit(one) for one in view.limits if one not in minima]
    parts = [f"Needs {' and '.join(missing)}."] if missing else []
    if ends:
        first = ", whichever ends first" if len(ends) > 1 else ""
        parts.append(f"May stay undecided for {' or '.join(ends)}{first}.")
    return " ".join(parts)


def show_early(view: ReleaseView) -> str:
    """Who may end the stage in force early, or has decided to, as a sentence; empty where the policy lets nobody."""
    if view.early:
        return f"{view.early}; {view.release.stage.name} ends as soon as nothing prevents it."
    if not may_advance_early(view.release):
        return ""
    return "Approvers may start the next stage early, but never against harm or without evidence."


def _show_limit(limit: Limit) -> str:
    if limit.key in {"minimum_time", "deadline"}:
        return f"{show_duration(limit.met)} of {show_duration(limit.of)}"
    arm = " in the smaller arm" if limit.key.startswith("minimum_") else " of the candidate"
    return f"{limit.met:,.0f} of {limit.of:,.0f} {limit.key.rsplit('_', 1)[1]}{arm}"


def outcome_rows(outcomes: StageOutcomes) -> list[tuple[str, str, str]]:
    """What became of requests, the candidate's and stable's: a row an outcome; none where all were simply answered."""
    if outcomes.is_plain:
        return []
    rows = [(outcome.value, f"{candidate:,}", f"{stable:,}") for outcome, candidate, stable in outcomes.rows]
    excused = outcomes.excused
    if excused.candidate or excused.stable:
        rows.append(("excused of these", f"{excused.candidate:,}", f"{excused.stable:,}"))
    if outcomes.by_fallback.candidate or outcomes.by_fallback.stable:
        candidate = _part(outcomes.by_fallback.candidate, sum(outcomes.candidate.values()))
        stable = _part(outcomes.by_fallback.stable, sum(outcomes.stable.values()))
        rows.append(("by a fallback model", candidate, stable))
    return rows


def _part(count: int, of: int) -> str:
    """`12 (3.4 %)`: how many, and their share."""
    return f"{count:,} ({show_share(count / of)})" if of else "0"


def show_exposure(exposure: Exposure) -> str:
    """Who was exposed to the candidate, as a sentence."""
    if not exposure.all_units:
        return "No request of users was logged during the release."
    if not exposure.units:
        return "No user was exposed to the candidate."
    share = show_share(exposure.share_of_units)
    return (
        f"{exposure.units:,} of {exposure.all_units:,} users ({share}) were exposed to the candidate, "
        f"in {exposure.requests:,} of {exposure.all_requests:,} requests."
    )


def show_verdict(verdict: Verdict) -> str:
    """One line for a terminal: `latency pass (+1.9 %, margin +10 %)`."""
    return (
        f"{verdict.name} {verdict.outcome} ({show_harm(verdict.gate, verdict.harm)}, "
        f"margin {show_harm(verdict.gate, verdict.margin)})"
    )


def tell_state(view: ReleaseView) -> str:
    """How a release stands in a line: `rolled back at canary 5 %: errors +3.1 points`, `promoted: every stage passed`.

    What stopped it is the harm that its gates found; where a person did, or something else, the reason.
    """
    release = view.release
    if view.approvals:
        return f"waits for a person at {release.stage.name}: {view.approvals[0].text}"
    state = release.state.value.replace("_", " ")
    held = view.stages[release.position].record.reason
    if release.state.live and held and view.frozen is not None:
        return f"{state} {release.stage.name}, {held}"
    if release.state.live or release.state is State.PROMOTED:
        where = f" {release.stage.name}" if release.state.live else ""
        return f"{state}{where}: {release.reason}" if release.reason else f"{state}{where}"
    stopped = [one for one in view.stages[release.position].verdicts if one.outcome is Outcome.FAIL]
    harms = [
        f"{one.name} {show_harm(one.gate, one.harm)}"
        for one in stopped
        if one.role is not Role.MUTED and one.harm is not None
    ]
    return f"{state} at {release.stage.name}: {', '.join(harms) or release.reason}"
