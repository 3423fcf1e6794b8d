"""Putting softlaunch onto a Prefect server: its work pool, its deployments and its automations. May be repeated."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.resources import find_resource

POOL = "softlaunch"


class DeployError(SoftlaunchError):
    """Prefect did not take what was to be deployed."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What is on the server now."""

    api: str
    pool: str
    pool_made: bool
    deployments: tuple[str, ...]
    automations: tuple[str, ...]


def deploy() -> Deployed:
    """Make the work pool where there is none, and bring deployments and automations up to date.

    A pool of that name stays as it is, of whatever type. Raises DeployError with Prefect's own words.
    """
    with get_client(sync_client=True) as client:
        made = _make_pool(client)
        names = _deploy_flows()
        return Deployed(str(client.api_url), POOL, made, names, apply_automations(client))


def _make_pool(client: SyncPrefectClient) -> bool:
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        return True
    return False


def _deploy_flows() -> tuple[str, ...]:
    """Deploy by Prefect's own command, which knows what has changed."""
    file = _file("prefect.yaml")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", file.name]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False)  # noqa: S603
    names = [f"{one['name']}/{one['name']}" for one in _read(file)["deployments"]]
    missing = [name for name in names if f"Deployment '{name}' successfully" not in " ".join(done.stdout.split())]
    if done.returncode or missing:
        raise DeployError(f"'prefect deploy' did not deploy {', '.join(missing)}: {done.stdout}{done.stderr}")
    return tuple(names)


def apply_automations(client: SyncPrefectClient, file: Path | None = None) -> tuple[str, ...]:
    """Make each automation of a file, or change the one of its name to what the file says; returns their names."""
    wanted = [
        AutomationCore.model_validate(_resolved(one, client))
        for one in _read(file or _file("automations.yaml"))["automations"]
    ]
    for automation in wanted:
        known = client.read_automations_by_name(automation.name)
        if not known:
            client.create_automation(automation)
        for one in known:
            client.update_automation(one.id, automation)
    return tuple(automation.name for automation in wanted)


def _resolved(automation: Mapping[str, Any], client: SyncPrefectClient) -> dict[str, Any]:
    """The automation with the ids of the deployments that its actions name."""
    actions = [dict(action) for action in automation["actions"]]
    for action in actions:
        if "deployment" in action:
            action["deployment_id"] = client.read_deployment_by_name(action.pop("deployment")).id
    return {**automation, "actions": actions}


def _file(name: str) -> Path:
    file = find_resource(f"deployments/{name}")
    if file is None:
        raise DeployError(f"this installation lacks deployments/{name}; install softlaunch again")
    return file


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content
