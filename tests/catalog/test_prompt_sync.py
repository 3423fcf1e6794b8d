"""Prompts recorded from Git."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import select

from softlaunch.catalog import records
from softlaunch.catalog.prompt_history import PromptHistoryError
from softlaunch.catalog.prompt_sync import Prompts, Synced, sync
from softlaunch.core.variant import PromptMessage, PromptVersion
from softlaunch.integrations.git.repository import GitError
from softlaunch.store.database import Database
from softlaunch.store.tables import PromptRow, PromptSyncRow
from tests.support.git_prompts import PromptRepo, prompt

NOON = datetime(2026, 9, 2, 12, tzinfo=UTC)


@pytest.fixture
def repo(tmp_path: Path) -> PromptRepo:
    """A repository whose main has support@1.0.0."""
    made = PromptRepo.make(tmp_path / "repo")
    made.commit("Begin", v1_0_0=prompt())
    return made


def _sync(repo: PromptRepo, database: Database, revision: str = "main", since: str | None = None) -> Synced:
    return sync(database, Prompts.at(repo.path, "prompts", revision), since, "ann", NOON)


def test_a_sync_records_what_is_new(repo: PromptRepo, database: Database) -> None:
    """Versions are recorded once, with file and commit as their source."""
    assert _sync(repo, database).recorded == ("support@1.0.0",)
    assert _sync(repo, database).recorded == ()
    second = repo.commit("Second", v1_1_0=prompt("Kindly."))
    assert _sync(repo, database).recorded == ("support@1.1.0",)
    with database.read() as session:
        source = session.get_one(PromptRow, ("support", "1.1.0")).source
        assert source == f"prompts/support/v1.1.0.md at commit {second}"
        assert len(session.exec(select(PromptSyncRow)).all()) == 3


def test_a_sync_looks_only_at_what_came_since(repo: PromptRepo, database: Database) -> None:
    """After a sync with --since the old gap is never looked at again."""
    repo.commit("Gap", v2_5_0=prompt("Old."))
    with pytest.raises(PromptHistoryError, match="--since COMMIT"):
        _sync(repo, database)
    _sync(repo, database, since="main")
    repo.commit("Next", v2_5_1=prompt("Newer."))
    assert _sync(repo, database).recorded == ("support@2.5.1",)


def test_a_rewritten_version_is_never_recorded(repo: PromptRepo, database: Database) -> None:
    """The commit that rewrote it is named, and nothing of that sync is written."""
    _sync(repo, database)
    repo.commit("New", v1_1_0=prompt("Fine."))
    rewritten = repo.commit("Rewrite", v1_0_0=prompt("Other."))
    with pytest.raises(PromptHistoryError, match=rf"v1.0.0.md, commit {rewritten}.*support@1.0.0"):
        _sync(repo, database)
    with database.read() as session:
        assert [row.version for row in records.list_prompts(session)] == ["1.0.0"]


def test_what_another_source_recorded_is_never_changed(repo: PromptRepo, database: Database) -> None:
    """A version that was applied from a folder with other content: file and commit of Git's are named."""
    other = PromptVersion(name="support", version="1.0.0", messages=(PromptMessage(role="user", content="Hi"),))
    with database.begin() as session:
        records.record_prompt(session, other, "my-bot/prompts/support/v1.0.0.md", NOON)
    with pytest.raises(PromptHistoryError, match=r"v1.0.0.md, commit \w+ .*from my-bot/prompts"):
        _sync(repo, database)


def test_a_tag_can_be_synced(repo: PromptRepo, database: Database) -> None:
    """Any revision will do, such as the tag of a deployment."""
    repo.git("tag", "deployed")
    repo.commit("Second", v1_1_0=prompt("Kindly."))
    assert _sync(repo, database, "deployed").versions == 1


def test_a_folder_without_prompts(repo: PromptRepo, database: Database) -> None:
    """A wrong folder is said, instead of recording nothing."""
    with pytest.raises(GitError, match="no prompt in elsewhere"):
        sync(database, Prompts.at(repo.path, "elsewhere", "main"), None, "ann", NOON)
