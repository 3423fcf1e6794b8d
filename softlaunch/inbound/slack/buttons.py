"""What each button in Slack does, by the same functions as everywhere: approvals, rollbacks, steps after drift."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlmodel import Session

from softlaunch.approvals.advancing import Advance, apply_advance, check_advance
from softlaunch.approvals.deciding import (
    Decision,
    DecisionResult,
    apply_decision,
    apply_rollback,
    check_decision,
    check_rollback,
)
from softlaunch.approvals.rules import Person
from softlaunch.approvals.subjects import Subject, for_advance, release_subject, subject_of
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.drift.judgement import Step
from softlaunch.drift.next_step import StepResult, act
from softlaunch.drift.runs import read_run
from softlaunch.drift.step_requests import StepRequest, blocker_of_step, start_step, subject_of_check
from softlaunch.ledger.approvals import read_approval
from softlaunch.ledger.releases import read_release
from softlaunch.notify.slack.head import ADVANCE, ROLL_BACK
from softlaunch.notify.slack.messages import APPROVE, REJECT, STEPS, step_action
from softlaunch.store.database import Database

Work = Callable[[Database, datetime], StepResult]
"""What is still to be done after a decision, because it takes long."""


class Button(Protocol):
    """One kind of button; `about` is what its message carries. A dialog asks for the reason, which may be left out."""

    @property
    def verb(self) -> str:
        """What it does, in a word or two."""

    @property
    def optional(self) -> bool:
        """Whether it needs no reason."""

    def about(self, session: Session, about: str, now: datetime) -> tuple[str, Subject]:
        """What somebody is about to decide, in a sentence, and whose policy rules."""

    def check(self, session: Session, about: str, person: Person, now: datetime) -> DecisionResult | None:
        """What speaks against it, recorded."""

    def decide(
        self, session: Session, about: str, person: Person, reason: str, now: datetime
    ) -> tuple[DecisionResult, ...]:
        """Decide, and record it."""

    def work(self, app: str, person: Person) -> Work | None:
        """What is to be done once it is decided, if that isn't all."""

    def by_hand(self, about: str, subject: Subject) -> str:
        """The command that does the same."""


@dataclass(frozen=True, slots=True)
class ApprovalButton:
    """Approves or rejects."""

    verb: str
    choice: ApprovalChoice

    @property
    def optional(self) -> bool:
        """A rejection needs a reason."""
        return self.choice is ApprovalChoice.APPROVE

    def about(self, session: Session, about: str, now: datetime) -> tuple[str, Subject]:
        """What is asked."""
        approval = read_approval(session, int(about), now)
        return approval.text, subject_of(session, approval)

    def check(self, session: Session, about: str, person: Person, now: datetime) -> DecisionResult | None:
        """Too late, or not among the approvers."""
        _, subject = self.about(session, about, now)
        return check_decision(session, Decision(subject.app, self.choice, person, approval_id=int(about)), now)

    def decide(
        self, session: Session, about: str, person: Person, reason: str, now: datetime
    ) -> tuple[DecisionResult, ...]:
        """The decision."""
        _, subject = self.about(session, about, now)
        return apply_decision(session, Decision(subject.app, self.choice, person, reason, int(about)), now)

    def work(self, app: str, person: Person) -> Work | None:  # noqa: ARG002  (part of the protocol)
        """Nothing: whoever asked goes on."""
        return None

    def by_hand(self, about: str, subject: Subject) -> str:
        """`softlaunch approve`, or `reject`."""
        number = f" --approval {about}" if subject.release_id is None else ""
        return f"softlaunch {self.verb.lower()} {subject.app}{number} --reason '...'"


@dataclass(frozen=True, slots=True)
class RollbackButton:
    """Rolling a release back."""

    verb: str = "Roll back"
    optional: bool = False

    def about(self, session: Session, about: str, now: datetime) -> tuple[str, Subject]:  # noqa: ARG002  (see Button)
        """The release."""
        release = read_release(session, about)
        return f"Roll back {release.title}? Stable serves everybody within a second.", release_subject(release)

    def check(self, session: Session, about: str, person: Person, now: datetime) -> DecisionResult | None:
        """Over already, or not allowed."""
        return check_rollback(session, about, person, now)

    def decide(
        self, session: Session, about: str, person: Person, reason: str, now: datetime
    ) -> tuple[DecisionResult, ...]:
        """At once."""
        return (apply_rollback(session, about, person, reason or "rolled back from Slack", now),)

    def work(self, app: str, person: Person) -> Work | None:  # noqa: ARG002  (part of the protocol)
        """Nothing: it is done."""
        return None

    def by_hand(self, about: str, subject: Subject) -> str:  # noqa: ARG002  (part of the protocol)
        """`softlaunch rollback`."""
        return f"softlaunch rollback {subject.app} --reason '...'"


@dataclass(frozen=True, slots=True)
class AdvanceButton:
    """Beginning the next stage early; it carries the release and the position of the stage that people saw."""

    verb: str = "Advance early"
    optional: bool = False

    def about(self, session: Session, about: str, now: datetime) -> tuple[str, Subject]:  # noqa: ARG002  (see Button)
        """The release, and what would begin."""
        release = read_release(session, about.rpartition(" ")[0])
        following = release.next_stage
        begins = "the next stage" if following is None else following.name
        text = f"Start {begins} of {release.title} before {release.stage.name} has passed?"
        return text, for_advance(release_subject(release))

    def check(self, session: Session, about: str, person: Person, now: datetime) -> DecisionResult | None:
        """Another stage by now, not allowed, or something speaks against it."""
        return check_advance(session, _advance(about, person), now)

    def decide(
        self, session: Session, about: str, person: Person, reason: str, now: datetime
    ) -> tuple[DecisionResult, ...]:
        """The decision, which the driver carries out."""
        return (apply_advance(session, _advance(about, person, reason), now),)

    def work(self, app: str, person: Person) -> Work | None:  # noqa: ARG002  (part of the protocol)
        """Nothing: the driver does it."""
        return None

    def by_hand(self, about: str, subject: Subject) -> str:  # noqa: ARG002  (part of the protocol)
        """`softlaunch release advance`."""
        return f"softlaunch release advance {subject.app} --reason '...'"


def _advance(about: str, person: Person, reason: str = "") -> Advance:
    release_id, _, position = about.rpartition(" ")
    return Advance(release_id, int(position), person, reason)


@dataclass(frozen=True, slots=True)
class DriftStepButton:
    """A step after a drift check, which the message of its incident offers."""

    step: Step
    optional: bool = True

    @property
    def verb(self) -> str:
        """As on the button."""
        return STEPS[self.step]

    def about(self, session: Session, about: str, now: datetime) -> tuple[str, Subject]:  # noqa: ARG002  (see Button)
        """The check, and what it found."""
        check = read_run(session, about)
        return f"{self.verb}, because of {check.id} of {check.app}: {check.summary}?", subject_of_check(session, about)

    def check(self, session: Session, about: str, person: Person, now: datetime) -> DecisionResult | None:
        """Not allowed, too late, or nothing that can be started: then the answer has the commands."""
        return blocker_of_step(session, StepRequest(about, self.step, person), now)

    def decide(
        self, session: Session, about: str, person: Person, reason: str, now: datetime
    ) -> tuple[DecisionResult, ...]:
        """Agree to it; `work` does it."""
        return (start_step(session, StepRequest(about, self.step, person, reason), now),)

    def work(self, app: str, person: Person) -> Work | None:
        """The step itself: the golden set may have to be asked, which takes minutes."""
        return lambda database, now: act(database, app, self.step, person.actor, now)

    def by_hand(self, about: str, subject: Subject) -> str:  # noqa: ARG002  (part of the protocol)
        """`softlaunch drift act`."""
        return f"softlaunch drift act {subject.app} --step {self.step}"


BUTTONS: Mapping[str, Button] = {
    APPROVE: ApprovalButton("Approve", ApprovalChoice.APPROVE),
    REJECT: ApprovalButton("Reject", ApprovalChoice.REJECT),
    ROLL_BACK: RollbackButton(),
    ADVANCE: AdvanceButton(),
    **{step_action(step): DriftStepButton(step) for step in STEPS},
}
"""By the button's name in its message."""
