"""Both sides of a change: the apps of a repository at its base, read from Git's objects, and as they are now.

Nothing is checked out. What the base has of an app is written to a folder of this process's own, and read there as any
app's folder is. Links are no files of an app: a pull request could point one at anything on the machine that checks it.
"""

import posixpath
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from softlaunch.catalog.app_folder import (
    MODELS_FILE,
    PARAMETERS_FOLDER,
    POLICY_FILE,
    PROMPTS_FOLDER,
    VARIANTS_FILE,
    AppFolder,
    read_app,
)
from softlaunch.core.documents import DocumentError
from softlaunch.core.errors import SoftlaunchError
from softlaunch.evals.suites.suite import Suite, load_suite
from softlaunch.integrations.git.repository import Commit, GitError, Repository, Tree
from softlaunch.policy.load import golden_set_path, load_policy

_FOLDERS = (PROMPTS_FOLDER, PARAMETERS_FOLDER)
_MOST_FILES = 20_000


@dataclass(frozen=True, slots=True)
class AppSide:
    """An app on one side: its folder from the repository's top, its files, and its golden set where it has one."""

    folder: str
    files: AppFolder
    suite: Suite | None
    golden_set: Path | None

    @property
    def app(self) -> str:
        """The app's name."""
        return self.files.policy.app

    def place(self, path: Path) -> str:
        """A file of the app from the repository's top, as people and annotations name it."""
        inside = path.relative_to(self.files.path) if path.is_relative_to(self.files.path) else Path(path.name)
        return str(PurePosixPath(self.folder, *inside.parts))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An app's folder that can't be read on one side, and why; `problem` names files from the repository's top."""

    folder: str
    problem: str


Side = AppSide | Unreadable


@dataclass(frozen=True, slots=True)
class Sides:
    """The apps of both sides by their folders, and the commits that these are of; `head` is None for the work tree."""

    base: Commit
    head: Commit | None
    before: dict[str, Side]
    after: dict[str, Side]


@contextmanager
def both_sides(folder: Path, base: str, head: str | None = None) -> Iterator[Sides]:
    """The apps of the repository that a folder lies in, before and after a change, for as long as the block lasts.

    base: a revision; what counts is where the head left it. head: a revision too, the files of the checkout where it
    is left out. Raises GitError where there is no repository, or no such revision.
    """
    repository = Repository(folder)
    tip = repository.resolve(head or "HEAD")
    fork = _fork(repository, repository.resolve(base), tip)
    with tempfile.TemporaryDirectory(prefix="softlaunch-check-") as kept:
        before = _at_commit(repository, fork, Path(kept) / "base")
        after = _in_files(repository) if head is None else _at_commit(repository, tip, Path(kept) / "head")
        yield Sides(fork, None if head is None else tip, before, after)


def _fork(repository: Repository, base: Commit, tip: Commit) -> Commit:
    """Where a line left the base: what the base got since then is no change of the line's."""
    shared = repository.merge_base(base.id, tip.id)
    if shared is not None:
        return repository.resolve(shared)
    advice = (
        "run 'git fetch --unshallow' (in CI: check out with fetch-depth 0)"
        if repository.is_shallow
        else ("name a base that the branch comes from")
    )
    raise GitError(f"{base} and {tip} share no commit here, so what changed between them isn't known; {advice}")


def _in_files(repository: Repository) -> dict[str, Side]:
    folders = [posixpath.dirname(path) for path in repository.present(POLICY_FILE)]
    return {folder: read_side(repository.folder, folder) for folder in folders}


def _at_commit(repository: Repository, commit: Commit, root: Path) -> dict[str, Side]:
    tree = {path: blob for path, blob in repository.files(commit.id).items() if _is_plain(path)}
    folders = sorted(posixpath.dirname(path) for path in tree if posixpath.basename(path) == POLICY_FILE)
    found: dict[str, Side] = {}
    for folder in folders:
        try:
            _write(repository, root, _files_of(tree, folder))
            _write(repository, root, _golden_set_of(tree, folder, root))
        except (SoftlaunchError, OSError) as error:
            found[folder] = Unreadable(folder, _shortened(error, root))
            continue
        found[folder] = read_side(root, folder, inside=False)
    return found


def _is_plain(path: str) -> bool:
    """Whether a path of a tree, which anybody may have made, stays below the folder that it is written to."""
    return not {"", ".", ".."} & set(path.split("/")) and "\0" not in path


def _files_of(tree: Tree, folder: str) -> Tree:
    """What an app's folder is read from, but for its golden set."""
    prefix = f"{folder}/" if folder else ""
    own = {path: blob for path, blob in tree.items() if path.startswith(prefix) and _belongs(path[len(prefix) :])}
    if len(own) > _MOST_FILES:
        raise DocumentError(f"{folder or '.'} has more than {_MOST_FILES:,} files; take those out that are no versions")
    return own


def _belongs(inside: str) -> bool:
    parts = inside.split("/")
    return inside in {POLICY_FILE, MODELS_FILE, VARIANTS_FILE} or (len(parts) == 3 and parts[0] in _FOLDERS)


def _golden_set_of(tree: Tree, folder: str, root: Path) -> Tree:
    named = load_policy(root / folder / POLICY_FILE).eval.golden_set
    path = posixpath.normpath(posixpath.join(folder, named)) if named else ""
    return {path: tree[path]} if path in tree else {}


def _write(repository: Repository, root: Path, tree: Tree) -> None:
    contents = repository.read(tree.values())
    for path, blob in tree.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(contents[blob])


def read_side(root: Path, folder: str, *, inside: bool = True) -> Side:
    """An app's folder below a root. `inside` holds files of a checkout to what lies in it, whatever links say."""
    path = root / folder
    try:
        if inside:
            _check_links(root, path)
        files = read_app(path)
        allowed = () if inside else (root,)
        named = files.policy.eval.golden_set
        golden_set = golden_set_path(files.policy, files.policy_path, *allowed) if named else None
        return AppSide(folder, files, None if golden_set is None else load_suite(golden_set), golden_set)
    except SoftlaunchError as error:
        return Unreadable(folder, _shortened(error, root))


def _check_links(root: Path, folder: Path) -> None:
    top = root.resolve()
    own = (folder / name for name in (POLICY_FILE, MODELS_FILE, VARIANTS_FILE))
    for path in (*own, *_versions(folder)):
        if not path.resolve().is_relative_to(top):
            raise DocumentError(f"{path} is a link that leads out of the repository; put the file itself there")


def _versions(folder: Path) -> Iterable[Path]:
    return (path for name in _FOLDERS for path in sorted((folder / name).glob("*/*")))


def _shortened(error: Exception, root: Path) -> str:
    """What went wrong, with files named from the repository's top."""
    return str(error).replace(f"{root.resolve()}/", "").replace(f"{root}/", "")
