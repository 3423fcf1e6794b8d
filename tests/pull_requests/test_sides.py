"""Both sides of a change, from repositories that were made to do harm, and from clones that lack their history."""

import subprocess
from pathlib import Path

import pytest

from softlaunch.integrations.git.repository import GitError
from softlaunch.pull_requests.sides import AppSide, Unreadable, both_sides
from tests.support.git_prompts import PromptRepo
from tests.support.shop_repository import Shop


def plumbing(repo: PromptRepo, *arguments: str, given: str = "") -> str:
    """Run git with something on its standard input."""
    command = ["git", "-C", str(repo.path), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout.strip()


def test_what_the_base_got_since_is_no_change(shop: Shop) -> None:
    """The base of a comparison is where the branch left it, as in a pull request."""
    shop.repo.branch("mine")
    shop.write_prompt("1.1.0", "Nothing is wrong.")
    shop.repo.commit("Mine")
    shop.repo.git("switch", "--quiet", "main")
    shop.write("softlaunch.yaml", "app: shop\ngolden_set: golden.jsonl\n")
    shop.repo.commit("Theirs")
    shop.repo.git("switch", "--quiet", "mine")
    with both_sides(shop.path, "main") as sides:
        (before,), (after,) = sides.before.values(), sides.after.values()
        assert isinstance(before, AppSide)
        assert isinstance(after, AppSide)
        assert before.files.policy == after.files.policy
        assert before.files.stable == "current"
        assert before.files.variants["current"].prompt.version == "1.0.0"
        assert after.files.variants["current"].prompt.version == "1.1.0"
    assert not before.files.path.exists()


def test_nothing_is_checked_out(shop: Shop) -> None:
    """The work tree and the index stay as they are, uncommitted edits too."""
    (shop.path / "apps/shop/golden.jsonl").write_text('{"id": "a", "question": "b", "expected": "c"}\n')
    before = shop.repo.git("status", "--porcelain=v2", "--branch")
    with both_sides(shop.path, "main") as sides:
        assert [one.suite and len(one.suite.cases) for one in sides.after.values() if isinstance(one, AppSide)] == [1]
    assert shop.repo.git("status", "--porcelain=v2", "--branch") == before


@pytest.mark.parametrize("name", ["..", ".", "a/../../../escaped"])
def test_a_tree_that_leads_out_of_itself_is_left_out(shop: Shop, tmp_path: Path, name: str) -> None:
    """Git stores any names in a tree; one that climbs is written nowhere."""
    blob = plumbing(shop.repo, "hash-object", "-w", "--stdin", given="app: evil\n")
    tree = plumbing(shop.repo, "mktree", given=f"100644 blob {blob}\tsoftlaunch.yaml\n")
    for part in reversed(name.split("/")):
        raw = f"40000 {part}\0".encode() + bytes.fromhex(tree)
        command = ["git", "-C", str(shop.path), "hash-object", "-t", "tree", "-w", "--literally", "--stdin"]
        tree = subprocess.run(command, input=raw, capture_output=True, check=True).stdout.decode().strip()
    commit = plumbing(shop.repo, "commit-tree", tree, "-p", "main", "-m", "evil")
    with both_sides(shop.path, "main", commit) as sides:
        assert sides.after == {}
    assert not list(tmp_path.rglob("escaped"))


def test_a_base_that_cant_be_read_is_told(shop: Shop) -> None:
    """What is broken at the base is named as a file of the repository."""
    shop.write("models.yaml", "- {name: steady}\n")
    shop.repo.commit("Broken")
    with both_sides(shop.path, "HEAD") as sides:
        (before,) = sides.before.values()
    assert isinstance(before, Unreadable)
    assert before.problem.startswith("apps/shop/models.yaml")


def test_a_clone_without_history_says_what_to_fetch(shop: Shop, tmp_path: Path) -> None:
    """A checkout of one commit can't know what changed since another one."""
    shop.repo.branch("mine")
    for number in (1, 2):
        shop.write_prompt(f"1.{number}.0", "Nothing is wrong.")
        shop.repo.commit("Mine")
    clone = tmp_path / "clone"
    shop.repo.git("clone", "--quiet", "--depth", "1", "--no-single-branch", f"file://{shop.path}", str(clone))
    with pytest.raises(GitError, match="fetch-depth 0"), both_sides(clone, "origin/main"):
        pass


def test_an_app_of_the_top_and_one_that_moved(shop: Shop) -> None:
    """An app may lie at the repository's top, and is the same app when its folder is renamed."""
    shop.repo.branch("moved")
    shop.repo.git("mv", "apps/shop", "bots")
    shop.repo.commit("Another folder")
    with both_sides(shop.path, "main") as sides:
        assert (list(sides.before), list(sides.after)) == (["apps/shop"], ["bots"])
