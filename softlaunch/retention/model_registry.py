"""The model registry that an address means, and showing in it what serves: its aliases follow those of the ledger.

Nothing waits for it. Each pass compares where the aliases point and moves those that differ, so that a pass that failed
is made up for by the next one, and one that is repeated changes nothing.
"""

import os
import re
from dataclasses import dataclass

from pydantic import SecretStr
from sqlmodel import col, select

from softlaunch.catalog.aliases import RELEASED
from softlaunch.catalog.records import list_aliases
from softlaunch.core.settings import Settings
from softlaunch.core.variant import Variant
from softlaunch.integrations.models.interface import ModelRegistry, RegistryError
from softlaunch.integrations.models.mlflow import MlflowRegistry
from softlaunch.integrations.models.wandb import CLOUD, WandbRegistry
from softlaunch.retention.own_models import OwnRegistry
from softlaunch.store.database import Database
from softlaunch.store.tables import VariantRow

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


@dataclass(frozen=True, slots=True)
class Mirrored:
    """An alias that was moved to the variant that the ledger names, or the problem that keeps it from following."""

    app: str
    alias: str
    variant_digest: str
    version: str = ""
    problem: str = ""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.problem:
            return f"{self.alias} of {self.app} waits to follow {self.variant_digest[:12]}: {self.problem}"
        return f"{self.alias} of {self.app} is version {self.version} ({self.variant_digest[:12]}) now"


def mirror(database: Database, registry: ModelRegistry) -> list[Mirrored]:
    """Let the aliases that releases move follow; returns those that moved, and those that could not."""
    with database.read() as session:
        wanted = [one for one in list_aliases(session) if one.alias in RELEASED]
        digests = {one.variant_digest for one in wanted}
        rows = session.exec(select(VariantRow).where(col(VariantRow.digest).in_(digests)))
        variants = {row.digest: Variant.model_validate(row.content) for row in rows}
    found: list[Mirrored] = []
    for app in sorted({one.app for one in wanted}):
        pointed = {one.alias: variants[one.variant_digest] for one in wanted if one.app == app}
        found += _mirror_app(registry, app, pointed)
    return found


def _mirror_app(registry: ModelRegistry, app: str, wanted: dict[str, Variant]) -> list[Mirrored]:
    moved: list[Mirrored] = []
    try:
        held = registry.aliases(app)
        for alias, variant in sorted(wanted.items()):
            version = registry.register(app, variant).version
            if held.get(alias) != version:
                registry.move_alias(app, alias, version)
                moved.append(Mirrored(app, alias, variant.digest, version))
    except RegistryError as error:
        done = {one.alias for one in moved}
        waiting = [Mirrored(app, alias, one.digest, problem=str(error)) for alias, one in sorted(wanted.items())]
        return [*moved, *(one for one in waiting if one.alias not in done)]
    return moved
