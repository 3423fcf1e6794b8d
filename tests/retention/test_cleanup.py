"""Cleaning up: what goes, what stays, and that everything can come back."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from softlaunch.catalog.aliases import PRODUCTION, MovedBy, move_alias
from softlaunch.catalog.records import (
    ImmutableError,
    get_parameters,
    record_model,
    record_parameters,
    record_prompt,
    record_variant,
)
from softlaunch.core.errors import ConflictError, NotFoundError
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import Variant
from softlaunch.integrations.archives.folder import FolderArchive
from softlaunch.integrations.archives.interface import ArchiveError
from softlaunch.retention.cleanup import Order, clean
from softlaunch.retention.kinds import EvalStore, NamedVersionStore, tag, untag, version_stores
from softlaunch.retention.rules import Kind
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, EvalAnswerRow, IncidentRow, NoticeRow, PromptRow, TextRow
from tests.support.builders import APP, CANDIDATE, STABLE, make_policy, open_in
from tests.support.cleanup_scene import DAY, Registry, a_model, a_prompt, make_registry

_PROMPTS = NamedVersionStore(Kind.PROMPTS, PromptRow)


@pytest.fixture
def registry(database: Database, tmp_path: Path) -> Registry:
    """A registry where everything unused goes after 180 days, whatever its number."""
    made = make_registry(database, tmp_path / "archive")
    keep(made, **{kind: {"keep_newest": 0} for kind in ("prompts", "parameters", "models", "variants")})
    return made


def keep(registry: Registry, **retention: object) -> None:
    """Give the app this retention."""
    with registry.database.begin() as session:
        policy = make_policy(retention=retention).model_dump(mode="json")
        session.get_one(AppRow, APP).policy = policy


def test_old_and_unused_goes_and_comes_back(registry: Registry) -> None:
    """Prompts, models, variants and evals older than the limit are archived, and restored byte for byte."""
    registry.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    registry.record(days_ago=100, prompt=a_prompt("1.3.0"), model=a_model("young"))
    registry.record_eval("long-ago", days_ago=200)
    registry.record_eval("lately", days_ago=100)
    before = registry.contents()
    done = registry.clean()
    assert {kind: one.deleted for kind, one in done.kinds.items() if one.deleted} == {
        Kind.PROMPTS: 1,
        Kind.MODELS: 1,
        Kind.VARIANTS: 1,
        Kind.EVALS: 1,
    }
    assert registry.keys(Kind.MODELS) == {"young"}
    for kind, key in registry.archived():
        registry.put_back(kind, key)
    assert registry.contents() == before


def test_a_second_cleanup_finds_nothing(registry: Registry) -> None:
    """What is done is done, and people are told each time."""
    registry.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    registry.clean()
    assert not any(one.deleted for one in registry.clean().kinds.values())
    with registry.database.read() as session:
        told = [row.text for row in session.exec(select(NoticeRow))]
    assert told[0].startswith("Registry cleanup: archived and deleted 1 prompts")
    assert told[1] == "Registry cleanup: nothing was due."


def test_what_was_put_back_counts_as_new(registry: Registry) -> None:
    """Somebody wanted it: the next cleanup leaves it, one half a year later doesn't."""
    registry.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    registry.clean()
    registry.put_back(Kind.PROMPTS, "support@1.2.0")
    assert "support@1.2.0" not in registry.due()
    registry.now += 181 * DAY
    assert "support@1.2.0" in registry.due()


def test_what_is_pointed_at_stays(registry: Registry) -> None:
    """Production, previous, a live release's two variants with their prompts and models, and their evals."""
    registry.record(days_ago=900, prompt=STABLE.prompt, model=STABLE.model)
    registry.record(days_ago=900, prompt=CANDIDATE.prompt, model=CANDIDATE.model)
    first = registry.record(days_ago=900, prompt=a_prompt("0.1.0"), model=a_model("first"))
    with registry.database.begin() as session:
        move_alias(session, APP, PRODUCTION, first.digest, MovedBy("anna"), registry.now)
        release_id = open_in(session)
    registry.record_eval(release_id, days_ago=900, release_id=release_id)
    registry.now += 1000 * DAY
    assert registry.due() == set()


def test_what_served_once_can_be_read_for_good(registry: Registry) -> None:
    """A variant that production has left stays, for the history tells of it; its prompt and model may go."""
    first = registry.record(days_ago=900, prompt=a_prompt("0.1.0"), model=a_model("first"))
    with registry.database.begin() as session:
        move_alias(session, APP, PRODUCTION, first.digest, MovedBy("anna"), registry.now - 900 * DAY)
        move_alias(session, APP, PRODUCTION, STABLE.digest, MovedBy("anna"), registry.now - 800 * DAY)
    assert registry.due() == {"support@0.1.0", "first"}


def test_a_protected_tag_keeps_and_another_shortens(registry: Registry) -> None:
    """`protected` keeps for good; a tag with an age of its own goes by that."""
    keep(registry, prompts={"keep_newest": 0, "tags": {"experiment": "30 d"}})
    for number, days in (("1.2.0", 900), ("1.3.0", 40), ("1.4.0", 40)):
        registry.record(days_ago=days, prompt=a_prompt(number), model=a_model("one"))
    with registry.database.begin() as session:
        assert tag(session, Kind.PROMPTS, "support@1.2.0", "protected", "anna", registry.now)
        assert not tag(session, Kind.PROMPTS, "support@1.2.0", "protected", "anna", registry.now)
        tag(session, Kind.PROMPTS, "support@1.3.0", "experiment", "anna", registry.now)
    assert registry.due() & {"support@1.2.0", "support@1.3.0", "support@1.4.0"} == {"support@1.3.0"}
    with registry.database.begin() as session:
        untag(session, Kind.PROMPTS, "support@1.2.0", "protected")
        with pytest.raises(NotFoundError, match="has no tag"):
            untag(session, Kind.PROMPTS, "support@1.2.0", "protected")
        with pytest.raises(NotFoundError, match="can't be tagged"):
            tag(session, Kind.PROMPTS, "support@9.9.9", "protected", "anna", registry.now)
    assert "support@1.2.0" in registry.due()


def test_by_count(registry: Registry) -> None:
    """The newest stay however old they are, and more than the limit go however new they are."""
    keep(registry, prompts={"keep_newest": 2, "at_most": 4})
    for number in range(6):
        registry.record(days_ago=10 - number, prompt=a_prompt(f"2.{number}.0", name="many"), model=a_model("one"))
        registry.record(days_ago=900 - number, prompt=a_prompt(f"2.{number}.0", name="old"), model=a_model("one"))
    prompts = {key for key in registry.due() if "@" in key}
    assert prompts == {"many@2.0.0", "many@2.1.0", *(f"old@2.{number}.0" for number in range(4))}


def test_the_policy_that_keeps_longest_counts(registry: Registry) -> None:
    """Versions are shared by apps: one that keeps them for two years keeps them for all."""
    registry.record(days_ago=400, prompt=a_prompt("1.2.0"), model=a_model("old"))
    with registry.database.begin() as session:
        policy = make_policy(app="other", retention={"prompts": {"age": "730 d"}}).model_dump(mode="json")
        session.add(AppRow(name="other", policy=policy, policy_path="p", salt="s", recorded_at=registry.now))
    assert "support@1.2.0" not in registry.due()


def test_what_is_used_meanwhile_is_kept(registry: Registry) -> None:
    """An alias that moves, or a tag that is set, between plan and deletion keeps the version."""
    wanted = registry.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    registry.record(days_ago=200, prompt=a_prompt("1.3.0"), model=a_model("older"))
    registry.record(days_ago=200, prompt=a_prompt("1.4.0"), model=a_model("oldest"))

    def meanwhile(step: str) -> None:
        if step == "delete":
            with registry.database.begin() as session:
                move_alias(session, APP, PRODUCTION, wanted.digest, MovedBy("anna"), registry.now)
                tag(session, Kind.PROMPTS, "support@1.3.0", "protected", "anna", registry.now)

    archive = FolderArchive(registry.folder)
    order = Order(registry.plan().fingerprints, registry.now, "anna")
    done = clean(registry.database, _PROMPTS, archive, order, registry.now, meanwhile)
    assert (done.deleted, done.kept) == (1, 2)
    assert {"support@1.2.0", "support@1.3.0"} <= registry.keys(Kind.PROMPTS)


def test_what_came_due_after_the_plan_is_left_to_the_next_cleanup(registry: Registry) -> None:
    """A tag that was taken away since protects it still: nobody planned, or was asked, to delete it."""
    registry.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    registry.record(days_ago=200, prompt=a_prompt("1.3.0"), model=a_model("older"))
    with registry.database.begin() as session:
        tag(session, Kind.PROMPTS, "support@1.3.0", "protected", "anna", registry.now)
    keeper = registry.cleanup()
    planned = keeper.plan()
    with registry.database.begin() as session:
        untag(session, Kind.PROMPTS, "support@1.3.0", "protected")
    done = keeper.clean(planned)
    assert done.kinds[Kind.PROMPTS].deleted == 1
    assert registry.keys(Kind.PROMPTS) == {"support@1.3.0"}
    assert "support@1.3.0" in registry.due()


def late_answer(run_id: str, answer: str) -> EvalAnswerRow:
    """One more answer of an eval."""
    return EvalAnswerRow(
        run_id=run_id,
        arm="candidate",
        case_id="2",
        repeat=0,
        variant_digest="c",
        status="scored",
        answer=answer,
        scores={},
    )


def test_what_changes_after_its_copy_was_read_is_spared(registry: Registry) -> None:
    """An eval that gains an answer between archive and deletion would be lost with a copy that lacks it."""
    registry.record_eval("growing", days_ago=200)
    registry.record_eval("still", days_ago=200)

    def meanwhile(step: str) -> None:
        if step == "delete":
            with registry.database.begin() as session:
                session.add(late_answer("growing", "“no”"))

    archive = FolderArchive(registry.folder)
    order = Order(registry.plan().fingerprints, registry.now, "anna")
    done = clean(registry.database, EvalStore(), archive, order, registry.now, meanwhile)
    assert (done.deleted, done.kept) == (1, 1)
    assert registry.keys(Kind.EVALS) == {"growing"}


def test_nothing_comes_into_use_while_it_is_deleted(registry: Registry) -> None:
    """Whoever moves an alias waits until the cleanup has written what it decided by the aliases of before."""
    registry.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    moved = threading.Event()

    def move() -> None:
        with registry.database.begin() as session:
            move_alias(session, APP, PRODUCTION, STABLE.digest, MovedBy("anna"), registry.now)
        moved.set()

    mover, seen = threading.Thread(target=move), []

    def meanwhile(step: str) -> None:
        if step == "record":
            mover.start()
            seen.append(moved.wait(0.5))

    order = Order(registry.plan().fingerprints, registry.now, "anna")
    clean(
        registry.database,
        _PROMPTS,
        FolderArchive(registry.folder),
        order,
        registry.now,
        meanwhile,
    )
    mover.join(30)
    assert (seen, moved.is_set()) == ([False], True)


@pytest.mark.parametrize("count", [3, 4, 5], ids=["a page and a half", "two whole pages", "two and a half"])
def test_pages_miss_nothing_and_count_nothing_twice(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Else one of the newest that stay could be taken for an older one; also where all were recorded at one moment."""
    monkeypatch.setattr("softlaunch.retention.kinds.PAGE", 2)
    for number in range(count):
        registry.record(days_ago=200, prompt=a_prompt(f"1.{number}.0", name="many"), model=a_model(f"m{number}"))
        registry.record_eval(f"eval-{number}", days_ago=200 + number)
    for store in version_stores():
        keys = [item.key for item in store.items(registry.database)]
        assert len(keys) == len(set(keys))
        with registry.database.read() as session:
            assert {entry.key for entry in store.entries(session, keys)} == registry.keys(store.kind)
    keep(registry, prompts={"keep_newest": 2})
    assert {key for key in registry.due() if "@" in key} == {f"many@1.{number}.0" for number in range(count - 2)}


def test_an_eval_is_as_large_as_its_answers(registry: Registry) -> None:
    """By its size people are asked before much is deleted."""
    registry.record_eval("long-ago", days_ago=200)
    with registry.database.begin() as session:
        session.add(late_answer("long-ago", "x" * 70_000))
    (item,) = EvalStore().items(registry.database)
    assert 70_000 < item.bytes < 70_100


def test_a_deleted_version_is_never_recorded_with_other_content(registry: Registry) -> None:
    """Its name is taken for good; the same content may come back."""
    registry.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    registry.clean()
    with registry.database.begin() as session:
        with pytest.raises(ImmutableError, match=r"restore prompts support@1.2.0"):
            record_prompt(session, a_prompt("1.2.0", "Other."), "test", registry.now)
        assert record_prompt(session, a_prompt("1.2.0"), "test", registry.now)


class BrokenArchive(FolderArchive):
    """Hands back other bytes than it was given."""

    def get(self, key: str) -> bytes:
        """One bit off."""
        content = bytearray(super().get(key))
        content[-1] ^= 1
        return bytes(content)


def test_a_copy_that_differs_deletes_nothing(registry: Registry) -> None:
    """The incident says so, and everything is still in the ledger."""
    registry.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    before = registry.contents()
    cleanup = replace(registry.cleanup(), archive=BrokenArchive(registry.folder))
    with pytest.raises(ArchiveError, match="differs"):
        cleanup.clean(cleanup.plan())
    assert registry.contents() == before
    with registry.database.read() as session:
        incident = session.exec(select(IncidentRow)).one()
    assert (incident.kind, incident.app) == ("registry_cleanup_failed", "")


def test_a_folder_that_can_not_be_written(registry: Registry) -> None:
    """A file in the way of the archive is an error that says what to look at."""
    registry.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    registry.folder.write_text("a file")
    with pytest.raises(ArchiveError, match="SOFTLAUNCH_ARCHIVE"):
        registry.clean()


def test_restoring_what_is_there_or_never_was(registry: Registry) -> None:
    """Neither changes anything, and both say why."""
    registry.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    registry.clean()
    registry.put_back(Kind.PROMPTS, "support@1.2.0")
    with pytest.raises(ConflictError, match="in the ledger already"):
        registry.put_back(Kind.PROMPTS, "support@1.2.0")
    with pytest.raises(NotFoundError, match=r"newest that were: support@1.2.0"):
        registry.put_back(Kind.PROMPTS, "support@7.0.0")


def test_a_damaged_archive_object_is_not_restored(registry: Registry) -> None:
    """A bit that flipped in the archive is seen."""
    registry.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    registry.clean()
    for stored in registry.folder.rglob("*.zst"):
        stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    with pytest.raises(ArchiveError, match="differs"):
        registry.put_back(Kind.PROMPTS, "support@1.2.0")


def test_texts_are_deleted_for_good_when_their_time_is_over(registry: Registry) -> None:
    """People's words aren't archived."""
    with registry.database.begin() as session:
        for number, left in enumerate((-1, 1)):
            expires = (registry.now + timedelta(seconds=left)).timestamp()
            session.add(
                TextRow(request_id=str(number), arm="stable", app=APP, question="q", answer="a", expires_at=expires)
            )
    assert registry.clean().texts == 1
    with registry.database.read() as session:
        assert [row.request_id for row in session.exec(select(TextRow))] == ["1"]


def test_parameters_and_fallback_models_go_and_stay_as_prompts_do(registry: Registry) -> None:
    """What production sends or falls back to stays; what nothing uses goes, and comes back as it was."""
    when = registry.now - 200 * DAY
    used, unused = (a_version(version) for version in ("1.0.0", "1.1.0"))
    spare, idle = a_model("spare"), a_model("idle")
    serving = Variant(prompt=a_prompt("9.0.0"), model=a_model("own"), parameters=used, fallbacks=(spare,))
    with registry.database.begin() as session:
        for parameters in (used, unused):
            record_parameters(session, parameters, "test", when)
        for model in (spare, idle):
            record_model(session, model, "test", when)
        record_variant(session, serving, when)
        move_alias(session, APP, PRODUCTION, serving.digest, MovedBy("anna"), registry.now)
    registry.clean()
    assert registry.keys(Kind.PARAMETERS) == {"support@1.0.0"}
    assert "spare" in registry.keys(Kind.MODELS)
    assert "idle" not in registry.keys(Kind.MODELS)
    with registry.database.begin() as session, pytest.raises(ImmutableError, match="was archived on"):
        record_parameters(session, a_version("1.1.0", reasoning_effort="high"), "test", registry.now)
    registry.put_back(Kind.PARAMETERS, "support@1.1.0")
    with registry.database.read() as session:
        assert get_parameters(session, "support@1.1.0") == unused


def a_version(version: str, **fields: object) -> Parameters:
    """Parameters with settings."""
    return Parameters.model_validate({"name": "support", "version": version, "settings": {"top_k": 5}, **fields})
