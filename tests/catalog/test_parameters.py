"""Parameters as files, in the ledger, and on the command line."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from softlaunch.catalog import records
from softlaunch.catalog.apps import apply
from softlaunch.catalog.candidates import CandidateError, Change, preview_candidate
from softlaunch.catalog.parameter_files import ParameterFileError, load_parameters, parse_parameters
from softlaunch.catalog.prompt_changes import PartDiff
from softlaunch.catalog.prompt_history import PromptHistoryError
from softlaunch.catalog.variant_changes import diff_variants
from softlaunch.core.errors import NotFoundError
from softlaunch.core.word_diff import Op
from softlaunch.integrations.git.repository import GitError
from softlaunch.store.database import Database
from tests.support.commands import run, run_json
from tests.support.git_prompts import PromptRepo

FIRST = """\
author: ann@example.com
date: 2026-03-01
purpose: the first tools
tools:
  - name: find_order
    description: Finds an order.
    parameters: {type: object}
reasoning_effort: low
settings: {top_k: 5}
"""
SECOND = FIRST.replace("Finds an order.", "Finds an order by its number.").replace("top_k: 5", "top_k: 8")
VARIANTS = """\
stable: current
variants:
  current: {prompt: support@1.0.0, model: steady, parameters: support@1.0.0, fallbacks: [cheap]}
  brief: {prompt: support@1.1.0, model: steady}
"""


@pytest.fixture
def with_tools(app_folder: Path) -> Path:
    """The folder of an app whose variant in production has parameters and a fallback model."""
    versions = app_folder / "parameters" / "support"
    versions.mkdir(parents=True)
    (versions / "v1.0.0.yaml").write_text(FIRST)
    (versions / "v1.1.0.yaml").write_text(SECOND)
    (app_folder / "variants.yaml").write_text(VARIANTS)
    return app_folder


def test_applying_records_parameters_and_puts_variants_together(with_tools: Path, database: Database) -> None:
    """A second time changes nothing; the variant holds all that the files say."""
    applied = apply(with_tools, database, "ann")
    assert applied.parameters == ("support@1.0.0", "support@1.1.0")
    assert not apply(with_tools, database, "ann").changed
    with database.read() as session:
        serving = records.get_variant(session, "support-bot", "production")
        assert [f"{row.name}@{row.version}" for row in records.list_parameters(session)] == list(applied.parameters)
    assert serving.parameters is not None
    assert (serving.parameters.author, serving.parameters.settings) == ("ann@example.com", {"top_k": 5})
    assert [model.name for model in serving.fallbacks] == ["cheap"]
    assert serving.label == "support@1.0.0 on steady, with support@1.0.0, falling back to cheap"


def test_an_edited_version_asks_for_a_new_one(with_tools: Path, database: Database) -> None:
    """What was recorded never changes."""
    apply(with_tools, database, "ann")
    (with_tools / "parameters" / "support" / "v1.0.0.yaml").write_text(SECOND)
    with pytest.raises(records.ImmutableError, match=r"support@1\.0\.0 was recorded on .* save it as a new version"):
        apply(with_tools, database, "ann")


@pytest.mark.parametrize(
    ("change", "label"),
    [
        pytest.param(Change(parameters="1.1.0"), "with support@1.1.0, falling back to cheap", id="another version"),
        pytest.param(Change(parameters="support@1.1.0", fallbacks=()), "with support@1.1.0", id="without fallbacks"),
        pytest.param(Change(parameters="none"), "falling back to cheap", id="without parameters"),
    ],
)
def test_a_candidate_may_have_other_parameters(
    with_tools: Path, database: Database, change: Change, label: str
) -> None:
    """The rest stays as it serves."""
    apply(with_tools, database, "ann")
    with database.read() as session:
        base = records.get_variant(session, "support-bot", "production")
        candidate = preview_candidate(session, "support-bot", base, change)
    assert candidate.label == f"support@1.0.0 on steady, {label}"


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        pytest.param(Change(parameters="9.0.0"), NotFoundError, "recorded: support@1.0.0, support@1.1.0", id="unknown"),
        pytest.param(Change(fallbacks=["dear"]), NotFoundError, "recorded: cheap, steady", id="unknown fallback"),
        pytest.param(Change(fallbacks=["steady"]), CandidateError, "model steady is named twice", id="itself"),
        pytest.param(Change(model="cheap"), CandidateError, "model cheap is named twice", id="its own fallback"),
        pytest.param(Change(variant="brief", fallbacks=[]), CandidateError, "not both", id="a whole one and a part"),
    ],
)
def test_an_impossible_candidate_says_why(
    with_tools: Path, database: Database, change: Change, error: type[Exception], said: str
) -> None:
    """Before anything is recorded."""
    apply(with_tools, database, "ann")
    with database.read() as session:
        base = records.get_variant(session, "support-bot", "production")
        with pytest.raises(error, match=said):
            preview_candidate(session, "support-bot", base, change)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        pytest.param("v1.yaml", "", "isn't named after its version; call it v1.0.0.yaml", id="file name"),
        pytest.param("v1.0.0.yaml", "- a", "line 1: expected a mapping", id="a list"),
        pytest.param("v1.0.0.yaml", "name: sales", "found 'sales', but the path says 'support'", id="another name"),
        pytest.param("v1.0.0.yaml", "a: 1\nverbosty: low", "line 2: verbosty: unknown key", id="a typo"),
        pytest.param(
            "v1.0.0.yaml",
            "extra_body:\n  service_tier: flex\n  model: x",
            "line 3: extra_body.model: the prompt, the model, the client or the gateway decides it",
            id="the model",
        ),
        pytest.param(
            "v1.0.0.yaml",
            "tools:\n- name: f\n  parameters: 3",
            "line 3: tools[0].parameters: expected a JSON schema",
            id="no schema",
        ),
        pytest.param("v1.0.0.yaml", "settings:\n  since: 2026-01-01", "line 2: settings.since: found", id="a date"),
        pytest.param("v1.0.0.yaml", "extra_headers: {x-api-key: sk-1}", "belongs to one model", id="a secret"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(tmp_path: Path, file: str, text: str, said: str) -> None:
    """And no secret is repeated."""
    path = tmp_path / "support" / file
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ParameterFileError) as caught:
        load_parameters(path)
    assert said in str(caught.value)
    assert "sk-1" not in str(caught.value)


def test_a_complete_file_says_who_when_and_why() -> None:
    """As prompts do; what is missing is named, all of it."""
    with pytest.raises(ParameterFileError) as caught:
        parse_parameters(Path("support/v1.0.0.yaml"), b"reasoning_effort: low", complete=True)
    assert all(f"{key}: is missing" in str(caught.value) for key in ("author", "date", "purpose"))
    assert parse_parameters(Path("support/v1.0.0.yaml"), FIRST.encode(), complete=True).author == "ann@example.com"


def changed(parts: Sequence[PartDiff]) -> dict[str, tuple[str, str]]:
    """What went and what came, by part."""
    return {part.part: (_text(part, Op.REMOVED), _text(part, Op.ADDED)) for part in parts}


def _text(part: PartDiff, op: Op) -> str:
    return "".join(piece.text for piece in part.pieces if piece.op is op)


def test_a_difference_names_every_part_and_nothing_else(with_tools: Path, database: Database) -> None:
    """Prompts and descriptions by words, everything else by its keys."""
    apply(with_tools, database, "ann")
    with database.read() as session:
        base = records.get_variant(session, "support-bot", "production")
        change = Change(prompt="1.1.0", model="cheap", sampling={"seed": 1}, parameters="1.1.0", fallbacks=["steady"])
        candidate = preview_candidate(session, "support-bot", base, change)
    found = changed(diff_variants(base, candidate))
    assert found["message 1 (system)"] == ("", ", briefly")
    assert found["parameters: tools.find_order"] == ("", " by its number")
    assert found["parameters: settings"] == ("5", "8")
    assert found["fallbacks"] == ("cheap", "steady")
    assert found["sampling: seed"] == ("", "1")
    assert (found["model: name"], found["prompt"]) == (("steady", "cheap"), ("0", "1"))
    assert not {"parameters: reasoning_effort", "model: endpoint", "model: provider"} & found.keys()
    assert diff_variants(base, base) == ()


def test_the_commands(here: Path, with_tools: Path) -> None:
    """What a person types to see, compare and make them."""
    folder = str(with_tools)
    assert "recorded parameters: support@1.0.0, support@1.1.0" in run("apply", folder, "--no-probe")
    assert [row["parameters"] for row in run_json("parameters", "list")] == ["support@1.0.0", "support@1.1.0"]
    assert run_json("parameters", "show", "support@1.0.0")["reasoning_effort"] == "low"
    assert "find_order" in run("parameters", "show", "support@1.0.0")
    assert "{+ by its number+}" in run("parameters", "diff", "support@1.0.0", "1.1.0")
    added = run_json("variants", "add", "more", "--parameters", "1.1.0", "--fallback", "none")
    assert (added["parameters"]["version"], "fallbacks" in added) == ("1.1.0", False)
    assert "top_k" in run("variants", "show", "more")
    shown = run("variants", "diff", "production", "more")
    assert "## parameters: settings" in shown
    assert "[-cheap-]" in shown
    parts = run_json("variants", "diff", "production", "more")["parts"]
    assert {part["part"] for part in parts} == {
        "parameters",
        "parameters: tools.find_order",
        "parameters: settings",
        "fallbacks",
    }
    assert "the same variant" in run("variants", "diff", "current", "production")


def test_none_and_a_fallback_contradict_each_other(here: Path, with_tools: Path) -> None:
    """The command says which to leave out."""
    run("apply", str(with_tools), "--no-probe")
    with pytest.raises(Exception, match="--fallback none stands alone"):
        run("variants", "add", "x", "--fallback", "none", "--fallback", "cheap")


def test_parameters_in_git_are_checked_and_recorded_as_prompts_are(here: Path, tmp_path: Path) -> None:
    """Versions grow without gaps, say who, when and why, and never change once they are published."""
    repo = PromptRepo.make(tmp_path / "repo")
    for name, text in (("v1.0.0", FIRST), ("v1.1.0", SECOND)):
        repo.write_file(f"parameters/support/{name}.yaml", text)
        repo.commit(name)
    path = str(repo.path)
    assert run_json("parameters", "check", path) == {"sound": True, "files": 2}
    assert run_json("parameters", "sync", path)["recorded"] == ["support@1.0.0", "support@1.1.0"]
    assert run_json("parameters", "sync", path)["recorded"] == []
    assert len(run_json("parameters", "list")) == 2
    repo.write_file("parameters/support/v1.3.0.yaml", "reasoning_effort: low\n")
    with pytest.raises(PromptHistoryError, match="author: is missing"):
        run("parameters", "check", path, "--staged")
    repo.write_file("parameters/support/v1.3.0.yaml", FIRST)
    repo.write_file("parameters/support/v1.0.0.yaml", SECOND)
    rewritten = repo.commit("A gap, and a rewrite")
    with pytest.raises(PromptHistoryError) as caught:
        run("parameters", "sync", path)
    assert "the parameters have 2 problems" in str(caught.value)
    assert f"commit {rewritten}" in str(caught.value)
    assert "there is a gap between 1.1.0 and 1.3.0" in str(caught.value)
    assert "support@1.0.0 is changed here" in str(caught.value)


def test_a_folder_without_parameters_says_so(here: Path, tmp_path: Path) -> None:
    """Syncing the wrong folder records nothing in silence."""
    repo = PromptRepo.make(tmp_path / "repo")
    repo.commit("Begin", v1_0_0="text")
    with pytest.raises(GitError, match="there are no parameters in parameters"):
        run("parameters", "sync", str(repo.path))
