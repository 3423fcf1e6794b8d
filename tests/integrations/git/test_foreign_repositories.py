"""A repository that somebody else has set up: nothing that its configuration names is run, and nothing fetched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from softlaunch.catalog.prompt_sync import Prompts, check_history, check_staged
from softlaunch.integrations.git import command
from softlaunch.integrations.git.repository import GitError, Repository
from tests.support.git_prompts import PromptRepo, prompt

PROGRAMS = (
    "core.fsmonitor",
    "core.sshCommand",
    "core.askPass",
    "core.pager",
    "pager.rev-list",
    "core.editor",
    "core.alternateRefsCommand",
    "core.gitProxy",
    "credential.helper",
    "diff.external",
    "diff.evil.textconv",
    "diff.evil.command",
    "filter.evil.clean",
    "filter.evil.smudge",
    "filter.evil.process",
    "gpg.program",
    "alias.rev-list",
    "uploadpack.packObjectsHook",
    "remote.origin.uploadpack",
)


@pytest.fixture
def repo(tmp_path: Path) -> PromptRepo:
    """With two commits, and a version that is staged."""
    made = PromptRepo.make(tmp_path / "repo")
    made.write_file(".gitattributes", "*.md diff=evil filter=evil\n")
    made.commit("Begin", v1_0_0=prompt())
    made.commit("Go on", v1_1_0=prompt("Kindly."))
    made.write(v1_2_0=prompt("More kindly."))
    return made


@pytest.fixture
def ran(repo: PromptRepo, tmp_path: Path) -> Path:
    """A file that exists once any program of the repository's configuration was run."""
    mark, program = tmp_path / "ran", tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$0 $@" >> {mark}\n')
    program.chmod(0o755)
    for name in PROGRAMS:
        repo.git("config", name, f"!{program}" if name.startswith(("alias", "credential")) else str(program))
    repo.git("config", "log.showSignature", "true")
    for hook in ("post-index-change", "pre-commit", "reference-transaction", "fsmonitor-watchman"):
        (repo.path / ".git" / "hooks").mkdir(exist_ok=True)
        (repo.path / ".git" / "hooks" / hook).symlink_to(program)
    mark.unlink(missing_ok=True)  # git's own commands above may have run some
    return mark


def test_no_program_of_the_configuration_is_run(repo: PromptRepo, ran: Path) -> None:
    """Whatever is asked of the repository."""
    prompts = Prompts.at(repo.path, "prompts", "main")
    repository = prompts.repository
    tip = repository.resolve("main")
    assert len(check_history(prompts, tip, None)) == 2
    check_staged(prompts)
    assert repository.line("main", "prompts")
    assert repository.read(repository.files(tip.id, "prompts").values())
    assert repository.last_change("prompts/support/v1.0.0.md", tip.id)
    assert repository.merge_base("main", "main") == tip.id
    assert not repository.is_shallow
    assert not ran.exists(), ran.read_text()


@pytest.mark.parametrize("address", ["ext::PROGRAM", "HERE", "ssh://PROGRAM/x", "http://127.0.0.1:1/x"])
def test_a_partial_clone_fetches_nothing(repo: PromptRepo, ran: Path, address: str) -> None:
    """What it lacks is said to be missing."""
    told = address.replace("PROGRAM", str(ran.with_name("program"))).replace("HERE", str(repo.path))
    blob = repo.git("rev-parse", "main:prompts/support/v1.0.0.md")
    for name, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": told,
        "remote.origin.promisor": "true",
        "remote.origin.partialclonefilter": "blob:none",
        "protocol.allow": "always",
        "protocol.ext.allow": "always",
        "protocol.file.allow": "always",
    }.items():
        repo.git("-c", "core.fsmonitor=false", "config", name, value)
    ran.unlink(missing_ok=True)
    (repo.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(GitError):
        Repository(repo.path).read([blob])
    assert not ran.exists(), ran.read_text()


def test_variables_that_run_programs_are_left_out(repo: PromptRepo, ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a hook has of git, and that say where things are, stay."""
    for name in ("GIT_EXTERNAL_DIFF", "GIT_SSH", "GIT_PAGER", "GIT_TRACE"):
        monkeypatch.setenv(name, str(ran.with_name("program")))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    assert {"GIT_EXTERNAL_DIFF", "GIT_SSH", "GIT_TRACE"} & command._environment().keys() == set()
    assert command._environment()["GIT_CONFIG_GLOBAL"] == os.devnull
    assert Repository(repo.path).resolve("main").subject == "Go on"


def test_git_is_ended_when_it_takes_too_long_or_says_too_much(
    repo: PromptRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it begins, and without waiting for a reader of what it holds open."""
    repository = Repository(repo.path)
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "git"
    slow.write_text(f"#!/bin/sh\n{sys.executable} -c 'import time; time.sleep(60)' &\nwait\n")
    slow.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(command, "_TIMEOUT_SECONDS", 0.3)
        patched.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
        with pytest.raises(GitError, match="took more than"):
            repository.files("main", "prompts")
    monkeypatch.setattr(command, "_MOST_BYTES", 100)
    with pytest.raises(GitError, match="says more than"):
        repository.files("main", "prompts")


def test_a_separator_in_a_name_or_a_subject_stays_there(repo: PromptRepo) -> None:
    """It can't pass for the commit's time or its parents."""
    environment = {"GIT_AUTHOR_NAME": "Eve\x1f2020-01-01T00:00:00+00:00", "GIT_AUTHOR_EMAIL": "e@example.com"}
    subprocess.run(
        ["git", "-C", str(repo.path), "-c", "user.name=c", "-c", "user.email=c@x", "commit", "-qm", "one\x1ftwo"],
        check=True,
        env={**os.environ, **environment},
    )
    found = Repository(repo.path).resolve("main")
    assert found.committed_at.year > 2020
    assert found.subject.endswith("one\x1ftwo")
