"""Starting the next step that a check proposes."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from softlaunch.approvals.rollback import RollbackOrder, carry_out
from softlaunch.catalog.records import record_model
from softlaunch.core.errors import SoftlaunchError
from softlaunch.drift.check import freeze_baseline, read_subject
from softlaunch.drift.judgement import Step
from softlaunch.drift.runs import DriftRun, latest_check
from softlaunch.ledger.releases import Actor
from softlaunch.releases.changes import Changes
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.store.database import Database


class NothingToDoError(SoftlaunchError):
    """A check proposed nothing, or something that only people can do."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What was done, in a sentence; a pin goes out as a release, which is still to be driven."""

    step: Step
    message: str
    request: ReleaseRequest | None = None


def act(database: Database, app: str, step: Step | None, actor: Actor, now: datetime) -> StepResult:
    """Do what the newest check proposes, or another step. Raises NothingToDoError, with what to do by hand."""
    with database.read() as session:
        check = latest_check(session, app)
    wanted = step or Step(check.report["step"])
    instead = by_hand(check, wanted)
    if instead is not None:
        raise NothingToDoError(instead)
    if wanted is Step.PIN:
        request = _pin(database, app, check.report["setting"]["pinnable"], actor, now)
        return StepResult(wanted, f"{request.changes.model} goes out as a release", request)
    if wanted is Step.ROLL_BACK:
        with database.begin() as session:
            ended = carry_out(session, RollbackOrder(app, f"drift since the release, by {check.id}", actor), now)
        return StepResult(wanted, ended.message.rstrip(".") or f"{ended.release_id} is {ended.state}")
    frozen = freeze_baseline(database, app, str(actor), now)
    return StepResult(wanted, f"{frozen.id} is the baseline now: {frozen.summary}")


def by_hand(check: DriftRun, step: Step) -> str | None:
    """What people must do themselves for a step, with the commands; None where it can be started."""
    app = check.app
    match step:
        case Step.PIN if not check.report["setting"]["pinnable"]:
            return (
                f"no single dated model is known to have answered for {app}; record one in models.yaml, and release it "
                f"with 'softlaunch release start {app} --model NAME'"
            )
        case Step.REFRESH:
            return (
                f"{check.id} of {app} proposes to refresh the prompt, which people do: write its next version, add "
                "what users ask now to the golden set, 'softlaunch apply', and "
                f"'softlaunch release start {app} --prompt ...'"
            )
        case Step.LOOK:
            return (
                f"{check.id} of {app} has metrics that contradict each other; read its page ('softlaunch drift report "
                f"{app}'), then choose: --step pin, roll_back or new_baseline"
            )
        case Step.CHECK_AGAIN:
            return (
                f"{check.id} of {app} has too little evidence: {check.summary}; see to that, then 'softlaunch drift "
                f"check {app}'"
            )
        case Step.NOTHING:
            return f"{check.id} of {app} found nothing to do; name a step with --step to do it anyway"
        case Step.PIN | Step.ROLL_BACK | Step.NEW_BASELINE:
            return None
        case _:
            assert_never(step)


def _pin(database: Database, app: str, model: str, actor: Actor, now: datetime) -> ReleaseRequest:
    serving = read_subject(database, app).variant.model
    pinned = serving.model_copy(update={"name": f"{serving.name}-{model}".replace("/", "-").lower(), "model": model})
    with database.begin() as session:
        record_model(session, pinned, "drift check", now)
    origin = f"{actor.origin}, pinned after a drift check"
    return ReleaseRequest(app=app, changes=Changes(model=pinned.name), actor=actor.name, origin=origin)
