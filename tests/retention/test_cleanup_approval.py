"""Large cleanups ask a person, by the mechanism of releases: a yes is to exactly the plan that was asked about."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from softlaunch.approvals.deciding import Decision, apply_decision
from softlaunch.approvals.rules import Person, VoteResult
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.ledger.approvals import Approval, newest_cleanup_approval
from softlaunch.reports.history import read_history
from softlaunch.retention.approval import ApprovalNeededError, ask_person, close_expired
from softlaunch.retention.cleanup_run import RegistryCleanup
from softlaunch.retention.kinds import tag
from softlaunch.retention.rules import Kind
from softlaunch.store.database import Database
from softlaunch.store.tables import ApprovalRow, AppRow, ArchivedRow, RequestRow, VoteRow
from tests.support.builders import ANNA, APP, NOON, make_policy, request_row
from tests.support.builders import told as notices
from tests.support.cleanup_scene import DAY, Registry, a_model, a_prompt, make_registry

BEN, MALLORY = Person("ben", "command line"), Person("mallory", "command line")
RETENTION = {"ask_above_mb": 0, **{kind: {"keep_newest": 0} for kind in ("prompts", "models", "variants")}}


@pytest.fixture
def registry(database: Database, tmp_path: Path) -> Registry:
    """Three old prompt versions that nothing uses; whoever wants any of them gone must ask ben."""
    made = make_registry(database, tmp_path / "archive")
    policy(made, approvers=[{"name": "ben"}, {"name": "anna"}])
    for number in range(3):
        made.record(days_ago=200, prompt=a_prompt(f"1.{number}.1"), model=a_model(f"model-{number}"))
    return made


def policy(registry: Registry, **parts: Any) -> None:
    """The app's policy from now on."""
    with registry.database.begin() as session:
        made = make_policy(**{"retention": RETENTION, **parts})
        session.get_one(AppRow, APP).policy = made.model_dump(mode="json")


def asked(registry: Registry) -> Approval:
    """What a cleanup asks before it does anything."""
    cleanup = registry.cleanup()
    question = cleanup.ask(cleanup.plan())
    assert question is not None
    return question


def say(
    registry: Registry, said: ApprovalChoice, person: Person = BEN, number: int | None = None
) -> tuple[VoteResult, str]:
    """What becomes of an answer to the newest question, or to another one."""
    with registry.database.begin() as session:
        newest = newest_cleanup_approval(session)
        number = number or (newest.id if newest else None)
        (one,) = apply_decision(session, Decision(APP, said, person, approval_id=number), registry.now)
    return one.result, one.message


def questions(registry: Registry) -> list[str]:
    """How all questions stand, oldest first."""
    with registry.database.read() as session:
        return list(session.exec(select(ApprovalRow.state).order_by(col(ApprovalRow.id))))


def test_a_yes_lets_the_next_cleanup_go_on(registry: Registry) -> None:
    """Nothing goes before; who asked, who answered and in whose name things went is kept."""
    before = registry.contents()
    with pytest.raises(ApprovalNeededError, match=f"softlaunch approve {APP} --approval 1"):
        registry.clean()
    assert registry.contents() == before
    assert say(registry, ApprovalChoice.APPROVE)[0] is VoteResult.DECIDED
    registry.now += 3 * DAY
    assert "support@1.1.1" in registry.keys(Kind.PROMPTS)
    registry.clean()
    assert not {"support@1.0.1", "support@1.1.1", "support@1.2.1"} & registry.keys(Kind.PROMPTS)
    with registry.database.read() as session:
        by = set(session.exec(select(ArchivedRow.archived_by)))
        trail = [(one.event.value, one.by) for one in read_history(session, APP, 50)]
        (vote,) = session.exec(select(VoteRow))
    assert by == {"anna (command line), approved by ben (question 1)"}
    assert ("asked", "anna") in trail
    assert ("answered", "ben (command line)") in trail
    assert (vote.approval_id, vote.release_id, vote.app, vote.ruling) == (1, None, APP, "decided")
    assert notices(registry.database)[0].startswith(
        "Approval needed: The registry cleanup would archive and delete 0.0"
    )


def test_time_alone_does_not_change_the_plan_that_was_allowed(registry: Registry) -> None:
    """What has come due since is left to the next cleanup, which asks about it."""
    registry.record(days_ago=179, prompt=a_prompt("1.3.1"), model=a_model("model-3"))
    asked(registry)
    say(registry, ApprovalChoice.APPROVE)
    registry.now += 10 * DAY
    registry.clean()
    assert "support@1.3.1" in registry.keys(Kind.PROMPTS)
    assert asked(registry).id == 2
    assert questions(registry) == ["approved", "pending"]


@pytest.mark.parametrize("answered", [True, False], ids=["after the yes", "before any answer"])
def test_a_plan_that_was_changed_is_asked_about_again(registry: Registry, *, answered: bool) -> None:
    """A tag that somebody set meanwhile: the yes was to another plan, and an open question is withdrawn."""
    first = asked(registry)
    if answered:
        say(registry, ApprovalChoice.APPROVE)
    with registry.database.begin() as session:
        tag(session, Kind.PROMPTS, "support@1.1.1", "protected", "anna", registry.now)
    second = asked(registry)
    assert (first.id, second.id) == (1, 2)
    assert questions(registry) == ["approved" if answered else "withdrawn", "pending"]
    say(registry, ApprovalChoice.APPROVE)
    registry.clean()
    assert "support@1.1.1" in registry.keys(Kind.PROMPTS)
    assert "support@1.2.1" not in registry.keys(Kind.PROMPTS)


def test_asking_twice_is_one_question(registry: Registry) -> None:
    """Whoever runs the cleanup meanwhile is pointed to the question that is open."""
    assert asked(registry).id == asked(registry).id == 1
    registry.now += timedelta(hours=5)
    with pytest.raises(ApprovalNeededError, match="--approval 1"):
        registry.clean()
    assert questions(registry) == ["pending"]


@pytest.mark.parametrize("how", ["rejected", "expired"])
def test_a_no_deletes_nothing_and_the_next_cleanup_asks_anew(registry: Registry, how: str) -> None:
    """Silence is a no, too, and is told."""
    before = registry.contents()
    asked(registry)
    if how == "rejected":
        assert say(registry, ApprovalChoice.REJECT)[0] is VoteResult.DECIDED
    registry.now += 2 * DAY
    with registry.database.begin() as session:
        close_expired(session, registry.now)
    assert asked(registry).id == 2
    assert questions(registry) == [how, "pending"]
    assert registry.contents() == before
    ruling, told = say(registry, ApprovalChoice.APPROVE, number=1)
    assert ruling is VoteResult.LATE
    assert "no approval of support-bot is pending: the last one" in told
    if how == "expired":
        assert any(text.startswith("Nobody answered in time") for text in notices(registry.database))


def test_the_policy_says_who_may_answer(registry: Registry) -> None:
    """A stranger may not, and who began the cleanup needs somebody else; both are kept, and nothing is decided."""
    asked(registry)
    assert "not among its approvers" in say(registry, ApprovalChoice.APPROVE, MALLORY)[1]
    ruling, told = say(registry, ApprovalChoice.APPROVE, Person("anna", "command line"))
    assert ruling is VoteResult.REFUSED
    assert "you started this, so somebody else must approve it" in told
    assert questions(registry) == ["pending"]
    with registry.database.begin() as session:
        (elsewhere,) = apply_decision(
            session, Decision("other-bot", ApprovalChoice.APPROVE, BEN, approval_id=1), registry.now
        )
    assert elsewhere.result is VoteResult.LATE


def test_an_answer_about_a_release_is_no_answer_about_a_cleanup(registry: Registry) -> None:
    """Without its number nobody answers a cleanup's question by mistake."""
    asked(registry)
    with registry.database.begin() as session:
        (one,) = apply_decision(session, Decision(APP, ApprovalChoice.APPROVE, BEN), registry.now)
    assert one.result is VoteResult.LATE
    assert questions(registry) == ["pending"]


@pytest.mark.long
def test_an_allowed_cleanup_that_was_killed_goes_on_without_asking(registry: Registry) -> None:
    """What is left of it, and what went already, are together what a person said yes to."""
    _record_requests(registry)
    asked(registry)
    say(registry, ApprovalChoice.APPROVE)
    for step in ("archive", "record", "done"):
        _die_at(registry, step)
    assert questions(registry) == ["approved"]
    registry.now += DAY
    registry.clean()
    assert not {"support@1.0.1", "support@1.1.1"} & registry.keys(Kind.PROMPTS)
    assert questions(registry) == ["approved"]
    with registry.database.read() as session:
        assert session.exec(select(RequestRow)).all() == []


class KilledError(BaseException):
    """What a kill looks like from inside: nothing catches it."""


def _die_at(registry: Registry, step: str) -> None:
    def watch(now: str) -> None:
        if now == step:
            raise KilledError

    cleanup: RegistryCleanup = registry.cleanup(watch)
    with pytest.raises(KilledError):
        cleanup.clean(cleanup.plan())


def _record_requests(registry: Registry) -> None:
    old = (NOON - 100 * DAY).timestamp()
    with registry.database.begin() as session:
        for number in range(30):
            row = request_row(request_id=f"r{number}", unit=number, release_id=None, started_at=old + 7200 * number)
            session.add(row)


def test_without_any_app_nobody_can_be_asked(database: Database, tmp_path: Path) -> None:
    """The message says what is missing."""
    registry = Registry(database, tmp_path)
    cleanup = registry.cleanup()
    planned = cleanup.plan()
    with database.begin() as session, pytest.raises(ApprovalNeededError, match="softlaunch apply"):
        ask_person(session, "digest", planned.size, ANNA.name, NOON)
