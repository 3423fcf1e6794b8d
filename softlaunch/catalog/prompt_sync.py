"""Recording the versions of a Git repository in the ledger, once their history holds what it must."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from sqlmodel import Session, col, select

from softlaunch.catalog.prompt_history import Finding, History, Step, merge_step, raise_findings, steps
from softlaunch.catalog.version_files import PROMPTS, Version, VersionFiles
from softlaunch.integrations.git.repository import Commit, GitError, Repository
from softlaunch.store.database import Database
from softlaunch.store.tables import ParametersRow, PromptRow, PromptSyncRow

_OLD = "Where this is old and can't be undone, name the commit from which on the rules hold: --since COMMIT."
_SHALLOW = (
    "{} is a shallow clone, whose history can't be checked; run 'git fetch --unshallow' (in CI: check out with "
    "fetch-depth 0)"
)


@dataclass(frozen=True, slots=True)
class Prompts:
    """Where prompts are, or parameters: a folder of a repository, at a revision."""

    repository: Repository
    folder: str
    revision: str = "HEAD"
    kind: VersionFiles = PROMPTS

    @classmethod
    def at(cls, path: Path, folder: str, revision: str = "HEAD", kind: VersionFiles = PROMPTS) -> "Prompts":
        """The versions below a folder of a checkout, or of a bare repository."""
        repository = Repository(path)
        return cls(repository, str(PurePosixPath(repository.prefix, folder)), revision, kind)

    def has(self, path: str) -> bool:
        """Whether a file below the folder is meant as a version."""
        parts = PurePosixPath(path).relative_to(self.folder).parts
        return len(parts) == 2 and self.kind.is_version(parts[1])


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync recorded, and how much it looked at."""

    commit: str
    since: str | None
    recorded: tuple[str, ...]
    versions: int


def sync(database: Database, prompts: Prompts, since: str | None, actor: str, now: datetime) -> Synced:
    """Check the history up to a revision and record its prompts; doing it again changes nothing.

    Only what came after `since` is checked, or after the newest sync that the revision contains. Raises
    PromptHistoryError, then nothing is written.
    """
    commit = prompts.repository.resolve(prompts.revision)
    with database.read() as session:
        begin = since or _newest_sync(session, prompts, commit)
    found = check_history(prompts, commit, begin)
    with database.begin() as session:
        raise_findings(_other_than_recorded(session, prompts, commit, found), prompts.kind.plural)
        recorded = [
            version.label
            for path, version in found.items()
            if prompts.kind.record(session, version, f"{path} at commit {commit.id[:10]}", now)
        ]
        session.add(PromptSyncRow(commit=commit.id, folder=prompts.folder, synced_at=now, synced_by=actor))
    return Synced(commit.id, begin, tuple(recorded), len(found))


def check_history(prompts: Prompts, commit: Commit, since: str | None) -> dict[str, Version]:
    """The prompts at a commit by their paths, once the steps that led to it are sound. Raises PromptHistoryError."""
    _whole(prompts)
    history = History(prompts.repository, prompts.folder, prompts.kind)
    start = None if since is None else prompts.repository.resolve(since)
    if start is not None:
        history.begin_with(start)
    for step in steps(prompts.repository, prompts.folder, commit, None if start is None else start.id):
        history.take(step)
    raise_findings(history.findings, prompts.kind.plural, _OLD)
    return read_prompts(prompts, commit)


def check_merge(prompts: Prompts, base: str) -> int:
    """Check what merging a revision into a branch would bring; returns how many files. Raises PromptHistoryError."""
    _whole(prompts)
    onto, tip = prompts.repository.resolve(base), prompts.repository.resolve(prompts.revision)
    return _check_step(prompts, onto, merge_step(prompts.repository, prompts.folder, onto, tip))


def check_staged(prompts: Prompts) -> int:
    """Check what the next commit would bring; returns how many files. Raises PromptHistoryError."""
    head = prompts.repository.resolve("HEAD")
    before, after = prompts.repository.files(head.id, prompts.folder), prompts.repository.staged(prompts.folder)
    return _check_step(prompts, head, Step("what is staged", before, after, head.id))


def _check_step(prompts: Prompts, published: Commit, step: Step) -> int:
    history = History(prompts.repository, prompts.folder, prompts.kind)
    history.begin_with(published)
    history.take(step)
    raise_findings(history.findings, prompts.kind.plural)
    return sum(step.before.get(path) != blob for path, blob in step.after.items())


def read_prompts(prompts: Prompts, commit: Commit) -> dict[str, Version]:
    """The prompts at a commit, by their paths. Raises GitError where there are none."""
    found = prompts.repository.files(commit.id, prompts.folder)
    files = {path: blob for path, blob in found.items() if prompts.has(path)}
    if not files:
        what = "are no parameters" if prompts.kind is not PROMPTS else "is no prompt"
        raise GitError(f"there {what} in {prompts.folder} at {commit}; name the folder with --folder")
    contents = prompts.repository.read(files.values())
    return {path: prompts.kind.parse(Path(path), contents[blob], complete=False) for path, blob in files.items()}


def _other_than_recorded(
    session: Session, prompts: Prompts, commit: Commit, found: dict[str, Version]
) -> list[Finding]:
    findings = []
    for path, version in found.items():
        row = session.get(prompts.kind.table, (version.name, version.version))
        if isinstance(row, PromptRow | ParametersRow) and row.digest != version.digest:
            problem = (
                f"{version.label} was recorded on {row.recorded_at:%Y-%m-%d} from {row.source} with other content, and "
                "versions never change: put it back as it was, and save the change as the next version"
            )
            findings.append(Finding(str(prompts.repository.last_change(path, commit.id)), path, problem))
    return findings


def _newest_sync(session: Session, prompts: Prompts, commit: Commit) -> str | None:
    """The newest synced commit that is part of this one's history."""
    rows = select(PromptSyncRow.commit).where(PromptSyncRow.folder == prompts.folder)
    for synced in session.exec(rows.order_by(col(PromptSyncRow.id).desc()).limit(20)):
        if prompts.repository.has(synced, commit.id):
            return synced
    return None


def _whole(prompts: Prompts) -> None:
    if prompts.repository.is_shallow:
        raise GitError(_SHALLOW.format(prompts.repository.folder))
