"""Going back: a second step that isn't taken says so, and a named version is put in force."""

import pytest
from sqlmodel import Session

from softlaunch.approvals.rollback import RollbackOrder, UntriedError, carry_out
from softlaunch.catalog.aliases import BASELINE, PREVIOUS, PRODUCTION, read_alias
from softlaunch.catalog.records import AmbiguousError, record_variant
from softlaunch.core.errors import NotFoundError
from softlaunch.core.variant import Variant
from softlaunch.ledger.releases import FencedError
from softlaunch.policy.release import State
from softlaunch.releases.ending import Ended
from softlaunch.reports.history import read_history
from softlaunch.store.database import Database
from tests.support.builders import ANNA, APP, CANDIDATE, NOON, STABLE, Scene, make_variant, open_in, record_app, told

THIRD = make_variant("1.2.0", "You help even more kindly.")


def back(database: Database, to: str | None = None, *, untried: bool = False, reason: str = "users complain") -> Ended:
    """Go back as anna wants it."""
    with database.begin() as session:
        return carry_out(session, RollbackOrder(APP, reason, ANNA, to, untried), NOON)


def promote(database: Database, stable: Variant, candidate: Variant) -> Scene:
    """Release a candidate to its end."""
    with database.begin() as session:
        record_variant(session, candidate, NOON)
        scene = Scene(database, open_in(session, stable=stable, candidate=candidate))
    assert scene.drive_to_end().state is State.PROMOTED
    return scene


@pytest.fixture
def three(database: Database) -> tuple[Scene, Scene]:
    """Three versions have served one after the other: 1.0.0, 1.1.0, 1.2.0."""
    record_app(database)
    return promote(database, STABLE, CANDIDATE), promote(database, CANDIDATE, THIRD)


def aliases(session: Session) -> list[str | None]:
    """Where production, previous and baseline point."""
    return [read_alias(session, APP, alias) for alias in (PRODUCTION, PREVIOUS, BASELINE)]


def test_a_second_step_back_says_what_serves_and_how_to_go_further(
    database: Database, three: tuple[Scene, Scene]
) -> None:
    """It changes nothing, so that a retry does no harm; the words name the version before."""
    once = back(database)
    assert (once.changed, once.serving_digest) == (True, CANDIDATE.digest)
    for _ in range(2):
        again = back(database)
        assert (again, again.changed) == (once, False)
        assert f"{APP}-2 was already rolled back at 2026-03-01" in again.message
        assert f"{APP} is served by support@1.1.0 on steady" in again.message
        assert "since 2026-03-01" in again.message
        assert "by anna (command line)" in again.message
        assert again.message.endswith(f"softlaunch rollback {APP} --to support@1.0.0.")
    assert three[1].route().stable_digest == CANDIDATE.digest


@pytest.mark.long
@pytest.mark.parametrize(
    "reference",
    [
        pytest.param("support@1.0.0", id="a prompt version"),
        pytest.param(STABLE.digest, id="a digest"),
        pytest.param(STABLE.digest[:12], id="the beginning of a digest"),
    ],
)
def test_a_named_version_is_put_in_force(database: Database, three: tuple[Scene, Scene], reference: str) -> None:
    """All releases on the way back are rolled back; aliases, messages and history tell of it; twice is as once."""
    ended = back(database, reference)
    assert (ended.changed, ended.serving_digest, ended.release_id) == (True, STABLE.digest, f"{APP}-2")
    assert [scene.release().state for scene in three] == [State.ROLLED_BACK, State.ROLLED_BACK]
    assert three[1].route().stable_digest == STABLE.digest
    with database.read() as session:
        assert aliases(session) == [STABLE.digest, THIRD.digest, STABLE.digest]
        trail = read_history(session, APP, 50)
    (entry,) = [one for one in trail if one.what.startswith("put in force")]
    assert entry.by == str(ANNA)
    assert "users complain" in entry.what
    assert "support@1.0.0 on steady" in entry.what
    assert "anna (command line) rolled back" in told(database)[-1]
    again = back(database, reference)
    assert (again.changed, again.route_revision) == (False, ended.route_revision)
    assert "Nothing was changed" in again.message


def test_a_live_release_ends_first(database: Database, three: tuple[Scene, Scene]) -> None:
    """Its driver is fenced off, and what was named serves."""
    with database.begin() as session:
        live = Scene(database, open_in(session, stable=THIRD, candidate=CANDIDATE))
    live.drive_to(3)
    driver = live.driver()
    token = driver.acquire_lease(live.release_id)
    ended = back(database, "support@1.0.0")
    assert (ended.release_id, ended.state) == (live.release_id, State.ROLLED_BACK)
    assert live.route().stable_digest == STABLE.digest
    assert live.route().candidate_digest is None
    assert driver.advance(live.release_id, token).over
    with pytest.raises(FencedError):
        live.driver("next").acquire_lease(live.release_id)
    after = promote(database, STABLE, CANDIDATE)
    assert after.route().stable_digest == CANDIDATE.digest


def test_a_rollback_that_was_wrong_is_undone_by_name(database: Database, three: tuple[Scene, Scene]) -> None:
    """What was rolled back serves again, and a step back afterwards doesn't pretend to undo that."""
    back(database)
    ended = back(database, "support@1.2.0")
    assert three[1].route().stable_digest == THIRD.digest
    assert ended.message.startswith(f"{APP} is served by support@1.2.0")
    with database.read() as session:
        assert aliases(session) == [THIRD.digest, CANDIDATE.digest, THIRD.digest]
    assert not back(database).changed


def test_what_never_served_needs_to_be_insisted_on(database: Database, three: tuple[Scene, Scene]) -> None:
    """A rollback is no release without checks, unless somebody says so."""
    untried = make_variant("2.0.0", "You are new.")
    with database.begin() as session:
        record_variant(session, untried, NOON)
    with pytest.raises(UntriedError, match=r"has never served .*support@1\.1\.0, support@1\.0\.0.*--untried"):
        back(database, "support@2.0.0")
    assert three[0].route().stable_digest == THIRD.digest
    assert back(database, "support@2.0.0", untried=True).serving_digest == untried.digest
    assert three[1].release().state is State.ROLLED_BACK


@pytest.mark.long
def test_a_prompt_version_that_several_variants_have_is_not_guessed(database: Database) -> None:
    """Their digests are listed; where one of them serves it is that one, so that a repeated command does nothing."""
    record_app(database)
    other = make_variant("1.0.0", name="other", model="other")
    promote(database, STABLE, other)
    promote(database, other, CANDIDATE)
    with pytest.raises(AmbiguousError, match=other.short) as refused:
        back(database, "support@1.0.0")
    assert STABLE.short in str(refused.value)
    assert back(database).serving_digest == other.digest
    assert not back(database, "support@1.0.0").changed
    assert back(database).message.endswith(f"--to {STABLE.short}.")


@pytest.mark.long
@pytest.mark.parametrize("reference", ["support@9.9.9", "nonsense"])
def test_what_nobody_knows_is_refused_with_what_there_is(
    database: Database, three: tuple[Scene, Scene], reference: str
) -> None:
    """And nothing has changed."""
    with pytest.raises(NotFoundError):
        back(database, reference)
    assert three[0].route().stable_digest == THIRD.digest


def test_an_app_that_never_released_can_go_to_what_serves(database: Database) -> None:
    """There is no release to name."""
    record_app(database)
    ended = back(database, STABLE.digest)
    assert (ended.release_id, ended.state, ended.changed) == ("", None, False)
