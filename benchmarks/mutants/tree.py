"""A copy of the repository, in which code is changed and tests are run; the work tree itself is never touched."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.mutants.changes import Change

_IGNORED = {".venv", ".venv-mlflow", ".venv-ppi"}
_QUIET = ("-q", "--no-header", "--no-summary", "-p", "no:cacheprovider")
_FAILED, _INTERRUPTED = 1, 2
"""What pytest says by its exit code: a test failed, or the tests can't even be collected."""


class Outcome(StrEnum):
    """What became of a change."""

    NOTICED = "noticed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    UNTESTED = "no test runs it"
    UNKNOWN = "the tests could not be run"

    @property
    def is_hole(self) -> bool:
        """Whether the suite lets it pass."""
        return self in {Outcome.SURVIVED, Outcome.UNTESTED}


@dataclass(frozen=True, slots=True)
class Tree:
    """A copy of the files that the repository holds, at `root`."""

    root: Path

    def digest_with(self, *more: str) -> str:
        """A name for all code in the tree and for what it is to be used with."""
        digest = hashlib.sha256("\0".join(more).encode())
        for path in sorted(self.root.rglob("*.py")):
            if not path.is_relative_to(self.root / "benchmarks"):
                digest.update(str(path.relative_to(self.root)).encode() + path.read_bytes())
        return digest.hexdigest()[:16]

    def run(self, arguments: Sequence[str], seconds: float, variables: Mapping[str, str] | None = None) -> int | None:
        """Run pytest; its exit code, or None where it took longer. Nothing that it started is left."""
        environment = {**os.environ, **(variables or {}), "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", *_QUIET, *arguments]
        process = subprocess.Popen(
            command, cwd=self.root, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end_all(process)

    def try_out(self, module: str, change: Change, tests: Sequence[str], seconds: float) -> Outcome:
        """Run tests against one change, which is undone afterwards."""
        path, listed = self.root / module, self.root / ".mutants-tests"
        source = path.read_text()
        listed.write_text("\n".join(tests))
        with _changed(path, change.apply(source), source):
            code = self.run(("-x", "-m", "", f"@{listed.name}"), seconds)
        if code is None:
            return Outcome.TIMED_OUT
        return {0: Outcome.SURVIVED, _FAILED: Outcome.NOTICED, _INTERRUPTED: Outcome.NOTICED}.get(code, Outcome.UNKNOWN)


@contextmanager
def copied_tree(repository: Path) -> Iterator[Tree]:
    """A copy of what Git knows of a repository, with changes that aren't committed yet, for as long as the block."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    with TemporaryDirectory(prefix="mutants-") as folder:
        root = Path(folder)
        for name in filter(None, listed.split("\0")):
            source, target = repository / name, root / name
            if source.is_file() and not _IGNORED & set(Path(name).parts):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        (root / ".venv").symlink_to(repository / ".venv", target_is_directory=True)
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(root)], check=False)
        yield Tree(root)


@contextmanager
def _changed(path: Path, content: str, source: str) -> Iterator[None]:
    """A file with other content, and no bytecode of what it held before."""
    cached = path.parent / "__pycache__"
    for compiled in cached.glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    path.write_text(content)
    try:
        yield
    finally:
        path.write_text(source)


def _end_all(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
