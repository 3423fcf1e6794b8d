"""What an A/B test does next, decided from a snapshot of what is known. Pure: the clock comes with the snapshot."""

from softlaunch.ab.conclusion import Choice
from softlaunch.ab.document import KeptLook
from softlaunch.ab.looks import extension
from softlaunch.core.incident_kinds import BREAKER
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.policy.release import State
from softlaunch.policy.stage_limits import Deadlines
from softlaunch.releases.decision import Action, End, Enter, Extend, Hold, Snapshot


def decide_trial(snapshot: Snapshot, look: KeptLook | None) -> Action:
    """The next action of a live test: harm first, at once; everything else at a planned end."""
    release = snapshot.release
    if release.state is State.PENDING:
        return Enter(release.stages[0], "the test was opened")
    if snapshot.trip is not None:
        return End(State.ROLLED_BACK, Outcome.FAIL, f"a gateway's breaker tripped: {snapshot.trip}", BREAKER)
    harmed = _first(snapshot, Outcome.FAIL)
    if harmed is not None:
        return End(State.ROLLED_BACK, Outcome.FAIL, f"{harmed.name}: {harmed.reason}", harmed.gate, harmed)
    if look is None or not look.planned_end:
        return Hold(_waiting(snapshot))
    return _at_planned_end(snapshot, look, Choice(look.choice))


def _at_planned_end(snapshot: Snapshot, look: KeptLook, choice: Choice) -> Action:
    doubt = _first(snapshot, Outcome.ERROR)
    if doubt is not None:
        return _end(Choice.VOID, f"the traffic can't be trusted: {doubt.reason}")
    if choice is not Choice.EXTEND or snapshot.deadline_at is None:
        return _end(choice, look.reason)
    later = snapshot.deadline_at + extension(snapshot.release.policy.ab, look.planned_end)
    return Extend(Deadlines(later), f"{look.reason}; extended to {later:%Y-%m-%d %H:%M} UTC")


def _end(choice: Choice, reason: str) -> End:
    return End(State.CONCLUDED, choice.outcome, reason, needs_people=choice in {Choice.PEOPLE, Choice.VOID})


def _first(snapshot: Snapshot, outcome: Outcome) -> Verdict | None:
    counted = (verdict for verdict in snapshot.verdicts or () if verdict.role is not Role.MUTED)
    return next((verdict for verdict in counted if verdict.outcome is outcome), None)


def _waiting(snapshot: Snapshot) -> str:
    if snapshot.deadline_at is None or snapshot.now < snapshot.deadline_at:
        until = "" if snapshot.deadline_at is None else f" until {snapshot.deadline_at:%Y-%m-%d %H:%M} UTC"
        return f"under way{until} ({snapshot.progress})"
    return f"the planned end has come; waits for the log to be complete ({snapshot.progress})"
