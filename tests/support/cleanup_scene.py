"""A registry with a past: versions recorded long ago, tags, releases, and a cleanup of it into a folder."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlmodel import Session, SQLModel, col, select

from softlaunch.catalog.records import record_model, record_prompt, record_variant
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.integrations.archives.folder import FolderArchive
from softlaunch.retention.cleanup_run import Done, Plan, RegistryCleanup
from softlaunch.retention.restore import restore
from softlaunch.retention.rules import Kind
from softlaunch.store.database import Database
from softlaunch.store.rows import dump
from softlaunch.store.tables import (
    ArchivedRow,
    EvalAnswerRow,
    EvalRunRow,
    ModelRow,
    ParametersRow,
    PromptRow,
    VariantRow,
)
from tests.support.builders import ANNA, APP, NOON, record_app

DAY = timedelta(days=1)
_TABLES: dict[Kind, tuple[type[SQLModel], str]] = {
    Kind.PROMPTS: (PromptRow, "version"),
    Kind.PARAMETERS: (ParametersRow, "version"),
    Kind.MODELS: (ModelRow, "name"),
    Kind.VARIANTS: (VariantRow, "digest"),
    Kind.EVALS: (EvalRunRow, "id"),
}


def a_prompt(version: str, text: str = "You help.", name: str = "support") -> PromptVersion:
    """A prompt version with texts that are hard to keep: accents, quotes, line ends."""
    message = PromptMessage(role="system", content=f"{text} “Grüße” \\ \u2028 \x7f {version}")
    return PromptVersion(name=name, version=version, messages=(message,))


def a_model(name: str) -> ModelVersion:
    """A model version with a price that has no short decimal form."""
    price = 0.1 + 0.2
    return ModelVersion(name=name, provider="p", model=name, endpoint="http://m/v1", input_usd_per_million=price)


@dataclass
class Registry:
    """A ledger, an archive in a folder, and the time."""

    database: Database
    folder: Path
    now: datetime = NOON

    def record(self, *, days_ago: float, prompt: PromptVersion, model: ModelVersion) -> Variant:
        """Record a prompt, a model and their variant some days ago."""
        variant = Variant(prompt=prompt, model=model)
        when = self.now - days_ago * DAY
        with self.database.begin() as session:
            record_prompt(session, prompt, "test", when)
            record_model(session, model, "test", when)
            record_variant(session, variant, when)
        return variant

    def record_eval(self, run_id: str, *, days_ago: float, release_id: str | None = None, candidate: str = "c") -> None:
        """An eval with one answer."""
        when = self.now - days_ago * DAY
        with self.database.begin() as session:
            session.add(
                EvalRunRow(
                    id=run_id,
                    app=APP,
                    release_id=release_id,
                    suite_digest="s",
                    stable_digest="x",
                    candidate_digest=candidate,
                    started_at=when,
                )
            )
            session.flush()
            session.add(
                EvalAnswerRow(
                    run_id=run_id,
                    arm="candidate",
                    case_id="1",
                    repeat=0,
                    variant_digest=candidate,
                    status="scored",
                    answer="“yes”",
                    scores={"accuracy": 1 / 3},
                )
            )

    def cleanup(self, watch: Callable[[str], None] = print) -> RegistryCleanup:
        """A cleanup of this registry."""
        archive = FolderArchive(self.folder)
        return RegistryCleanup(self.database, archive, 0.1, ANNA, lambda: self.now, watch)

    def plan(self) -> Plan:
        """What is due."""
        return self.cleanup().plan()

    def clean(self) -> Done:
        """Clean up."""
        cleanup = self.cleanup()
        return cleanup.clean(cleanup.plan())

    def put_back(self, kind: Kind, key: str) -> None:
        """Restore from the folder."""
        restore(self.database, lambda address: FolderArchive(Path(address)), kind, key, self.now)

    def due(self) -> set[str]:
        """Keys that a cleanup would delete."""
        return {choice.item.key for part in self.plan().parts for choice in part.first}

    def keys(self, kind: Kind) -> set[str]:
        """Keys in the ledger."""
        with self.database.read() as session:
            return set(_contents(session, kind))

    def contents(self) -> dict[tuple[Kind, str], bytes]:
        """Every item with all its bytes."""
        with self.database.read() as session:
            return {(kind, key): line for kind in _TABLES for key, line in _contents(session, kind).items()}

    def archived(self) -> list[tuple[Kind, str]]:
        """What was deleted, each once, in order."""
        with self.database.read() as session:
            rows = session.exec(select(ArchivedRow).order_by(col(ArchivedRow.id)))
            return list(dict.fromkeys((Kind(row.kind), row.key) for row in rows))


def make_registry(database: Database, folder: Path) -> Registry:
    """A registry with the app of the builders."""
    record_app(database)
    return Registry(database, folder)


def _contents(session: Session, kind: Kind) -> dict[str, bytes]:
    table, name = _TABLES[kind]
    found = {}
    for row in session.exec(select(table)):
        key = getattr(row, name)
        rows: dict[type[SQLModel], list[SQLModel]] = {table: [row]}
        if isinstance(row, EvalRunRow):
            answers = select(EvalAnswerRow).where(EvalAnswerRow.run_id == row.id)
            rows[EvalAnswerRow] = [*session.exec(answers)]
        found[f"{row.name}@{key}" if isinstance(row, PromptRow | ParametersRow) else key] = dump(rows)
    return found
