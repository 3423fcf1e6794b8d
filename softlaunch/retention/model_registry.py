"""Which model registry an address means."""

import os
import re

from pydantic import SecretStr

from softlaunch.core.settings import Settings
from softlaunch.integrations.models.interface import ModelRegistry, RegistryError
from softlaunch.integrations.models.mlflow import MlflowRegistry
from softlaunch.integrations.models.wandb import CLOUD, WandbRegistry
from softlaunch.retention.own_models import OwnRegistry
from softlaunch.store.database import Database

_MLFLOW = "mlflow+"
_WANDB = re.compile(r"wandb://([\w.-]+/[\w.-]+)")


def open_registry(settings: Settings, database: Database, actor: str) -> ModelRegistry:
    """The registry that SOFTLAUNCH_MODEL_REGISTRY names, or the ledger itself. Raises RegistryError."""
    address = settings.model_registry
    if not address:
        return OwnRegistry(database, actor)
    if address.startswith((f"{_MLFLOW}http://", f"{_MLFLOW}https://")):
        return MlflowRegistry(address.removeprefix(_MLFLOW), settings.mlflow_token)
    if project := _WANDB.fullmatch(address):
        return _open_wandb(project.group(1))
    raise RegistryError(
        f"SOFTLAUNCH_MODEL_REGISTRY is {address!r}; expected mlflow+http://host:port, mlflow+https://host or "
        "wandb://entity/project"
    )


def _open_wandb(project: str) -> WandbRegistry:
    """With the variables that W&B's own client reads."""
    key = os.environ.get("WANDB_API_KEY", "")
    if not key:
        raise RegistryError("a registry in W&B needs its key in WANDB_API_KEY; it is at https://wandb.ai/authorize")
    return WandbRegistry(project, SecretStr(key), os.environ.get("WANDB_BASE_URL") or CLOUD)
