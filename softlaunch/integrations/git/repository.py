"""A Git repository, read at its commits with git's plumbing commands; nothing here writes to it.

The repository may be anybody's: no program that its configuration names is run, and nothing is fetched.
"""

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from softlaunch.integrations.git.command import GitError, run_git

__all__ = ["Commit", "GitError", "Repository", "Tree"]


Tree = dict[str, str]
"""The files below a folder at one commit: their paths from the repository's root, and the ids of their content."""

_FORMAT = "%H%x1f%P%x1f%cI%x1f%an%x1f%s"  # what people write is last, so that it can't pass for the rest
_FILE_MODES = frozenset({"100644", "100755"})  # neither links nor submodules


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit, as people recognise it."""

    id: str
    parents: tuple[str, ...]
    author: str
    committed_at: datetime
    subject: str

    def __str__(self) -> str:
        """`commit 1a2b3c4d5e (2026-09-01, Ann: "Shorter answers")`."""
        return f'commit {self.id[:10]} ({self.committed_at:%Y-%m-%d}, {self.author}: "{self.subject}")'


class Repository:
    """The repository that a folder lies in. Raises GitError where there is none, or no git program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = self._text("rev-parse", "--show-prefix").rstrip("\n")
        self.folder = folder.joinpath(*[".."] * self.prefix.count("/"))

    def resolve(self, revision: str) -> Commit:
        """The commit that a branch, tag or id names. Raises GitError."""
        if revision.startswith("-"):
            raise GitError(f"{revision!r} is no revision; name a branch, a tag or a commit")
        try:
            found = self._text("rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}").strip()
        except GitError as error:
            raise GitError(f"{self.folder} has no commit {revision!r}; fetch it, or name another one") from error
        return self._commits([found])[0]

    @property
    def is_shallow(self) -> bool:
        """Whether older commits were left out when the repository was cloned."""
        return self._text("rev-parse", "--is-shallow-repository").strip() == "true"

    def line(self, tip: str, folder: str, since: str | None = None) -> list[Commit]:
        """The commits of a branch's own line (first parents), oldest first, without those that `since` has already.

        Only those are returned in which the folder differs from that of any parent.
        """
        ids = ["rev-list", "--first-parent", "--reverse", tip, *([f"^{since}"] if since else []), "--"]
        listed = self._text(*ids).split()
        touching = ["diff-tree", "--stdin", "-m", "--root", "-r", "--no-renames", "--name-only"]
        touching += ["--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--", folder]
        touched = set(self._text(*touching, given=_lines(listed)).split("\n"))
        return self._commits([one for one in listed if one in touched])

    def files(self, commit: str, folder: str = "") -> Tree:
        """The files below a folder at a commit; left out, those of the whole repository."""
        below = [f"{folder}/"] if folder else []
        return _tree(self._text("ls-tree", "-r", "-z", "--full-tree", commit, "--", *below))

    def present(self, name: str) -> list[str]:
        """The files of a name that lie in the checkout, tracked or new, but for those that .gitignore leaves out."""
        listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--full-name"]
        paths = set(self._text(*listed).split("\0"))
        return sorted(one for one in paths if one.rpartition("/")[2] == name and (self.folder / one).is_file())

    def staged(self, folder: str) -> Tree:
        """The files below a folder as the next commit would have them. Raises GitError where a merge has conflicts."""
        entries = []
        for entry in self._text("ls-files", "--stage", "-z", "--full-name", "--", f"{folder}/").split("\0"):
            head, _, path = entry.partition("\t")
            mode, blob, stage = head.split() if head else ("", "", "0")
            if stage != "0":
                raise GitError(f"{path} has a merge conflict; resolve it and 'git add' it, then check again")
            entries.append(f"{mode} blob {blob}\t{path}" if head else "")
        return _tree("\0".join(entries))

    def read(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """The content of files, by their ids."""
        wanted = sorted(set(blobs))
        if not wanted:
            return {}
        answer = self._run("cat-file", "--batch", given=_lines(wanted))
        found, position = {}, 0
        for blob in wanted:
            head, position = answer[position : answer.index(b"\n", position)], answer.index(b"\n", position) + 1
            if not head[-1:].isdigit():
                raise GitError(f"{self.folder} lacks the content {blob}; run 'git fsck', or fetch the whole repository")
            size = int(head.rsplit(b" ", 1)[1])
            found[blob], position = answer[position : position + size], position + size + 1
        return found

    def merge_base(self, one: str, other: str) -> str | None:
        """The newest commit that two lines share; None where they share none."""
        done = self._call("merge-base", one, other)
        return done.stdout.decode().strip() or None

    def has(self, ancestor: str, descendant: str) -> bool:
        """Whether a commit is there, and is part of another one's history."""
        return self._call("merge-base", "--is-ancestor", ancestor, descendant).returncode == 0

    def last_change(self, path: str, tip: str, since: str | None = None) -> Commit | None:
        """The newest commit that changed a file; None where none did."""
        newest = ["rev-list", "--max-count=1", tip, *([f"^{since}"] if since else []), "--", path]
        found = self._text(*newest).split()
        return self._commits(found)[0] if found else None

    def _commits(self, ids: Sequence[str]) -> list[Commit]:
        if not ids:
            return []
        output = self._text("rev-list", "--no-walk=unsorted", "--stdin", f"--format={_FORMAT}", given=_lines(ids))
        rows = [line.split("\x1f", 4) for line in output.split("\n") if "\x1f" in line]
        return [
            Commit(id_, tuple(parents.split()), author, _moment(id_, when), subject)
            for id_, parents, when, author, subject in rows
        ]

    def _text(self, *arguments: str, given: bytes = b"") -> str:
        return self._run(*arguments, given=given).decode("utf-8", "surrogateescape")

    def _run(self, *arguments: str, given: bytes = b"") -> bytes:
        done = self._call(*arguments, given=given)
        if done.returncode:
            output = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
            raise GitError(f"git {arguments[0]} failed in {self.folder}: {output}")
        return done.stdout

    def _call(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return run_git(self.folder, *arguments, given=given)


def _moment(commit: str, when: str) -> datetime:
    try:
        return datetime.fromisoformat(when)
    except ValueError as error:
        raise GitError(f"commit {commit[:10]} is of {when!r}, which is no time; leave it out with --since") from error


def _lines(ids: Iterable[str]) -> bytes:
    return "".join(f"{one}\n" for one in ids).encode()


def _tree(listed: str) -> Tree:
    """Paths and ids from the lines of ls-tree."""
    found = {}
    for entry in listed.split("\0"):
        head, _, path = entry.partition("\t")
        if head and head.split()[0] in _FILE_MODES:
            found[path] = head.split()[2]
    return found
