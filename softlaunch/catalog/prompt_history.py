"""Checking how versions came about in Git: they grow without gaps, and one that is published never changes.

A branch publishes by its own line of commits, merges included; what happens on a branch before it is merged is draft.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from softlaunch.catalog.version_files import PROMPTS, Version, VersionFiles
from softlaunch.catalog.versions import objection, precedence
from softlaunch.core.documents import DocumentError
from softlaunch.integrations.git.repository import Commit, Repository, Tree


class PromptHistoryError(DocumentError):
    """Prompts or parameters in Git that break the rules; the message names commit and file of every finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule: where, and what to do. `commit` is a sentence's subject, such as `commit 1a2b3c4d5e (...)`."""

    commit: str
    file: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}, {self.commit}: {self.message}"


@dataclass(frozen=True, slots=True)
class Branch:
    """One side of a merge: its newest commit, and the files where it left the line that it is merged into."""

    tip: str
    base: str | None
    forked: Tree
    merged: Tree


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a line: the files before and after it. `onto` is the line's commit before it."""

    who: str
    before: Tree
    after: Tree
    onto: str | None = None
    branches: tuple[Branch, ...] = ()


@dataclass(frozen=True, slots=True)
class _Published:
    """A published version: its file, and who published it; where that is empty, it was there at `commit` already."""

    digest: str
    file: str
    who: str = ""
    commit: str = ""


@dataclass(slots=True)
class History:
    """Walks a line step by step, remembers what it published, and gathers findings."""

    repository: Repository
    folder: str
    kind: VersionFiles = PROMPTS
    published: dict[str, _Published] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _contents: dict[str, bytes] = field(default_factory=dict)

    def begin_with(self, commit: Commit) -> Tree:
        """Take the files of a commit as published, whatever came before it; returns them."""
        files = self.repository.files(commit.id, self.folder)
        versions = self._versions_in(files)
        self._load(versions.values())
        for path, blob in sorted(versions.items()):
            digest = self._digest(path, blob)
            if digest is not None:
                self.published.setdefault(self._label(path), _Published(digest, path, commit=commit.id))
        return files

    def take(self, step: Step) -> None:
        """Check one step, and remember what it published."""
        before, after = self._versions_in(step.before), self._versions_in(step.after)
        changed = {path: blob for path, blob in after.items() if before.get(path) != blob}
        self._load(changed.values())
        collided = self._merged_twice(step, after)
        fresh: list[tuple[str, Version]] = []
        for path, blob in sorted(changed.items()):
            try:
                version = self.kind.parse(Path(path), self._contents[blob], complete=True)
            except DocumentError as error:
                self._reject_unreadable(step, path, error)
                continue
            known = self.published.get(version.label)
            twin = self._twin(path, after)
            if path in collided:
                continue
            if twin is not None:
                problem = (
                    f"{version.label} has two files, {twin} is the other one; delete one, or give it the next version"
                )
                self._find(step, path, problem)
            elif known is None:
                fresh.append((path, version))
            elif known.digest != version.digest:
                self._find(step, path, self._rewritten(version.label, known))
        self._publish(step, fresh)

    def _publish(self, step: Step, fresh: list[tuple[str, Version]]) -> None:
        for path, one in sorted(fresh, key=lambda found: (found[1].name, precedence(found[1].version))):
            problem = objection(one.version, self._versions(one.name))
            if problem is not None:
                self._find(step, path, f"{one.label} can't come here: {problem}")
            self.published[one.label] = _Published(one.digest, path, self._who(step, path))

    def _versions(self, name: str) -> list[str]:
        labels = (label.partition("@") for label in self.published)
        return [version for known, _, version in labels if known == name]

    def _merged_twice(self, step: Step, after: Tree) -> frozenset[str]:
        """Find versions that a merged branch added while the line added another content under the same number."""
        collided = set()
        for branch in step.branches:
            forked = {self._label(path) for path in self._versions_in(branch.forked)}
            for path, blob in sorted(self._versions_in(branch.merged).items()):
                label = self._label(path)
                other = next((one for one in self._versions_in(step.before) if self._label(one) == label), None)
                if label in forked or other is None:
                    continue
                ours, theirs = self._digest(other, step.before[other]), self._digest(path, blob)
                if ours != theirs and None not in {ours, theirs}:
                    self._find_twice(step, branch, label, (other, path))
                    collided |= {one for one in after if self._label(one) == label}
        return frozenset(collided)

    def _find_twice(self, step: Step, branch: Branch, label: str, files: tuple[str, str]) -> None:
        ours, theirs = files
        first = self.repository.last_change(ours, step.onto or branch.tip, branch.base)
        second = self.repository.last_change(theirs, branch.tip, branch.base)
        both = f"{first or step.who} added {ours}, and {second or step.who} added {theirs}"
        problem = f"the merge brings two different {label}: {both}; give the one that came second the next version"
        self.findings.append(Finding(step.who, theirs, problem))

    def _reject_unreadable(self, step: Step, path: str, error: DocumentError) -> None:
        problem = str(error).removeprefix(f"{path}, ").removeprefix(f"{path} ")
        self._find(step, path, problem.replace(f"\n  {path}, ", "; ").replace(":; ", ": "))

    def _find(self, step: Step, path: str, problem: str) -> None:
        self.findings.append(Finding(self._who(step, path), path, problem))

    def _who(self, step: Step, path: str) -> str:
        """Who changed a file in this step: for a merge the commit that was merged."""
        for branch in step.branches:
            changed = self.repository.last_change(path, branch.tip, branch.base)
            if changed is not None:
                return f"{changed}, in {step.who}"
        return step.who

    def _rewritten(self, label: str, known: _Published) -> str:
        who = known.who or self.repository.last_change(known.file, known.commit)
        return (
            f"{label} is changed here, but it was published by {who}, and a published version never changes: put it "
            "back as it was, and save the change as the next version"
        )

    def _versions_in(self, tree: Tree) -> Tree:
        return {path: blob for path, blob in tree.items() if self._is_version(path)}

    def _is_version(self, path: str) -> bool:
        parts = PurePosixPath(path).relative_to(self.folder).parts
        return len(parts) == 2 and self.kind.is_version(parts[1])

    def _load(self, blobs: Iterable[str]) -> None:
        """Fetch contents at once, for a program is started each time."""
        self._contents.update(self.repository.read(blob for blob in blobs if blob not in self._contents))

    def _digest(self, path: str, blob: str) -> str | None:
        """The digest of a version as it was written, complete or not; None where it can't be read."""
        self._load([blob])
        try:
            return self.kind.parse(Path(path), self._contents[blob], complete=False).digest
        except DocumentError:
            return None

    def _label(self, path: str) -> str:
        """`name@version` of a file, or its path where it isn't named after a version."""
        try:
            return f"{PurePosixPath(path).parent.name}@{self.kind.version_of(PurePosixPath(path))}"
        except DocumentError:
            return path

    def _twin(self, path: str, tree: Mapping[str, str]) -> str | None:
        """The other file of the same version."""
        folder, label = PurePosixPath(path).parent, self._label(path)
        others = (one for one in tree if one != path and PurePosixPath(one).parent == folder)
        return next((one for one in others if self._label(one) == label), None)


def raise_findings(findings: Iterable[Finding], plural: str, hint: str = "") -> None:
    """Raise PromptHistoryError with every finding, where there are any."""
    problems = list(dict.fromkeys(str(finding) for finding in findings))
    if problems:
        lines = (
            problems
            if len(problems) == 1
            else [f"the {plural} have {len(problems)} problems:", *(f"  {one}" for one in problems)]
        )
        raise PromptHistoryError("\n".join([*lines, *([hint] if hint else [])]))


def steps(repository: Repository, folder: str, tip: Commit, since: str | None) -> Iterator[Step]:
    """The steps of a line up to a commit, oldest first."""
    before: Tree = {} if since is None else repository.files(since, folder)
    for commit in repository.line(tip.id, folder, since):
        after = repository.files(commit.id, folder)
        merged = commit.parents[1:]
        branches = tuple(_branch(repository, folder, commit.parents[0], parent) for parent in merged)
        who = f"{'the merge ' if branches else ''}{commit}"
        yield Step(who, before, after, next(iter(commit.parents), None), branches)
        before = after


def merge_step(repository: Repository, folder: str, base: Commit, tip: Commit) -> Step:
    """The step that merging a branch would be."""
    branch = _branch(repository, folder, base.id, tip.id)
    before = repository.files(base.id, folder)
    brought = {path: blob for path, blob in branch.merged.items() if branch.forked.get(path) != blob}
    return Step(f"the merge of {tip} into {base}", before, {**before, **brought}, base.id, (branch,))


def _branch(repository: Repository, folder: str, onto: str, tip: str) -> Branch:
    base = repository.merge_base(onto, tip)
    forked = {} if base is None else repository.files(base, folder)
    return Branch(tip, base, forked, repository.files(tip, folder))
