"""What teams paste into their repositories: valid by the public schemas, and with no more rights than needed."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pre_commit.clientlib import load_config, load_manifest

from softlaunch.pull_requests.formats.markdown import MARKER
from tests.support.paths import ROOT

EXAMPLE = ROOT / "examples" / "repository"
WORKFLOW = EXAMPLE / ".github" / "workflows" / "softlaunch.yml"


@cache
def schema(name: str) -> dict[str, Any]:
    """A public schema, as check-jsonschema brings it."""
    found: dict[str, Any] = json.loads(
        files("check_jsonschema.builtin_schemas").joinpath("vendor", f"{name}.json").read_text(encoding="utf-8")
    )
    return found


def read(path: Path) -> Any:
    """A file of YAML in which `on` is no boolean."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def test_the_workflow_is_one() -> None:
    """GitHub's schema takes it, and would not take a misspelt key."""
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    workflow["on"] = workflow.pop(True)
    validator = jsonschema.validators.validator_for(schema("github-workflows"))(schema("github-workflows"))
    assert [error.message for error in validator.iter_errors(workflow)] == []
    assert list(validator.iter_errors({**workflow, "permisions": {}}))


def test_the_pipeline_is_one() -> None:
    """GitLab's schema takes it, and would not take a misspelt key."""
    pipeline = yaml.safe_load((EXAMPLE / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema("gitlab-ci"))(schema("gitlab-ci"))
    assert [error.message for error in validator.iter_errors(pipeline)] == []
    assert list(validator.iter_errors({"softlaunch": {**pipeline["softlaunch"], "cach": {}}}))


def test_the_hooks_are_hooks() -> None:
    """pre-commit itself reads both files, and every command that they run is one."""
    config = load_config(EXAMPLE / ".pre-commit-config.yaml")
    hooks = load_manifest(ROOT / ".pre-commit-hooks.yaml")
    entries = [hook["entry"] for hook in (*config["repos"][0]["hooks"], *hooks)]
    assert {entry.split(" --")[0] for entry in entries} == {"softlaunch check", "softlaunch prompts check"}


def test_the_workflow_has_no_more_rights_than_needed() -> None:
    """The job that has secrets writes nothing, the one that writes has none, and neither runs for a fork's code."""
    workflow = read(WORKFLOW)
    jobs = workflow["jobs"]
    assert list(workflow["on"]) == ["pull_request"]
    assert workflow["permissions"] == {}
    assert jobs["check"]["permissions"] == {"contents": "read"}
    assert jobs["comment"]["permissions"] == {"pull-requests": "write"}
    assert "secrets." not in json.dumps(jobs["comment"])
    assert "head.repo.full_name == github.repository" in jobs["comment"]["if"]
    checkout = jobs["check"]["steps"][0]
    assert (checkout["with"]["persist-credentials"], checkout["with"]["fetch-depth"]) == ("false", "0")


@pytest.mark.parametrize("job", ["check", "comment"])
def test_no_text_of_the_pull_request_becomes_a_command(job: str) -> None:
    """Whatever comes from outside reaches a shell as a variable, never as part of the script."""
    steps = read(WORKFLOW)["jobs"][job]["steps"]
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


def test_the_workflow_finds_the_comment_again() -> None:
    """The line that a comment begins with is the one that is looked for."""
    assert MARKER in WORKFLOW.read_text(encoding="utf-8")
