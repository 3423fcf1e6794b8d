"""Which model registry an address means."""

from softlaunch.edges.models.interface import ModelRegistry, RegistryError
from softlaunch.edges.models.mlflow import MlflowRegistry
from softlaunch.edges.models.own import OwnRegistry
from softlaunch.settings import Settings
from softlaunch.store.database import Database

_MLFLOW = "mlflow+"


def open_registry(settings: Settings, database: Database, actor: str) -> ModelRegistry:
    """The registry that SOFTLAUNCH_MODEL_REGISTRY names, or the ledger itself. Raises RegistryError."""
    address = settings.model_registry
    if not address:
        return OwnRegistry(database, actor)
    if address.startswith((f"{_MLFLOW}http://", f"{_MLFLOW}https://")):
        return MlflowRegistry(address.removeprefix(_MLFLOW), settings.mlflow_token)
    raise RegistryError(
        f"SOFTLAUNCH_MODEL_REGISTRY is {address!r}; expected mlflow+http://host:port or mlflow+https://host"
    )
