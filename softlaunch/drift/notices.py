"""The notice of a check: an incident with the proposed step, or that all is well again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import Session

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.drift.judgement import Cause, Judgement, Step
from softlaunch.ledger.notices import Incident, Message, notify, open_incident, resolve_incident

_CAUSES = {
    Cause.NONE: "",
    Cause.MODEL: "The golden set moved with the same variant: it points to the model behind it.",
    Cause.RELEASE: "The golden set moved, and another variant serves since: it points to the release.",
    Cause.USERS: "The golden set is steady: it points to users, who ask or expect something else.",
    Cause.UNCLEAR: "The metrics contradict each other: a person has to decide.",
    Cause.UNKNOWN: "There is too little evidence to say that nothing has drifted.",
}
_STEPS = {
    Step.NOTHING: "",
    Step.PIN: "Pin the dated model that answered then",
    Step.REFRESH: "Refresh the prompt, and take new questions of users into the golden set",
    Step.ROLL_BACK: "Roll back the newest release",
    Step.NEW_BASELINE: "Freeze a new baseline",
    Step.LOOK: "Review the report's cases",
    Step.CHECK_AGAIN: "Repair what is missing, and check again",
}


def in_words(judgement_cause: Cause, step: Step) -> tuple[str, str]:
    """A cause and a step as sentences; empty where there is nothing to say."""
    return _CAUSES[judgement_cause], _STEPS[step]


def steps_to_offer(proposed: Step, setting: Mapping[str, Any]) -> list[Step]:
    """The steps that a message offers to start: what is proposed first, even where people must do it themselves.

    None where too little is known: today's answers may be no baseline for anything.
    """
    if proposed is Step.CHECK_AGAIN:
        return []
    possible = {
        Step.PIN: setting["floating"] and setting["pinnable"],
        Step.ROLL_BACK: not setting["same_variant"],
        Step.NEW_BASELINE: True,
    }
    offered = [proposed] if proposed is Step.REFRESH or proposed in possible else []
    return [*offered, *(step for step, can in possible.items() if can and step not in offered)]


def notify_of_check(
    session: Session, app: str, run_id: str, judgement: Judgement, document: Mapping[str, Any], now: datetime
) -> None:
    """Open or bring up to date the app's incident, or resolve it; part of the transaction that concludes the run."""
    key = f"{app}:{IncidentKind.PROMPT_DRIFT}"
    cause, step = in_words(judgement.cause, judgement.step)
    proposed = f"{step}: 'softlaunch drift act {app}'" if step else ""
    if not judgement.alerts:
        resolve_incident(session, key, "drift check", judgement.summary, now)
        message = " ".join(
            part for part in (f"{app}: {judgement.summary} ({run_id}).", proposed and f"{proposed}.") if part
        )
        notify(session, Message(app, None, message), now)
        return
    parts = (f"{app}: {judgement.summary}.", _every_metric(document), cause, f"{proposed}." if proposed else "")
    summary = " ".join(part for part in parts if part)
    evidence = {
        "check": run_id,
        "cause": judgement.cause.value,
        "step": judgement.step.value,
        "metrics": {one["metric"]: [one["then"], one["now"]] for one in document["metrics"]},
        "muted": {one["metric"]: one["muted"] for one in document["metrics"] if one["muted"]},
        "steps": [offered.value for offered in steps_to_offer(judgement.step, document["setting"])],
    }
    open_incident(session, Incident(IncidentKind.PROMPT_DRIFT, app, None, key, summary, evidence), now)
    moved = next((one for one in judgement.alerts if one.subject == "resolved model"), None)
    if moved is not None:
        floating = IncidentKind.FLOATING_MODEL_CHANGED
        message = f"{app}: {moved.sentence}. {proposed}." if proposed else f"{app}: {moved.sentence}."
        open_incident(session, Incident(floating, app, None, f"{app}:{floating}", message, evidence), now)


def _every_metric(document: Mapping[str, Any]) -> str:
    """Metrics of quality in a sentence, where there are several, with those that did not move."""
    shown = [
        f"{one['metric']} {one['then'] * 100:.1f} -> {one['now'] * 100:.1f} %{' (muted)' if one['muted'] else ''}"
        for one in document["metrics"]
        if one["kind"] == "quality"
    ]
    return f"Then and now: {', '.join(shown)}." if len(shown) > 1 else ""
