"""A Git repository of prompts, made commit by commit."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_IDENTITY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.com",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.com",
    "GIT_AUTHOR_DATE": "2026-09-01T12:00:00+0000",
    "GIT_COMMITTER_DATE": "2026-09-01T12:00:00+0000",
}


def prompt(text: str = "You help.", purpose: str = "first", **extra: str) -> str:
    """A complete prompt file."""
    more = "".join(f"{key}: {value}\n" for key, value in extra.items())
    return f"---\nauthor: ann@example.com\ndate: 2026-09-01\npurpose: {purpose}\n{more}---\n{text}\n"


@dataclass
class PromptRepo:
    """A repository below a folder, on the branch `main`."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> "PromptRepo":
        """An empty repository."""
        path.mkdir()
        repo = cls(path)
        repo.git("init", "--quiet", "--initial-branch=main")
        return repo

    def git(self, *arguments: str, fails: bool = False) -> str:
        """Run git; what it printed."""
        environment = {**os.environ, **_IDENTITY}
        command = ["git", "-C", str(self.path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=not fails, env=environment)
        return done.stdout.strip()

    def write(self, **files: str | None) -> None:
        """Write versions of the prompt `support`, `v1_0_0` for v1.0.0.md, and stage them; None deletes."""
        for name, text in files.items():
            self.write_file(f"prompts/support/{name.replace('_', '.')}.md", text)

    def write_file(self, path: str, text: str | None) -> None:
        """Write and stage one file; None deletes it."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        self.git("add", "--all", path)

    def commit(self, subject: str, **files: str | None) -> str:
        """Write files and commit them; the first ten characters of the commit's id."""
        self.write(**files)
        self.git("commit", "--quiet", "--allow-empty", "--message", subject)
        return self.git("rev-parse", "HEAD")[:10]

    def branch(self, name: str, start: str = "main") -> None:
        """Begin a branch."""
        self.git("switch", "--quiet", "--create", name, start)

    def merge(self, name: str, *keep: str) -> str:
        """Merge a branch into main by a merge commit; conflicts are solved by `--ours` or `--theirs`."""
        self.git("switch", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "--no-edit", *keep, name, fails=True)
        if self.git("ls-files", "--unmerged"):
            raise AssertionError("this merge has conflicts; say which side to keep")
        return self.git("rev-parse", "HEAD")[:10]
