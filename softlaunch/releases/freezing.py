"""What a freeze window of the policy does to a release: it is watched on, and nothing of it moves on."""

from collections.abc import Sequence
from datetime import datetime
from math import inf, isfinite

from sqlmodel import Session, col, select

from softlaunch.ledger.stages import StageRecord, put_off_deadlines, units_in
from softlaunch.policy.freeze_windows import Frozen, frozen_at, next_freeze
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Kind, Release, StageKind, State
from softlaunch.releases.decision import Action, End, Enter, Hold, Observation, Snapshot, compared
from softlaunch.store.tables import VoteRow

UNFREEZE = "unfreeze"
"""What the audit says of a release that may move on in spite of a freeze."""
COUNTED = "decided"
"""How the audit marks what counted, of all that was said."""
_A_WEEK = 7 * 86400.0
_BEFORE_TRAFFIC = frozenset({StageKind.EVAL, StageKind.PROBE})


def read_frozen(session: Session, release: Release, now: datetime) -> Frozen | None:
    """The freeze that holds a release; None outside of one, and where a person has lifted it for this release.

    It holds neither emergency releases, which people start with a reason while users get no answers, nor what is
    watched after a promotion.
    """
    if release.emergency or release.kind is Kind.TOPLINE:
        return None
    found = frozen_at(release.policy.freeze, now)
    if found is None:
        return None
    lifted = any(vote.said_at >= found.begins for vote in lifted_freezes(session, release.id))
    return None if lifted else found


def lifted_freezes(session: Session, release_id: str) -> Sequence[VoteRow]:
    """What people said who lifted a freeze for a release, oldest first."""
    said = select(VoteRow).where(VoteRow.release_id == release_id, VoteRow.said == UNFREEZE)
    return session.exec(said.where(VoteRow.ruling == COUNTED).order_by(col(VoteRow.id))).all()


def unless_frozen(action: Action, frozen: Frozen | None) -> Action:
    """An action, or the hold in its place where it would begin a stage of traffic, or promote, inside a freeze. Pure.

    The regression eval may begin: no traffic comes near it.
    """
    if frozen is None or not moves_on(action):
        return action
    why = action.reason if isinstance(action, Enter | End) else ""
    return Hold(f"held: {frozen.words}; {why}", frozen=frozen.words)


def put_off_by_freeze(session: Session, snapshot: Snapshot, record: StageRecord, observation: Observation) -> None:
    """Move a stage's deadlines in numbers by what was observed in a freeze since the evidence of its record."""
    release = snapshot.release
    if snapshot.frozen is None or release.kind is not Kind.RELEASE:
        return
    requests = observation.requests.candidate - compared(record.evidence).candidate
    units = snapshot.units.candidate - units_in(record.evidence).candidate
    put_off_deadlines(session, release.id, release.position, requests, units)


def moves_on(action: Action) -> bool:
    """Whether an action is what a freeze holds."""
    match action:
        case Enter(stage):
            return stage.kind not in _BEFORE_TRAFFIC
        case End(state):
            return state is State.PROMOTED
        case _:
            return False


def foresee_freeze(policy: Policy, now: datetime, seconds: float = inf) -> str | None:
    """What to know before a release begins that will take so long: which freeze would hold it, and until when.

    Where it isn't known how long it takes, a week is looked ahead. None where it should be over before the next one.
    """
    found = frozen_at(policy.freeze, now)
    if found is not None:
        return (
            f"{policy.app} is {found.words}: a release can be evaluated, but gets no traffic until then. "
            f"'softlaunch release unfreeze {policy.app} --reason ...' lifts the freeze for a release"
        )
    found = next_freeze(policy.freeze, now)
    if found is None or (found.begins - now).total_seconds() > (seconds if isfinite(seconds) else _A_WEEK):
        return None
    why = f" ({found.reason})" if found.reason else ""
    return (
        f"the freeze from {found.shown_begins} until {found.shown_until}{why} holds a release that isn't over by then: "
        "it is still watched, but no stage starts and nothing is promoted"
    )
