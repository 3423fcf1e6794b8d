"""A cleanup that is killed at any of its steps: nothing is lost, and the next one finishes."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from softlaunch.retention.restore import list_archived
from softlaunch.retention.rules import Kind
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow
from tests.support.builders import APP, make_policy
from tests.support.cleanup_scene import Registry, a_model, a_prompt, make_registry

pytestmark = pytest.mark.long

STEPS = ("read", "archive", "read back", "settle", "delete", "record", "done")
KINDS = 4


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def old_registry(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger in which something of every kind is due."""
    folder = tmp_path_factory.mktemp("old")
    shutil.copy(migrated_file, folder / "ledger.db")
    registry = _open(folder, make=True)
    keep = {kind: {"keep_newest": 0} for kind in ("prompts", "models", "variants")}
    with registry.database.begin() as session:
        session.get_one(AppRow, APP).policy = make_policy(retention=keep).model_dump(mode="json")
    for number in range(3):
        registry.record(days_ago=200, prompt=a_prompt(f"1.{number}.1"), model=a_model(f"model-{number}"))
        registry.record_eval(f"eval-{number}", days_ago=200)
    registry.database.close()
    return folder / "ledger.db"


def _open(folder: Path, *, make: bool = False) -> Registry:
    database = Database(f"sqlite:///{folder / 'ledger.db'}")
    return make_registry(database, folder / "archive") if make else Registry(database, folder / "archive")


def _killed(folder: Path, prepare: Callable[[], Callable[[str], None]]) -> bool:
    """Clean up in a process of its own that may kill itself; whether it did."""
    child = os.fork()
    if child == 0:
        try:
            cleanup = _open(folder).cleanup(prepare())
            cleanup.clean(cleanup.plan())
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _check(folder: Path, before: dict[tuple[Kind, str], bytes]) -> None:
    """Everything is in the ledger as it was, or can be put back; then a cleanup finishes, and all of it comes back."""
    registry = _open(folder)
    for _ in range(2):
        here = registry.contents()
        for kind, key in registry.archived():
            if (kind, key) not in here:
                registry.put_back(kind, key)
        assert registry.contents() == before
        with registry.database.begin() as session:
            for row in list_archived(session, None, 1000):
                row.restored_at = None
        registry.clean()
        assert registry.due() == set()
    registry.database.close()


@pytest.mark.parametrize("kind", [0, *(pytest.param(number, marks=pytest.mark.chaos) for number in range(1, KINDS))])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_every_step(old_registry: Path, tmp_path: Path, step: str, kind: int) -> None:
    """At each named step, of each kind: prompts, models, variants, evals."""
    shutil.copy(old_registry, tmp_path / "ledger.db")
    registry = _open(tmp_path)
    before = registry.contents()
    registry.database.close()

    def prepare() -> Callable[[str], None]:
        seen: list[str] = []

        def watch(told: str) -> None:
            seen.append(told)
            if told == step and seen.count(step) == kind + 1:
                _die()

        return watch

    assert _killed(tmp_path, prepare)
    _check(tmp_path, before)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_killed_while_writing_the_archive(
    old_registry: Path, tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the bytes are on the disk, and before the file has its name."""
    shutil.copy(old_registry, tmp_path / "ledger.db")
    registry = _open(tmp_path)
    before = registry.contents()
    registry.database.close()
    owner = {"fsync": os, "replace": Path}[call]

    def prepare() -> Callable[[str], None]:
        setattr(owner, call, lambda *arguments: _die())
        return lambda step: None

    assert _killed(tmp_path, prepare)
    _check(tmp_path, before)


def test_one_that_is_not_killed_finishes(old_registry: Path, tmp_path: Path) -> None:
    """The process that these tests kill would have done its work."""
    shutil.copy(old_registry, tmp_path / "ledger.db")
    assert not _killed(tmp_path, lambda: lambda step: None)
    assert _open(tmp_path).due() == set()
