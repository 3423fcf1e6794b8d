"""What deployments/prefect.yaml asks of a Prefect server, checked without one."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

from tests.support.paths import ROOT

DEPLOYMENTS = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
EACH = pytest.mark.parametrize("deployment", [pytest.param(one, id=one["name"]) for one in DEPLOYMENTS])
NEVER_WAITS = {"release", "resume-release", "rollback", "decide-approval", "reconcile"}
Deployment = Mapping[str, Any]


def _flow(deployment: Deployment) -> Flow[..., Any]:
    return load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)


def _fields(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every field that a form shows, of the parameters and of the models inside them."""
    for model, part in schema.get("definitions", {}).items():
        for name, field in part.get("properties", {}).items():
            kind = schema["definitions"].get(str(field.get("$ref")).rpartition("/")[2], {})
            yield f"{model}.{name}", {"title": kind.get("title"), **field}


def test_every_flow_is_deployed() -> None:
    """No flow can only be started by somebody who reads the code."""
    modules = [import_module(f"softlaunch.flows.{path.stem}") for path in sorted((ROOT / "flows").glob("[a-z]*.py"))]
    flows = {id(one): one for module in modules for one in vars(module).values() if isinstance(one, Flow)}
    assert {flow.name for flow in flows.values()} == {_flow(one).name for one in DEPLOYMENTS}


@EACH
def test_a_deployment_says_what_it_is_for(deployment: Deployment) -> None:
    """It is named like its flow, so that both halves of `rollback/rollback` are known, and it can be found by tag."""
    assert _flow(deployment).name == deployment["name"]
    assert deployment["description"].endswith(".")
    assert "softlaunch" in deployment["tags"]
    assert deployment["work_pool"]["name"] == "softlaunch"


@EACH
def test_a_form_can_be_filled_by_somebody_who_has_never_seen_the_code(deployment: Deployment) -> None:
    """Every field has a title, its own or its kind's, and a description."""
    schema = _flow(deployment).parameters.model_dump()
    unexplained = [name for name, field in _fields(schema) if not (field.get("title") and field.get("description"))]
    assert unexplained == []


@EACH
def test_a_schedule_is_complete(deployment: Deployment) -> None:
    """It names its time zone, and the deployment gives every parameter that has no default: nobody fills a form."""
    schedules = deployment.get("schedules", [])
    assert all(schedule.get("timezone") and schedule.get("slug") for schedule in schedules)
    if schedules:
        required = _flow(deployment).parameters.required
        assert set(required) <= set(deployment.get("parameters", {}))
        assert _flow(deployment).validate_parameters(deployment.get("parameters", {})) is not None


@EACH
def test_nothing_urgent_waits_for_a_slot(deployment: Deployment) -> None:
    """A killed run keeps its slot for minutes, so whatever drives, decides or rolls back has no limit of Prefect's."""
    if deployment["name"] in NEVER_WAITS:
        assert "concurrency_limit" not in deployment
        assert "work_queue_name" not in deployment["work_pool"]
