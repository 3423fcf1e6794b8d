"""What is monitored between releases: whether a model answers, and as whom, and aliases in another registry."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from softlaunch.catalog.floating_models import watch_resolved_models
from softlaunch.core.settings import Settings
from softlaunch.integrations.models.interface import ModelRegistry, RegistryError
from softlaunch.releases.provider_watch import watch_providers
from softlaunch.retention.model_registry import mirror, open_registry
from softlaunch.store.database import Database

ACTOR = "reconcile"
RegistryOpener = Callable[[Settings, Database, str], ModelRegistry]
"""Opens the registry that the settings name, for an actor; raises RegistryError."""


@dataclass(frozen=True, slots=True)
class Noted:
    """One result of a pass; a problem is for people to look at."""

    sentence: str
    problem: bool


def monitor_models(
    database: Database, settings: Settings, now: datetime, opener: RegistryOpener = open_registry
) -> Iterator[Noted]:
    """One pass, which may be repeated. A registry that can't be opened is a problem, and ends nothing."""
    yield from (Noted(*changed) for changed in watch_providers(database, now))
    for sentence in watch_resolved_models(database, now):
        yield Noted(sentence, problem=True)
    if not settings.model_registry:
        return
    try:
        moved = mirror(database, opener(settings, database, ACTOR))
    except RegistryError as error:
        yield Noted(str(error), problem=True)
    else:
        yield from (Noted(one.sentence, bool(one.problem)) for one in moved)
