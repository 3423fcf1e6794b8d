"""What each button in Slack decides, by the same functions as everywhere: answers, rollbacks, steps after drift."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlmodel import Session

from softlaunch.approvals.deciding import Answered, Reply, answer, object_to, object_to_taking_back, take_back
from softlaunch.approvals.rules import Person
from softlaunch.approvals.subjects import Matter, matter_of, of_release
from softlaunch.core.approvals import Answer
from softlaunch.drift.judgement import Step
from softlaunch.drift.next_step import StepResult, act
from softlaunch.drift.runs import read_run
from softlaunch.drift.step_requests import StepRequest, blocker_of_step, matter_of_check, start_step
from softlaunch.ledger.approvals import read_settled
from softlaunch.ledger.releases import read_release
from softlaunch.notify.slack.head import ROLL_BACK
from softlaunch.notify.slack.messages import APPROVE, REJECT, STEPS, step_action
from softlaunch.store.database import Database

Work = Callable[[Database, datetime], StepResult]
"""What is still to be done after a decision, because it takes long."""


class Press(Protocol):
    """One kind of button; `about` is what its message carries. A dialog asks for the reason, which may be left out."""

    @property
    def verb(self) -> str:
        """What it does, in a word or two."""

    @property
    def optional(self) -> bool:
        """Whether it needs no reason."""

    def about(self, session: Session, about: str, now: datetime) -> tuple[str, Matter]:
        """What somebody is about to decide, in a sentence, and whose policy rules."""

    def object_to(self, session: Session, about: str, person: Person, now: datetime) -> Answered | None:
        """What speaks against it, recorded."""

    def decide(self, session: Session, about: str, person: Person, reason: str, now: datetime) -> tuple[Answered, ...]:
        """Decide, and record it."""

    def work(self, app: str, person: Person) -> Work | None:
        """What is to be done once it is decided, if that isn't all."""

    def by_hand(self, about: str, matter: Matter) -> str:
        """The command that does the same."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """A yes or a no to a question."""

    verb: str
    said: Answer

    @property
    def optional(self) -> bool:
        """A no wants a reason."""
        return self.said is Answer.APPROVED

    def about(self, session: Session, about: str, now: datetime) -> tuple[str, Matter]:
        """The question."""
        asked = read_settled(session, int(about), now).asked
        return asked.text, matter_of(session, asked)

    def object_to(self, session: Session, about: str, person: Person, now: datetime) -> Answered | None:
        """Too late, or not among the approvers."""
        _, matter = self.about(session, about, now)
        return object_to(session, Reply(matter.app, self.said, person, approval_id=int(about)), now)

    def decide(self, session: Session, about: str, person: Person, reason: str, now: datetime) -> tuple[Answered, ...]:
        """The vote."""
        _, matter = self.about(session, about, now)
        return answer(session, Reply(matter.app, self.said, person, reason, int(about)), now)

    def work(self, app: str, person: Person) -> Work | None:  # noqa: ARG002  (part of the protocol)
        """Nothing: whoever asked goes on."""
        return None

    def by_hand(self, about: str, matter: Matter) -> str:
        """`softlaunch approve`, or `reject`."""
        number = f" --question {about}" if matter.release_id is None else ""
        return f"softlaunch {self.verb.lower()} {matter.app}{number} --reason '...'"


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Rolling a release back."""

    verb: str = "Roll back"
    optional: bool = False

    def about(self, session: Session, about: str, now: datetime) -> tuple[str, Matter]:  # noqa: ARG002  (see Press)
        """The release."""
        release = read_release(session, about)
        return f"Take back {release.title}? Stable serves everybody within a second.", of_release(release)

    def object_to(self, session: Session, about: str, person: Person, now: datetime) -> Answered | None:
        """Over already, or not allowed."""
        return object_to_taking_back(session, about, person, now)

    def decide(self, session: Session, about: str, person: Person, reason: str, now: datetime) -> tuple[Answered, ...]:
        """At once."""
        return (take_back(session, about, person, reason or "rolled back from Slack", now),)

    def work(self, app: str, person: Person) -> Work | None:  # noqa: ARG002  (part of the protocol)
        """Nothing: it is done."""
        return None

    def by_hand(self, about: str, matter: Matter) -> str:  # noqa: ARG002  (part of the protocol)
        """`softlaunch rollback`."""
        return f"softlaunch rollback {matter.app} --reason '...'"


@dataclass(frozen=True, slots=True)
class DriftStep:
    """A step after a drift check, which the message of its incident offers."""

    step: Step
    optional: bool = True

    @property
    def verb(self) -> str:
        """As on the button."""
        return STEPS[self.step]

    def about(self, session: Session, about: str, now: datetime) -> tuple[str, Matter]:  # noqa: ARG002  (see Press)
        """The check, and what it found."""
        check = read_run(session, about)
        return f"{self.verb}, because of {check.id} of {check.app}: {check.summary}?", matter_of_check(session, about)

    def object_to(self, session: Session, about: str, person: Person, now: datetime) -> Answered | None:
        """Not allowed, too late, or nothing that can be started: then the answer has the commands."""
        return blocker_of_step(session, StepRequest(about, self.step, person), now)

    def decide(self, session: Session, about: str, person: Person, reason: str, now: datetime) -> tuple[Answered, ...]:
        """Agree to it; `work` does it."""
        return (start_step(session, StepRequest(about, self.step, person, reason), now),)

    def work(self, app: str, person: Person) -> Work | None:
        """The step itself: the golden set may have to be asked, which takes minutes."""
        return lambda database, now: act(database, app, self.step, person.actor, now)

    def by_hand(self, about: str, matter: Matter) -> str:  # noqa: ARG002  (part of the protocol)
        """`softlaunch drift act`."""
        return f"softlaunch drift act {matter.app} --step {self.step}"


PRESSES: Mapping[str, Press] = {
    APPROVE: Ballot("Approve", Answer.APPROVED),
    REJECT: Ballot("Reject", Answer.REJECTED),
    ROLL_BACK: TakeBack(),
    **{step_action(step): DriftStep(step) for step in STEPS},
}
"""By the button's name in its message."""
