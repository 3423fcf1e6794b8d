"""Files that may hold what users wrote."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from softlaunch.core.private_files import make_private, private_folder, tighten
from softlaunch.evals.suites.golden_set import SuiteHeader
from softlaunch.evals.suites.suite_growth import write_suite
from softlaunch.installation.stack import Stack
from softlaunch.integrations.archives.folder import FolderArchive
from softlaunch.reports.pages import write_whole
from softlaunch.store.migrate import open_database


@pytest.fixture(autouse=True)
def wide() -> Iterator[None]:
    """The usual umask, under which files can be read by everybody."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Who may do what."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_ledger_is_its_owners_alone(tmp_path: Path) -> None:
    """The file, SQLite's log and index beside it, and the folder that is made for them."""
    home = tmp_path / "home"
    database = open_database(f"sqlite:///{home / 'ledger.db'}")
    with database.begin() as session:
        session.connection().exec_driver_sql("CREATE TABLE x (y)")
        assert {path.name: mode(path) for path in home.iterdir()} == dict.fromkeys(
            ("ledger.db", "ledger.db-wal", "ledger.db-shm"), 0o600
        )
    database.close()
    assert mode(home) == 0o700


def test_a_ledger_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    """As soon as somebody opens it; what it holds stays."""
    path = tmp_path / "ledger.db"
    open_database(f"sqlite:///{path}").close()
    path.chmod(0o644)
    database = open_database(f"sqlite:///{path}")
    database.close()
    assert mode(path) == 0o600


def test_a_group_that_somebody_let_in_stays(tmp_path: Path) -> None:
    """It isn't the owner's own group; others are shut out all the same."""
    path = tmp_path / "ledger.db"
    make_private(path)
    path.chmod(0o664)
    other = os.getegid() + 1 if os.geteuid() == 0 else next(iter({*os.getgroups()} - {os.getegid()}), None)
    if other is None:
        pytest.skip("this user is in no other group")
    os.chown(path, -1, other)
    path.chmod(0o664)
    tighten(path)
    assert mode(path) == 0o660


def test_pages_archives_logs_and_golden_sets_are_their_owners_alone(tmp_path: Path) -> None:
    """Everything that is made; a golden set that is there keeps its mode."""
    page = write_whole(private_folder(tmp_path / "reports") / "a.html", "text \udce9")
    archive = FolderArchive(tmp_path / "archive")
    archive.put("evals/2026/x.jsonl.zst", b"text")
    header = SuiteHeader(owner="a")
    write_suite(tmp_path / "new.jsonl", header, [])
    (tmp_path / "old.yaml").write_text("x")
    write_suite(tmp_path / "old.yaml", header, [])
    stack = Stack(tmp_path / "logs", {})
    with stack:
        pass
    folders = {path for path in tmp_path.rglob("*") if path.is_dir()}
    assert {mode(path) for path in folders} == {0o700}
    assert len(folders) == 5
    assert {mode(path) for path in (page, tmp_path / "new.jsonl", *archive._folder.rglob("*.zst"))} == {0o600}
    assert mode(tmp_path / "old.yaml") == 0o644


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """Somebody serves it, or has it from elsewhere."""
    (tmp_path / "reports").mkdir(mode=0o755)
    assert mode(private_folder(tmp_path / "reports")) == 0o755
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        private_folder(tmp_path / "file")
