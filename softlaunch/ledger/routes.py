"""Reading the routes that gateways serve by, and the JSON form of the policy parts that travel with them."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func
from sqlmodel import Session, col, select

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.variant import Variant
from softlaunch.policy.gateway import GatewayPolicy
from softlaunch.policy.limited import OnlyPolicy
from softlaunch.policy.live import LiveSamplePolicy
from softlaunch.policy.named_metrics import MetricPolicy
from softlaunch.policy.route import Route, Serving
from softlaunch.policy.router import RouterPolicy
from softlaunch.policy.sources import AccessLogPolicy, OtlpPolicy
from softlaunch.policy.texts import TextPolicy
from softlaunch.policy.units import UnitPolicy
from softlaunch.store.database import Database
from softlaunch.store.tables import LedgerRow, RouteRow, VariantRow


class UnreadableRouteError(SoftlaunchError):
    """A recorded route that no gateway can serve by: its variant is missing, or its content isn't understood."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What changes in a route: `revision` with every change of the split, `beat` with every sign of its watcher.

    A database that lost its last changes gives their revisions away again: `changed_at` tells them apart.
    """

    revision: int
    beat: int
    changed_at: datetime | None = field(default=None, compare=False)


def serving_to_json(serving: Serving) -> dict[str, Any]:
    """The JSON column of a route: `salt`, and the dumps of the parts; what a policy may leave out is left out."""
    metrics = [metric.model_dump(mode="json") for metric in serving.metrics]
    sample = None if serving.live_sample is None else serving.live_sample.model_dump(mode="json")
    return {
        "salt": serving.salt,
        "unit": serving.unit.model_dump(mode="json"),
        "gateway": serving.gateway.model_dump(mode="json"),
        "texts": serving.texts.model_dump(mode="json"),
        **({"metrics": metrics} if metrics else {}),
        **({"live_sample": sample} if sample else {}),
        **({} if serving.otlp is None else {"otlp": serving.otlp.model_dump(mode="json")}),
        **({} if serving.router is None else {"router": serving.router.model_dump(mode="json")}),
        **({} if serving.access_log is None else {"access_log": serving.access_log.model_dump(mode="json")}),
    }


def serving_from_json(content: Mapping[str, Any]) -> Serving:
    """The inverse of serving_to_json; a part left out has its defaults.

    Raises KeyError without a salt and pydantic's ValidationError for unknown keys and impossible values.
    """
    return Serving(
        salt=content["salt"],
        unit=UnitPolicy.model_validate(content.get("unit", {})),
        gateway=GatewayPolicy.model_validate(content.get("gateway", {})),
        texts=TextPolicy.model_validate(content.get("texts", {})),
        metrics=tuple(MetricPolicy.model_validate(one) for one in content.get("metrics", ())),
        live_sample=LiveSamplePolicy.model_validate(content["live_sample"]) if "live_sample" in content else None,
        otlp=OtlpPolicy.model_validate(content["otlp"]) if content.get("otlp") is not None else None,
        router=RouterPolicy.model_validate(content["router"]) if "router" in content else None,
        access_log=AccessLogPolicy.model_validate(content["access_log"]) if "access_log" in content else None,
    )


def read_pulses(database: Database) -> dict[str, Pulse]:
    """Revision and beat of every app's route: one small query, meant to be asked several times a second."""
    return read_named_pulses(database)[1]


def read_named_pulses(database: Database) -> tuple[str | None, dict[str, Pulse]]:
    """The ledger's own id, None where there is no route, and every route's pulse."""
    named = select(func.min(LedgerRow.id)).scalar_subquery()
    with database.read() as session:
        pulses = select(RouteRow.app, RouteRow.revision, RouteRow.beat, RouteRow.changed_at)
        rows = session.execute(pulses.add_columns(named)).all()
    return rows[0][4] if rows else None, {app: Pulse(*pulse) for app, *pulse, _ in rows}


def read_ledger_id(database: Database) -> str:
    """What names this ledger: the same in every copy of it, and another one in every other ledger."""
    with database.read() as session:
        return str(session.execute(select(func.min(LedgerRow.id))).scalar_one())


def read_route(database: Database, app: str, variants: MutableMapping[str, Variant] | None = None) -> Route | None:
    """The route of one app, None where there is none.

    `variants` caches variants by digest from one call to the next: they are immutable. Raises UnreadableRouteError.
    """
    with database.read() as session:
        row = session.get(RouteRow, app)
        return None if row is None else _route(session, row, {} if variants is None else variants)


def read_variant(database: Database, app: str, short: str, variants: MutableMapping[str, Variant]) -> Variant | None:
    """The recorded variant whose digest begins with these hexadecimal digits, None where there is none.

    `variants` caches variants by digest. Raises UnreadableRouteError.
    """
    with database.read() as session:
        digests = session.exec(select(VariantRow.digest).where(col(VariantRow.digest).startswith(short)).limit(1))
        digest = digests.first()
        return None if digest is None else _variant(session, app, digest, variants)


def read_routes(database: Database) -> dict[str, Route]:
    """Every app's route in one consistent state. Raises UnreadableRouteError."""
    variants: dict[str, Variant] = {}
    with database.read() as session:
        rows = session.exec(select(RouteRow).order_by(col(RouteRow.app))).all()
        return {row.app: _route(session, row, variants) for row in rows}


def _route(session: Session, row: RouteRow, variants: MutableMapping[str, Variant]) -> Route:
    try:
        serving = serving_from_json(row.serving)
        only = None if row.only is None else OnlyPolicy.model_validate(row.only)
    except (KeyError, ValidationError) as error:
        raise UnreadableRouteError(
            f"the route of {row.app} (revision {row.revision}) has a serving column, or a limit of its stage, that "
            f"this version can't read: {error}; run gateways and releases of the same softlaunch version, then start "
            "or roll back a release to rewrite it"
        ) from error
    return Route(
        app=row.app,
        revision=row.revision,
        stable=_variant(session, row.app, row.stable_digest, variants),
        serving=serving,
        candidate=None if row.candidate_digest is None else _variant(session, row.app, row.candidate_digest, variants),
        weight_percent=row.weight_percent,
        shadow_percent=row.shadow_percent,
        control_percent=row.control_percent,
        release_id=row.release_id,
        stage=row.stage,
        beat=row.beat,
        lease_seconds=row.lease_seconds,
        only=only,
    )


def _variant(session: Session, app: str, digest: str, variants: MutableMapping[str, Variant]) -> Variant:
    if digest in variants:
        return variants[digest]
    row = session.get(VariantRow, digest)
    if row is None:
        raise UnreadableRouteError(f"the route of {app} names variant {digest[:12]}, which isn't recorded")
    try:
        variant = Variant.model_validate(row.content)
    except ValidationError as error:
        raise UnreadableRouteError(f"variant {digest[:12]} of {app} has content that can't be read: {error}") from error
    if variant.digest != digest:
        raise UnreadableRouteError(
            f"variant {digest[:12]} of {app} has content with digest {variant.short}: the record was changed"
        )
    return variants.setdefault(digest, variant)
