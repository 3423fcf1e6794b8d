"""Prompts in Git: what their history must hold, and how a broken one is told of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from softlaunch.catalog.prompt_history import PromptHistoryError
from softlaunch.catalog.prompt_sync import Prompts, check_history, check_merge, check_staged
from softlaunch.integrations.git.repository import GitError
from tests.support.git_prompts import PromptRepo, prompt


@pytest.fixture
def repo(tmp_path: Path) -> PromptRepo:
    """A repository whose main has support@1.0.0."""
    made = PromptRepo.make(tmp_path / "repo")
    made.commit("Begin", v1_0_0=prompt())
    return made


def check(repo: PromptRepo, since: str | None = None) -> list[str]:
    """The files of main, once its whole history is sound."""
    prompts = Prompts.at(repo.path, "prompts", "main")
    return list(check_history(prompts, prompts.repository.resolve("main"), since))


def complaint(repo: PromptRepo) -> str:
    """What is wrong with main's history."""
    with pytest.raises(PromptHistoryError) as caught:
        check(repo)
    return str(caught.value)


def test_a_sound_history_passes(repo: PromptRepo) -> None:
    """Versions that grow, on main and by merges, drafts that change before they are merged, and other files."""
    repo.branch("feature")
    repo.commit("Draft", v1_1_0=prompt("Draft."))
    repo.commit("Better", v1_1_0=prompt("Better."))
    repo.git("switch", "--quiet", "main")
    repo.write_file("README.md", "unrelated")
    repo.commit("A patch", v1_0_1=prompt("Kindly."))
    repo.merge("feature")
    repo.commit("A candidate of the next one", **{"v2_0_0-rc_1": prompt("Bold.")})
    repo.commit("The next one", v2_0_0=prompt("Bold."))
    repo.write_file("prompts/README.md", "about prompts")
    repo.write_file("prompts/other/v1.txt", "Plain.")
    repo.commit("A plain prompt")
    assert len(check(repo)) == 6


def test_a_rewritten_version_names_commit_and_file(repo: PromptRepo) -> None:
    """A published version that is changed later: who changed it, and who published it."""
    published = repo.commit("Publish", v1_1_0=prompt("One."))
    rewritten = repo.commit("Sneak a change in", v1_1_0=prompt("Two."))
    told = complaint(repo)
    assert f"prompts/support/v1.1.0.md, commit {rewritten}" in told
    assert "Sneak a change in" in told
    assert f"published by commit {published}" in told


def test_deleting_and_writing_again_is_rewriting(repo: PromptRepo) -> None:
    """A version that comes back with other content was rewritten; the same content may come back."""
    repo.commit("Delete", v1_0_0=None)
    repo.commit("The same again", v1_0_0=prompt())
    assert check(repo)
    repo.commit("Delete again", v1_0_0=None)
    back = repo.commit("Another one", v1_0_0=prompt("Other."))
    assert f"commit {back}" in complaint(repo)


def test_a_change_that_changes_nothing_is_allowed(repo: PromptRepo) -> None:
    """White space at the end and quotes in the front matter aren't content."""
    repo.commit("Tidy", v1_0_0=prompt(purpose='"first"') + "\n\n")
    assert check(repo)


def test_a_duplicate_version_names_both_files(repo: PromptRepo) -> None:
    """Two files of one version: v1.txt is version 1.0.0 too."""
    repo.write_file("prompts/support/v1.txt", "You help.")
    twice = repo.commit("Again")
    told = complaint(repo)
    assert f"prompts/support/v1.txt, commit {twice}" in told
    assert "prompts/support/v1.0.0.md is the other one" in told


def test_a_gap_names_the_versions_that_may_follow(repo: PromptRepo) -> None:
    """After 1.0.0 comes 1.0.1, 1.1.0 or 2.0.0."""
    gap = repo.commit("Too far", v1_2_0=prompt("Two."))
    told = complaint(repo)
    assert f"prompts/support/v1.2.0.md, commit {gap}" in told
    assert "gap between 1.0.0 and 1.2.0; call it 1.0.1, 1.1.0 or 2.0.0" in told


def test_versions_only_grow(repo: PromptRepo) -> None:
    """A patch of an old version that comes after a newer one has to take the next number."""
    repo.branch("hotfix")
    hotfix = repo.commit("Hotfix", v1_0_1=prompt("Fixed."))
    repo.git("switch", "--quiet", "main")
    repo.commit("Next", v1_1_0=prompt("One."))
    merge = repo.merge("hotfix")
    told = complaint(repo)
    assert f"prompts/support/v1.0.1.md, commit {hotfix}" in told
    assert f"in the merge commit {merge}" in told
    assert "1.1.0 is published already; call it 1.1.1, 1.2.0 or 2.0.0" in told


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_two_branches_that_add_the_same_version(repo: PromptRepo, side: str) -> None:
    """Whichever side the merge kept, both commits are named."""
    repo.branch("feature")
    theirs = repo.commit("Their idea", v1_1_0=prompt("Theirs."))
    repo.git("switch", "--quiet", "main")
    ours = repo.commit("Our idea", v1_1_0=prompt("Ours."))
    merge = repo.merge("feature", "--strategy-option", side)
    told = complaint(repo)
    assert f"prompts/support/v1.1.0.md, the merge commit {merge}" in told
    assert f"commit {ours}" in told
    assert f"commit {theirs}" in told
    assert told.count("the merge brings two different support@1.1.0") == 1


def test_two_branches_that_add_the_same_version_in_two_files(repo: PromptRepo) -> None:
    """Git sees no conflict between v1.1.0.md and v1.1.0.txt; a check does."""
    repo.branch("feature")
    repo.write_file("prompts/support/v1.1.0.txt", "Theirs.")
    repo.commit("Their idea")
    repo.git("switch", "--quiet", "main")
    repo.commit("Our idea", v1_1_0=prompt("Ours."))
    repo.merge("feature")
    assert "two different support@1.1.0" in complaint(repo)


def test_two_branches_that_add_the_same_content(repo: PromptRepo) -> None:
    """A cherry-picked version is no conflict."""
    repo.branch("feature")
    repo.commit("An idea", v1_1_0=prompt("Same."))
    repo.git("switch", "--quiet", "main")
    repo.commit("The idea, picked", v1_1_0=prompt("Same."))
    repo.merge("feature")
    assert len(check(repo)) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("You help.\n", "author: is missing", id="no front matter"),
        pytest.param(prompt(purpose='""'), "purpose: is missing: what it changes", id="no purpose"),
        pytest.param(prompt("For {{ shop }}."), "'shop' is used; declare it here", id="an undeclared variable"),
        pytest.param(prompt(variables="[shop]"), "'shop' is declared, but no message uses it", id="an unused one"),
        pytest.param(prompt(version="1.4.0"), "the path says '1.1.0'", id="another version inside"),
        pytest.param(prompt("For {{ shop."), "no valid template", id="a broken template"),
    ],
)
def test_a_version_must_be_complete(repo: PromptRepo, text: str, said: str) -> None:
    """Author, date and purpose are there, and every variable is declared."""
    commit = repo.commit("Incomplete", v1_1_0=text)
    told = complaint(repo)
    assert f"prompts/support/v1.1.0.md, commit {commit}" in told
    assert said in told


def test_declared_variables_and_defaults(repo: PromptRepo) -> None:
    """A variable is declared by its name, or by a default."""
    text = prompt("{{ greeting }} from {{ shop }}.", variables="[shop]", defaults="{greeting: Hello}")
    repo.commit("With variables", v1_1_0=text)
    assert len(check(repo)) == 2


def test_a_file_without_a_version(repo: PromptRepo) -> None:
    """A misnamed file is an error of the commit that brought it."""
    repo.write_file("prompts/support/final.md", prompt())
    commit = repo.commit("Final")
    assert f"prompts/support/final.md, commit {commit}" in complaint(repo)


def test_every_finding_is_told(repo: PromptRepo) -> None:
    """Two mistakes are two lines, and a way out for those that can't be undone."""
    repo.commit("Rewrite", v1_0_0=prompt("Other."))
    repo.commit("Gap", v3_0_0=prompt())
    told = complaint(repo)
    assert told.startswith("the prompts have 2 problems:")
    assert "--since COMMIT" in told


def test_what_came_before_since_is_taken_as_it_is(repo: PromptRepo) -> None:
    """An old history that breaks the rules can be left behind; new commits are still checked against it."""
    repo.commit("Gap", v1_5_0=prompt("Old."))
    assert len(check(repo, since="main")) == 2
    repo.commit("Rewrite", v1_5_0=prompt("New."))
    with pytest.raises(PromptHistoryError, match=r"support@1.5.0 is changed here"):
        check(repo, since="main~1")


def test_a_branch_is_checked_against_where_it_goes(repo: PromptRepo) -> None:
    """`--base main` sees what a merge would bring, before it is merged."""
    repo.branch("feature")
    repo.commit("Draft", v1_1_0=prompt("Draft."))
    repo.commit("Better", v1_1_0=prompt("Better."))
    assert check_merge(Prompts.at(repo.path, "prompts", "feature"), "main") == 1
    repo.git("switch", "--quiet", "main")
    ours = repo.commit("Faster", v1_1_0=prompt("Ours."))
    with pytest.raises(PromptHistoryError, match=r"two different support@1.1.0") as caught:
        check_merge(Prompts.at(repo.path, "prompts", "feature"), "main")
    assert f"commit {ours}" in str(caught.value)


def test_a_branch_that_rewrites_is_stopped_before_its_merge(repo: PromptRepo) -> None:
    """A published version changed on a branch: the commit of the branch is named."""
    repo.branch("feature")
    rewrite = repo.commit("Rewrite", v1_0_0=prompt("Other."))
    with pytest.raises(PromptHistoryError, match=f"commit {rewrite}"):
        check_merge(Prompts.at(repo.path, "prompts", "feature"), "main")


def test_what_is_staged_is_checked_before_it_is_committed(repo: PromptRepo) -> None:
    """A pre-commit hook sees the index, not the working tree."""
    repo.write(v1_1_0=prompt("One."))
    (repo.path / "prompts/support/v1.1.0.md").write_text("not staged")
    assert check_staged(Prompts.at(repo.path, "prompts")) == 1
    repo.write(v1_0_0=prompt("Other."))
    with pytest.raises(PromptHistoryError, match=r"what is staged: support@1.0.0 is changed here"):
        check_staged(Prompts.at(repo.path, "prompts"))


def test_a_folder_inside_a_repository(tmp_path: Path) -> None:
    """An app's folder of a larger repository is named by its path."""
    repo = PromptRepo.make(tmp_path / "repo")
    repo.write_file("apps/bot/prompts/support/v1.0.0.md", prompt())
    repo.commit("Begin")
    prompts = Prompts.at(repo.path / "apps" / "bot", "prompts")
    assert list(check_history(prompts, prompts.repository.resolve("HEAD"), None)) == [
        "apps/bot/prompts/support/v1.0.0.md"
    ]


def test_a_shallow_clone_is_refused(repo: PromptRepo, tmp_path: Path) -> None:
    """Where older commits are missing nothing can be said of them, and the error says how to fetch them."""
    repo.commit("Second", v1_1_0=prompt("One."))
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.path}", str(tmp_path / "shallow"))
    with pytest.raises(GitError, match="fetch-depth 0"):
        check(PromptRepo(tmp_path / "shallow"))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(lambda repo: Prompts.at(repo.path.parent, "prompts"), "not a git repository", id="no repository"),
        pytest.param(lambda repo: Prompts.at(repo.path, "p").repository.resolve("gone"), "no commit", id="no ref"),
        pytest.param(
            lambda repo: Prompts.at(repo.path, "prompts").repository.resolve("--all"), "no revision", id="an option"
        ),
    ],
)
def test_git_errors_say_what_to_do(repo: PromptRepo, fault: Callable[[PromptRepo], object], said: str) -> None:
    """What git can't do is one sentence."""
    with pytest.raises(GitError, match=said):
        fault(repo)
