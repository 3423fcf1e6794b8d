"""Finding what is recorded."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import Session

from softlaunch.catalog import records
from softlaunch.catalog.apps import apply
from softlaunch.catalog.records import AmbiguousError
from softlaunch.core.errors import NotFoundError
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.store.database import Database
from softlaunch.store.tables import VariantRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _prompt(version: str) -> PromptVersion:
    message = PromptMessage(role="system", content="Be kind.")
    return PromptVersion(name="support", version=version, messages=(message,))


def test_a_variant_is_found_by_name_alias_and_digest(app_folder: Path, database: Database) -> None:
    """Names, aliases, the short digest and the whole one lead to the same variant."""
    apply(app_folder, database, "ann")
    with database.read() as session:
        production = records.get_variant(session, "support-bot", "production")
        for reference in ("current", "support-bot/current", production.digest[:6], production.digest):
            assert records.get_variant(session, "support-bot", reference) == production


def test_what_comes_back_has_the_digest_that_was_recorded(app_folder: Path, database: Database) -> None:
    """Content survives the database byte for byte, numbers included."""
    apply(app_folder, database, "ann")
    with database.read() as session:
        for row in records.list_variants(session):
            assert Variant.model_validate(row.content).digest == row.digest
        for prompt in records.list_prompts(session):
            assert records.get_prompt(session, f"{prompt.name}@{prompt.version}").digest == prompt.digest
        for model in records.list_models(session):
            assert records.get_model(session, model.name).digest == model.digest


@pytest.mark.parametrize("reference", ["nope", "abc", "0" * 65, "%" * 8, "0" * 12], ids=str)
def test_an_unknown_variant_names_those_that_exist(app_folder: Path, database: Database, reference: str) -> None:
    """A reference that leads nowhere lists the app's names; five characters of a digest are too few."""
    apply(app_folder, database, "ann")
    with (
        database.read() as session,
        pytest.raises(NotFoundError, match="its variants: baseline, brief, current, production"),
    ):
        records.get_variant(session, "support-bot", reference)


def test_an_unknown_app_names_those_that_exist(app_folder: Path, database: Database) -> None:
    """The message lists the recorded apps."""
    apply(app_folder, database, "ann")
    with (
        database.read() as session,
        pytest.raises(NotFoundError, match="no app 'shop' is recorded; recorded: support-bot"),
    ):
        records.get_variant(session, "shop", "production")


def test_an_empty_ledger_says_how_to_begin(database: Database) -> None:
    """Before anything is recorded every question ends with the two commands that begin."""
    with database.read() as session:
        for ask in (
            lambda: records.get_prompt(session, "support@1.0.0"),
            lambda: records.get_model(session, "steady"),
            lambda: records.get_variant(session, "support-bot", "production"),
        ):
            with pytest.raises(NotFoundError, match="softlaunch init"):
                ask()


def test_a_digest_that_several_variants_begin_with(app_folder: Path, database: Database) -> None:
    """A prefix that fits two variants is an error, never a guess."""
    apply(app_folder, database, "ann")
    with database.begin() as session:
        for end in "12":
            session.add(_copy_of_any(session, "abcdef" + end * 58))
    with database.read() as session, pytest.raises(AmbiguousError, match="start with abcdef; give more"):
        records.get_variant(session, "support-bot", "abcdef")


def _copy_of_any(session: Session, digest: str) -> VariantRow:
    row = records.list_variants(session)[0]
    return VariantRow(**{**row.model_dump(), "digest": digest})


def test_recording_the_same_again_is_no_news(database: Database) -> None:
    """The first time says that it was new, the second that it wasn't."""
    model = ModelVersion(name="steady", provider="rehearsal", model="steady", endpoint="http://127.0.0.1:9/v1")
    variant = Variant(prompt=_prompt("1.0.0"), model=model)
    with database.begin() as session:
        assert [records.record_prompt(session, variant.prompt, "a test", NOON) for _ in range(2)] == [True, False]
        assert [records.record_model(session, model, "a test", NOON) for _ in range(2)] == [True, False]
        assert [records.record_variant(session, variant, NOON) for _ in range(2)] == [True, False]


def test_versions_are_listed_by_precedence(database: Database) -> None:
    """1.10.0 comes after 1.9.0, and a release candidate before its release."""
    versions = ["1.9.0", "1.10.0-rc.1", "1.10.0", "2.0.0"]
    with database.begin() as session:
        for version in sorted(versions):
            records.record_prompt(session, _prompt(version), "a test", NOON)
        assert [row.version for row in records.list_prompts(session)] == versions
