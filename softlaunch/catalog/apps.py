"""Bringing an app's files into the ledger."""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from softlaunch.catalog import records
from softlaunch.catalog.aliases import BASELINE, PRODUCTION, MovedBy, move_alias, read_alias
from softlaunch.catalog.app_folder import AppFolder, read_app
from softlaunch.catalog.repair import may_replace, repair_model
from softlaunch.core.clock import utc_now
from softlaunch.core.variant import ModelVersion, Variant
from softlaunch.ledger.releases import find_live
from softlaunch.ledger.routes import serving_to_json
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, ModelRow, RouteRow, VariantRow


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a folder changed; `notes` says in words what a person may not expect."""

    app: str
    created: bool
    production: str
    prompts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    policy_changed: bool = False
    route_revision: int = 1
    gateways_changed: bool = False
    """Whether gateways serve by something else from now on."""
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        recorded = (*self.prompts, *self.models, *self.parameters, *self.variants)
        return bool(self.created or recorded or self.aliases or self.policy_changed or self.gateways_changed)


def apply(
    folder: Path,
    database: Database,
    actor: str,
    clock: Callable[[], datetime] = utc_now,
    silent: Collection[str] = (),
) -> Applied:
    """Record what an app's folder says; doing it again changes nothing.

    `silent` are the digests of recorded models whose endpoints are known not to answer: what never served well is
    replaced (see `repair`). Raises DocumentError for broken files and ImmutableError for a recorded version that was
    edited; then nothing is written.
    """
    files = read_app(folder)
    try:
        return _apply_in(database, files, actor, clock(), silent)
    except IntegrityError:  # another process recorded the same at this moment: now it is there to be found
        return _apply_in(database, files, actor, clock(), silent)


def models_to_replace(folder: Path, database: Database) -> tuple[ModelVersion, ...]:
    """Recorded models that applying a folder would replace if they never answered: what it has otherwise now.

    Raises DocumentError.
    """
    files = read_app(folder)
    with database.read() as session:
        recorded = [(model, session.get(ModelRow, model.name)) for model in files.models]
        found = [ModelVersion.model_validate(row.content) for one, row in recorded if row and row.digest != one.digest]
        digest = read_alias(session, files.policy.app, PRODUCTION)
        row = None if digest is None else session.get(VariantRow, digest)
        if row is not None and row.digest != files.variants[files.stable].digest:
            found.append(Variant.model_validate(row.content).model)
    return tuple({model.digest: model for model in found}.values())


def _apply_in(database: Database, files: AppFolder, actor: str, now: datetime, silent: Collection[str]) -> Applied:
    with database.begin() as session:
        return apply_in_session(session, files, actor, now, silent)


def apply_in_session(session: Session, files: AppFolder, actor: str, now: datetime, silent: Collection[str]) -> Applied:
    """Record what an app's files say, in a transaction of the caller's; see `apply`."""
    source = str(files.models_path)
    repaired = [one.name for one in files.models if repair_model(session, one, source, silent, now)]
    prompts = [one for one in files.prompts if records.record_prompt(session, one.prompt, str(one.path), now)]
    models = [one for one in files.models if records.record_model(session, one, str(files.models_path), now)]
    parameters = [
        one.parameters.label
        for one in files.parameters
        if records.record_parameters(session, one.parameters, str(one.path), now)
    ]
    variants = [name for name, one in files.variants.items() if records.record_variant(session, one, now)]
    created, policy_changed = _record_app(session, files, now)
    aliases = _name_variants(session, files, actor, now)
    production, replaced = _first_production(session, files, actor, now, silent)
    route = session.get(RouteRow, files.policy.app)
    served_by = None if route is None else route.revision
    revision, pending = _record_route(session, files, production, now)
    notes = (*(_repaired_note(name) for name in repaired), replaced, pending, _other_stable(files, production))
    return Applied(
        app=files.policy.app,
        created=created,
        production=production,
        prompts=tuple(one.prompt.label for one in prompts),
        models=tuple(one.name for one in files.models if one in models or one.name in repaired),
        parameters=tuple(parameters),
        variants=tuple(variants),
        aliases=tuple(aliases),
        policy_changed=policy_changed,
        route_revision=revision,
        gateways_changed=served_by not in {None, revision},
        notes=tuple(note for note in notes if note),
    )


def _record_app(session: Session, files: AppFolder, now: datetime) -> tuple[bool, bool]:
    policy, path = files.policy.model_dump(mode="json"), str(files.policy_path)
    row = session.get(AppRow, files.policy.app)
    if row is None:
        salt = secrets.token_hex(16)
        session.add(AppRow(name=files.policy.app, policy=policy, policy_path=path, salt=salt, recorded_at=now))
        session.flush()
        return True, False
    changed = (row.policy, row.policy_path) != (policy, path)
    if changed:
        row.policy, row.policy_path, row.recorded_at = policy, path, now
    return False, changed


def _name_variants(session: Session, files: AppFolder, actor: str, now: datetime) -> list[str]:
    """Point each variant's name at it; returns the names that moved or are new."""
    app = files.policy.app
    moved = [name for name, variant in files.variants.items() if read_alias(session, app, name) != variant.digest]
    for name in moved:
        move_alias(session, app, name, files.variants[name].digest, MovedBy(actor), now)
    return moved


def _first_production(
    session: Session, files: AppFolder, actor: str, now: datetime, silent: Collection[str]
) -> tuple[str, str]:
    """The digest that `production` points at, and a note.

    Only an app without one gets that of the files, or one whose first never served well.
    """
    app, wanted = files.policy.app, files.variants[files.stable].digest
    digest = read_alias(session, app, PRODUCTION)
    if digest == wanted:
        return digest, ""
    if digest is not None and not may_replace(session, app, digest, silent):
        return digest, ""
    for alias in (PRODUCTION, BASELINE):
        move_alias(session, app, alias, wanted, MovedBy(actor), now)
    if digest is None:
        return wanted, ""
    return wanted, f"{digest[:12]} was in production and never gave a good answer; {wanted[:12]} serves in its place"


def _repaired_note(name: str) -> str:
    return f"model {name} never gave a good answer, so its record was replaced"


def _other_stable(files: AppFolder, production: str) -> str:
    if files.variants[files.stable].digest == production:
        return ""
    return (
        f"variants.yaml calls {files.stable} stable, but {production[:12]} is in production and stays there: "
        f"only a release changes what serves"
    )


def _record_route(session: Session, files: AppFolder, production: str, now: datetime) -> tuple[int, str]:
    """Make the app's route, or bring what gateways need of the policy up to date; returns its revision and a note."""
    app, lease = files.policy.app, files.policy.gateway.lease
    serving = _serving(session, files)
    row = session.get(RouteRow, app, with_for_update=True)
    if row is None:
        session.add(
            RouteRow(
                app=app, revision=1, stable_digest=production, serving=serving, lease_seconds=lease, changed_at=now
            )
        )
        session.flush()
        return 1, ""
    if row.stable_digest != production and row.release_id is None:  # the first one never served well
        row.stable_digest, row.revision, row.changed_at = production, row.revision + 1, now
    if row.serving == serving:
        return row.revision, ""
    if find_live(session, app) is not None:
        return row.revision, (
            f"{app} has a live release, so gateways keep the policy's unit, gateway and texts that it started with; "
            "apply again once it is over"
        )
    row.serving, row.lease_seconds, row.revision, row.changed_at = serving, lease, row.revision + 1, now
    return row.revision, ""


def _serving(session: Session, files: AppFolder) -> dict[str, Any]:
    """The part of the policy that gateways need, as a route keeps it."""
    policy = files.policy
    salt = records.check_app(session, policy.app).salt
    return serving_to_json(Serving.of(salt, policy))
