"""Conditions that a step of a release raises alerts about, besides the gates' verdicts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from softlaunch.core.approvals import ApprovalState
from softlaunch.core.arms import ByArm
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.request_outcome import GOOD, UNUSABLE
from softlaunch.gates.gate_set import split_error
from softlaunch.ledger.outcomes import Counts
from softlaunch.ledger.stages import units_in
from softlaunch.live.progress import EVIDENCE as LIVE
from softlaunch.policy.release import StageKind
from softlaunch.releases.decision import Observation, Snapshot

ENOUGH_ANSWERS = 20
"""With fewer answers nothing is said of a provider."""
_FAILING, _WELL = 0.5, 0.2
_ENOUGH_EXPECTED = 10


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong, or is not any more; `key` distinguishes it from others of its kind."""

    kind: IncidentKind
    key: str
    present: bool
    summary: str
    evidence: Mapping[str, Any]


def examine(snapshot: Snapshot, observation: Observation) -> tuple[Condition, ...]:
    """Every condition of which a step can tell whether it is there."""
    if snapshot.release.stage.kind is StageKind.EVAL:
        return _expired(snapshot)
    found = [_not_following(snapshot, observation)]
    if snapshot.release.stage.kind is StageKind.TOPLINE:  # nobody waits for it, and quiet nights are no alarm
        return tuple(one for one in found if one is not None)
    found.append(_provider_down(snapshot, observation))
    if not snapshot.release.emergency:  # which has no stable that data or a split could be missing of
        found += [
            _no_data(snapshot, observation),
            _split_off(snapshot, observation),
            _judges_away(snapshot, observation),
        ]
    return (*_expired(snapshot), *(one for one in found if one is not None))


def _not_following(snapshot: Snapshot, observation: Observation) -> Condition | None:
    """An Envoy doesn't do what this stage asks for; None where none routes the app, or it may pass by itself."""
    release, trouble = snapshot.release, observation.router
    if release.policy.router is None or (trouble is not None and not trouble.is_lasting):
        return None
    why = "every Envoy follows" if trouble is None else f"{release.stage.name} isn't in force: {trouble.reason}"
    return Condition(
        IncidentKind.ENVOY_NOT_FOLLOWING,
        f"{release.id}:envoy_not_following:{release.position}",
        trouble is not None,
        why if trouble is None else f"{release.title}: {why}. The stage holds, and stable serves alone.",
        {"stage": release.stage.name, **({} if trouble is None else trouble.evidence)},
    )


def _no_data(snapshot: Snapshot, observation: Observation) -> Condition:
    """Nothing complete was seen for long, or one side is silent where the other one isn't."""
    release, limit = snapshot.release, snapshot.release.policy.no_data_after
    entered = snapshot.entered_at.timestamp() if snapshot.entered_at else snapshot.now.timestamp()
    silent_seconds = snapshot.now.timestamp() - max(observation.seen_until or entered, entered)
    silent = _silent_side(observation.requests, release.stage.candidate_share)
    why = ""
    if silent_seconds >= limit:
        why = f"has seen no complete data for {silent_seconds:.0f} s: {observation.progress}"
    elif snapshot.watched_seconds >= limit and silent:
        why = f"has compared no request of {silent} for {snapshot.watched_seconds:.0f} s"
    return Condition(
        IncidentKind.NO_DATA,
        f"{release.id}:no_data:{release.position}",
        bool(why),
        f"{release.title}: {release.stage.name} {why}. The stage holds." if why else "data is arriving again",
        {
            "stage": release.stage.name,
            "candidate_requests": observation.requests.candidate,
            "stable_requests": observation.requests.stable,
        },
    )


def _silent_side(requests: ByArm[int], share: float) -> str:
    """The side that nothing came from although the other one lets expect it; both, where there was nothing at all."""
    candidate, stable = requests.candidate, requests.stable
    if not candidate and not stable:
        return "either arm"
    if not candidate and stable * share / (1 - share) >= _ENOUGH_EXPECTED:
        return "the candidate"
    return "stable" if not stable and candidate * (1 - share) / share >= _ENOUGH_EXPECTED else ""


def _split_off(snapshot: Snapshot, observation: Observation) -> Condition | None:
    release = snapshot.release
    if observation.evidence.get("panel") is None:
        return None
    split = units_in(observation.evidence)
    error = split_error(split, release.stage.candidate_share)
    return Condition(
        IncidentKind.SPLIT_OFF,
        f"{release.id}:split_off:{release.position}",
        error is not None,
        f"{release.title}: {release.stage.name}: {error or 'the split is as intended'}. The stage holds.",
        {"stage": release.stage.name, "candidate_users": split.candidate, "stable_users": split.stable},
    )


def _judges_away(snapshot: Snapshot, observation: Observation) -> Condition | None:
    """Gates have waited for live judges for long; None where nobody judges."""
    release, held = snapshot.release, observation.evidence.get(LIVE)
    if held is None:
        return None
    seconds = snapshot.now.timestamp() - (held["since"] or snapshot.now.timestamp())
    why = held["trouble"] if seconds >= release.policy.no_data_after else ""
    return Condition(
        IncidentKind.JUDGES_AWAY,
        f"{release.id}:judges_away:{release.position}",
        bool(why),
        f"{release.title}: {release.stage.name} waits for live judges: {why}."
        if why
        else "live judges are working again",
        {
            "stage": release.stage.name,
            **{name: held[name] for name in ("judged", "waiting", "unreadable", "unanswered", "let_go", "calls")},
        },
    )


def _provider_down(snapshot: Snapshot, observation: Observation) -> Condition | None:
    """Stable fails too, so it isn't the candidate; None while too little is known to say either."""
    when = "within the last minute; the candidate is not the cause"
    return examine_provider(snapshot.release.app, observation.stable_lately, when)


def examine_provider(app: str, lately: Counts, when: str) -> Condition | None:
    """Whether stable's provider fails, by what became lately of what it was asked; None for in between.

    Answers that serve nobody count: where a provider's filter withholds everything, users get nothing either.
    """
    answers = sum(lately.values())
    bad = {outcome: count for outcome, count in lately.items() if outcome not in GOOD}
    failed = sum(bad.values())
    if answers < ENOUGH_ANSWERS or _WELL < failed / answers < _FAILING:
        return None
    most_first = sorted(bad.items(), key=lambda one: (-one[1], one[0]))
    listed = ", ".join(f"{count} {outcome}" for outcome, count in most_first)
    became = "failed or were unusable" if UNUSABLE & bad.keys() else "failed"
    return Condition(
        IncidentKind.PROVIDER_DOWN,
        f"{app}:provider_down",
        failed / answers >= _FAILING,
        f"{app}: {failed} of {answers} answers of stable {became} {when}{f' ({listed})' if listed else ''}.",
        {"answers": answers, "failed": failed, "outcomes": dict(most_first)},
    )


def _expired(snapshot: Snapshot) -> tuple[Condition, ...]:
    release = snapshot.release
    return tuple(
        Condition(
            IncidentKind.APPROVAL_EXPIRED,
            f"{release.id}:approval_expired:{release.position}:{kind}",
            True,
            f"{release.title}: nobody answered the question at {release.stage.name} in time.",
            {"stage": release.stage.name, "question": kind.value},
        )
        for kind, state in (snapshot.approvals or {}).items()
        if state is ApprovalState.EXPIRED
    )
