"""What people decide, from approvals to lifted freezes; by the same rules and in the same audit as everywhere."""

from dataclasses import dataclass, replace

from fastapi import APIRouter
from sqlmodel import Session, col, select
from starlette.responses import RedirectResponse, Response

from softlaunch.approvals.advancing import Advance, apply_advance, refusal_to_advance
from softlaunch.approvals.deciding import Decision, apply_abort, apply_decision, apply_rollback
from softlaunch.approvals.rules import VoteResult, people_needed, refusal
from softlaunch.approvals.subjects import Subject, is_in_force, release_subject, subject_of
from softlaunch.approvals.unfreezing import apply_unfreeze, refusal_to_unfreeze
from softlaunch.console.access import Visitor
from softlaunch.console.pages import FIRST, Again, Asking, AskingIn, FormIn, Part, live_page, objection, page, render
from softlaunch.console.queries.overview import read_asked
from softlaunch.console.state import Console
from softlaunch.core.approvals import ApprovalChoice, ApprovalKind, ApprovalState
from softlaunch.core.errors import ConflictError, NotFoundError
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.approvals import approved_by, read_approval, read_approvals
from softlaunch.ledger.releases import find_latest, find_live, read_release
from softlaunch.ledger.stages import read_verdicts
from softlaunch.policy.freeze_windows import Frozen
from softlaunch.policy.release import Kind, Release, State
from softlaunch.releases.early import against_advancing
from softlaunch.releases.freezing import read_frozen
from softlaunch.releases.views import read_stage_view
from softlaunch.store.tables import ReleaseRow, VoteRow

router = APIRouter()
_ONLY_LOOKS = "you have read-only access; ask to be added to SOFTLAUNCH_CONSOLE_OPERATORS"
_VERBS = {"roll-back": "Roll back", "abort": "Abort", "unfreeze": "Unfreeze", "advance": "Advance early"}
_APPLY = {"roll-back": apply_rollback, "abort": apply_abort, "unfreeze": apply_unfreeze}
_CHOICES = {"approve": ApprovalChoice.APPROVE, "reject": ApprovalChoice.REJECT}
_LONGEST_REASON = 500
_LONGEST_POSITION = 4
_STATUS = {VoteResult.REFUSED: 403, VoteResult.LATE: 409}


@router.get("/approvals")
def approvals(asking: AskingIn) -> Response:
    """What waits for a person."""
    return live_page(asking, "approvals.html.j2", approvals_part(asking.console))


def approvals_part(console: Console) -> Part:
    """The live part of that page."""

    def part() -> str:
        now = console.clock()
        with console.database.read() as session:
            return render("approvals_live.html.j2", asked=read_asked(session, now), now=now)

    return "approvals", part


@router.get("/approvals/{number}")
def approval(asking: AskingIn, number: int) -> Response:
    """One question, and the form that answers it."""
    return _question(asking, number)


@router.post("/approvals/{number}")
def decide(asking: AskingIn, form: FormIn, number: int) -> Response:
    """Approve or reject."""
    console, reason = asking.console, form.get("reason", "").strip()[:_LONGEST_REASON]
    refused = objection(asking, form, reason)
    if refused is not None:
        return _question(asking, number, refused)
    choice = _CHOICES.get(form.get("choice", ""))
    if choice is None or (choice is ApprovalChoice.REJECT and not reason):
        problem = "Choose one." if choice is None else "Say why: people who follow the app will want to know."
        return _question(asking, number, Again(problem, reason, 422))
    with console.database.begin() as session:
        app = subject_of(session, read_approval(session, number, console.clock())).app
        decision = Decision(app, choice, asking.visitor.person, reason, number)
        result = apply_decision(session, decision, console.clock())[0]
    console.live.forget()
    if result.result in _STATUS:
        return _question(asking, number, Again(result.message, reason, _STATUS[result.result]))
    return _after(asking, result.approval.release_id if result.approval is not None else None)


def _question(asking: Asking, number: int, again: Again = FIRST) -> Response:
    now = asking.console.clock()
    with asking.console.database.read() as session:
        asked = read_approval(session, number, now)
        subject = subject_of(session, asked)
        verdicts = read_verdicts(session, asked.release_id, asked.position).values() if asked.release_id else ()
        agreed, in_force = approved_by(session, number), is_in_force(session, asked)
    may_not = {choice: _may_not(asking.visitor, subject, choice) for choice in ApprovalChoice}
    return page(
        *(asking, "decide.html.j2"),
        status=again.status,
        approval=asked,
        subject=subject,
        verdicts=verdicts,
        agreed=agreed,
        needed=people_needed(subject.policy, subject.weight_percent),
        in_force=in_force,
        may_approve=may_not[ApprovalChoice.APPROVE],
        may_reject=may_not[ApprovalChoice.REJECT],
        problem=again.problem,
        reason=again.reason,
    )


def _may_not(visitor: Visitor, subject: Subject, choice: ApprovalChoice) -> str | None:
    """Why somebody may not choose this, for people to read before they try; the vote itself is judged again."""
    if not visitor.may_act:
        return _ONLY_LOOKS
    return refusal(subject.policy, visitor.person, subject.starter, choice, somebody_else=subject.somebody_else)


@router.get("/releases/{release_id}/{action}")
def ask_end(asking: AskingIn, release_id: str, action: str) -> Response:
    """What a rollback, an abort, a lifted freeze or a step ahead of time would do, and the form that does it."""
    return _ending(asking, release_id, action)


@router.post("/releases/{release_id}/{action}")
def end(asking: AskingIn, form: FormIn, release_id: str, action: str) -> Response:
    """Roll back, abort, lift a freeze, or go on early."""
    _verb(action)
    console, reason = asking.console, form.get("reason", "").strip()[:_LONGEST_REASON]
    refused = objection(asking, form, reason)
    if refused is not None:
        return _ending(asking, release_id, action, refused)
    if not reason:
        problem = "Say why: people who follow the app will want to know."
        return _ending(asking, release_id, action, Again(problem, status=422))
    if action == "advance":
        again = _advance(asking, release_id, form.get("stage", ""), reason)
    else:
        again = _end(asking, release_id, action, form.get("state", ""), reason)
    console.live.forget()
    return _after(asking, release_id) if again is None else _ending(asking, release_id, action, again)


def _end(asking: Asking, release_id: str, action: str, seen: str, reason: str) -> Again | None:
    """End a release that still is what somebody saw; else why nothing was done, with what they wrote."""
    console = asking.console
    try:
        with console.database.begin() as session:
            app = session.exec(select(ReleaseRow.app).where(ReleaseRow.id == release_id)).first()
            if app is not None:  # of two people at once the second waits, and then sees what the first did
                find_live(session, app, lock=True)
            stands = read_release(session, release_id).state
            if not _still_as_seen(stands, seen):
                words = stands.replace("_", " ")
                problem = f"{release_id} has become {words} meanwhile, so nothing was changed. Do you still want this?"
                return Again(problem, reason, 409)
            result = _APPLY[action](session, release_id, asking.visitor.person, reason, console.clock())
    except (ConflictError, NotFoundError) as error:  # somebody ended it in the same moment
        return Again(f"Nothing was changed: {error}", reason, 409)
    return Again(result.message, reason, _STATUS[result.result]) if result.result in _STATUS else None


def _advance(asking: Asking, release_id: str, seen: str, reason: str) -> Again | None:
    """Begin the next stage early, while the stage that somebody saw is in force; else why nothing was decided."""
    position = int(seen) if seen.isdecimal() and len(seen) < _LONGEST_POSITION else -1
    with asking.console.database.begin() as session:
        order = Advance(release_id, position, asking.visitor.person, reason)
        result = apply_advance(session, order, asking.console.clock())
    return Again(result.message, reason, _STATUS[result.result]) if result.result in _STATUS else None


def _still_as_seen(stands: State, seen: str) -> bool:
    """Whether a release is what somebody saw: a stage further doesn't matter to who wants to end it."""
    return stands == seen or (stands.live and seen in {state.value for state in State if state.live})


def _ending(asking: Asking, release_id: str, action: str, again: Again = FIRST) -> Response:
    verb = _verb(action)
    with asking.console.database.read() as session:
        release = read_release(session, release_id)
        newest = release.kind is Kind.RELEASE and find_latest(session, release.app).id == release_id
        frozen = read_frozen(session, release, asking.console.clock())
        early = _early(session, asking, release) if action == "advance" else Early()
    return page(
        *(asking, "end.html.j2"),
        status=again.status,
        release=release,
        action=action,
        verb=verb,
        consequence=early.consequence or (_unfreezing(frozen) if action == "unfreeze" else _consequence(release)),
        possible=not early.against and _possible(release, action, newest=newest, frozen=frozen is not None),
        against=early.against,
        refused=early.refused if action == "advance" else _may_not_do(asking.visitor, release, action),
        problem=again.problem,
        reason=again.reason,
    )


def _may_not_do(visitor: Visitor, release: Release, action: str) -> str | None:
    """Why somebody may not do this to a release."""
    if action == "unfreeze" and visitor.may_act:
        return refusal_to_unfreeze(release, visitor.person)
    return _may_not(visitor, replace(release_subject(release), somebody_else=False), ApprovalChoice.REJECT)


def _possible(release: Release, action: str, *, newest: bool, frozen: bool) -> bool:
    """Whether an action has anything to act on; an A/B test is never rolled back."""
    if action == "unfreeze":
        return release.state.live and frozen
    if action in {"abort", "advance"}:
        return release.state.live
    return release.kind is Kind.RELEASE and (release.state.live or (release.state is State.PROMOTED and newest))


@dataclass(frozen=True, slots=True)
class Early:
    """What going on early would do, what speaks against it now, and why somebody may not."""

    consequence: str = ""
    against: str = ""
    refused: str | None = None


def _early(session: Session, asking: Asking, release: Release) -> Early:
    following = release.next_stage
    if following is None or not release.state.live:
        return Early("There is no next stage.")
    view = read_stage_view(session, release)
    before = read_approvals(session, release.id, release.position, asking.console.clock()).get(ApprovalKind.ADVANCE)
    if before is not None and before.state is not ApprovalState.PENDING:
        against = f"it was decided in this stage: {before.state}, {before.decided_by or 'by nobody'}"
    else:
        against = against_advancing(release, view.seen) or ""
    open_gates = ", ".join(one.name for one in view.verdicts if one.outcome is not Outcome.PASS)
    undecided = f"Not decided yet: {open_gates}. " if open_gates else ""
    asks = " Its approval is still required." if following.approval else ""
    said = (
        f"{following.name} starts before {release.stage.name} has passed. {undecided}This is recorded as your decision."
    )
    may_act = asking.visitor.may_act
    refused = refusal_to_advance(session, release, asking.visitor.person) if may_act else _ONLY_LOOKS
    return Early(f"{said}{asks}", against, refused)


def _unfreezing(frozen: Frozen | None) -> str:
    if frozen is None:
        return "No freeze holds it now."
    return f"Its app is {frozen.words}. This release moves on anyway; the next freeze holds it again."


def _consequence(release: Release) -> str:
    serves = f"{release.stable.label} ({release.stable.short})"
    if release.state is State.PROMOTED:
        return f"Its promotion is undone: {serves} serves everybody again, within a second."
    return f"It ends, and {serves} serves everybody, within a second."


def _verb(action: str) -> str:
    if action not in _VERBS:
        raise NotFoundError(f"a release has no page {action!r}; see the release itself")
    return _VERBS[action]


def _after(asking: Asking, release_id: str | None) -> Response:
    """The release with what became of the decision."""
    if release_id is None:
        return RedirectResponse("/approvals", 303)
    back = f"/releases/{release_id}"
    own = select(VoteRow.id).where(VoteRow.release_id == release_id, VoteRow.name == asking.visitor.name)
    with asking.console.database.read() as session:
        number = session.exec(own.order_by(col(VoteRow.id).desc()).limit(1)).first()
    return RedirectResponse(f"{back}?said={number}" if number else back, 303)
