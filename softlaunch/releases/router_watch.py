"""Whether the Envoys that route an app do what a release asks for; what isn't in force is no evidence."""

from datetime import datetime

from sqlmodel import Session

from softlaunch.ledger.gateways import FORGOTTEN_SECONDS, ROUTER, Gateway, describe_behind, read_gateways
from softlaunch.ledger.request_log import HEARD_SECONDS
from softlaunch.ledger.stages import StageRecord
from softlaunch.policy.release import Release, StageKind, State
from softlaunch.releases.decision import Observation, RouterTrouble, no_data

ABSENT_SECONDS = 10.0
"""A control plane that is restarted is back sooner, and so are the Envoys that it tells."""
_WITHOUT_TRAFFIC = frozenset({StageKind.EVAL, StageKind.PROBE})


def watch_router(session: Session, release: Release, record: StageRecord, now: datetime) -> Observation | None:
    """What a stage comes to whose split isn't in force everywhere: nothing was seen. None where all is well.

    The candidate isn't watched then, so that every Envoy is back on stable when the lease is over: of some users it
    isn't known whom they meet.
    """
    if release.policy.router is None or release.state is State.PENDING or release.stage.kind in _WITHOUT_TRAFFIC:
        return None
    entered = (record.entered_at or now).timestamp()
    trouble = _find_trouble(session, release.app, entered, now.timestamp())
    return None if trouble is None else no_data(record.evidence, trouble.reason, trouble)


def _find_trouble(session: Session, app: str, entered: float, now: float) -> RouterTrouble | None:
    known = read_gateways(session, app, now - FORGOTTEN_SECONDS)
    envoys = [one for one in known if one.kind == ROUTER and one.revision is not None]
    heard = [one for one in envoys if now - one.heard_at <= HEARD_SECONDS]
    if not heard:
        return _nobody(envoys, entered, now)
    behind = [one for one in heard if one.problem is not None]
    return _behind(behind, len(heard), now) if behind else None


def _nobody(envoys: list[Gateway], entered: float, now: float) -> RouterTrouble:
    """No Envoy asks for its weights; after a while that is no restart any more."""
    silent = max(now - max([entered, *(one.heard_at for one in envoys)]), 0.0)
    last = f", the last one was {envoys[0].name}" if envoys else ""
    return RouterTrouble(
        f"no Envoy has been heard of for {silent:.0f} s{last}; is softlaunch envoy control running, and an Envoy?",
        silent >= ABSENT_SECONDS,
        {"envoys": 0, "silent_seconds": round(silent, 1)},
    )


def _behind(behind: list[Gateway], heard: int, now: float) -> RouterTrouble:
    doing = "don't" if len(behind) > 1 else "doesn't"
    return RouterTrouble(
        f"{len(behind)} of {heard} Envoys {doing} follow: {describe_behind(behind, now)}",
        evidence={
            "envoys": heard,
            "problems": {one.address: one.problem.words for one in behind if one.problem is not None},
        },
    )
