"""Routes as gateways read them."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from sqlalchemy import update

from softlaunch.core.variant import ModelVersion, PromptVersion, Variant
from softlaunch.ledger.routes import (
    Pulse,
    UnreadableRouteError,
    read_pulses,
    read_route,
    read_routes,
    serving_from_json,
    serving_to_json,
)
from softlaunch.policy.gateway import BreakerPolicy, GatewayPolicy
from softlaunch.policy.route import Route, Serving
from softlaunch.policy.texts import TextPolicy
from softlaunch.policy.units import UnitPolicy, UnitSource
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, RouteRow, VariantRow

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SERVING = Serving(
    salt="pepper",
    unit=UnitPolicy(source=UnitSource.HEADER, header="x-tenant"),
    gateway=GatewayPolicy(timeout=12.5, fallback=False, breaker=BreakerPolicy(minimum_requests=7)),
    texts=TextPolicy(keep=True, retention=60),
)


def variant(model: str) -> Variant:
    """A variant of this model."""
    return Variant(
        prompt=PromptVersion(name="p", version="1.0.0", messages=()),
        model=ModelVersion(name=model, provider="x", model=model, endpoint="http://127.0.0.1:1/v1"),
    )


STABLE, CANDIDATE = variant("stable"), variant("candidate")


@pytest.fixture
def routed(database: Database) -> Database:
    """A ledger with two apps, one of them in a canary."""
    with database.begin() as session:
        for value in (STABLE, CANDIDATE):
            session.add(
                VariantRow(
                    digest=value.digest,
                    label=value.label,
                    prompt_name="p",
                    prompt_version="1.0.0",
                    model_name=value.model.name,
                    content=value.model_dump(mode="json"),
                    recorded_at=NOW,
                )
            )
        for app in ("bot", "other"):
            session.add(AppRow(name=app, policy={}, policy_path="", salt="pepper", recorded_at=NOW))
        session.flush()
        session.add(
            RouteRow(
                app="bot",
                revision=3,
                stable_digest=STABLE.digest,
                candidate_digest=CANDIDATE.digest,
                weight_percent=5.0,
                shadow_percent=10.0,
                control_percent=2.5,
                release_id="bot-1",
                stage=2,
                beat=41,
                lease_seconds=8.0,
                serving=serving_to_json(SERVING),
                changed_at=NOW,
            )
        )
        session.add(
            RouteRow(app="other", revision=1, stable_digest=STABLE.digest, serving={"salt": "s"}, changed_at=NOW)
        )
    return database


BOT = Route(
    app="bot",
    revision=3,
    stable=STABLE,
    serving=SERVING,
    candidate=CANDIDATE,
    weight_percent=5.0,
    shadow_percent=10.0,
    control_percent=2.5,
    release_id="bot-1",
    stage=2,
    beat=41,
    lease_seconds=8.0,
)
OTHER = Route(app="other", revision=1, stable=STABLE, serving=Serving(salt="s"))


def test_a_route_comes_back_whole(routed: Database) -> None:
    """Every column of the route and of its variants is read back as it was written."""
    assert read_route(routed, "bot") == BOT
    assert read_routes(routed) == {"bot": BOT, "other": OTHER}


def test_the_pulse_is_cheap_to_read(routed: Database) -> None:
    """Revision and beat of all apps come without their variants."""
    assert read_pulses(routed) == {"bot": Pulse(3, 41), "other": Pulse(1, 0)}


def test_an_app_without_route_has_none(routed: Database) -> None:
    """Asking for an app that nobody routes is no error."""
    assert read_route(routed, "nobody") is None


def test_variants_are_cached_by_digest(routed: Database) -> None:
    """A variant that was read before is the same object, compiled templates and all."""
    variants: dict[str, Variant] = {}
    first = read_route(routed, "bot", variants)
    again = read_route(routed, "bot", variants)
    assert first is not None
    assert again is not None
    assert first.stable is again.stable
    assert set(variants) == {STABLE.digest, CANDIDATE.digest}


def test_serving_survives_its_json(routed: Database) -> None:
    """The policy parts that travel with a route come back equal."""
    assert serving_from_json(serving_to_json(SERVING)) == SERVING


def test_serving_with_an_unknown_key_is_refused() -> None:
    """A key from another version isn't silently ignored."""
    with pytest.raises(ValidationError, match="colour"):
        serving_from_json({"salt": "s", "unit": {"colour": "red"}})


@pytest.mark.parametrize(
    ("table", "values", "message"),
    [
        pytest.param(RouteRow, {"serving": {}}, "serving column", id="no salt"),
        pytest.param(
            RouteRow, {"serving": {"salt": "s", "gateway": {"speed": 1}}}, "speed", id="an unknown policy key"
        ),
        pytest.param(VariantRow, {"content": {"prompt": 1}}, "can't be read", id="a variant that is none"),
        pytest.param(
            VariantRow, {"content": variant("swapped").model_dump(mode="json")}, "was changed", id="a changed variant"
        ),
    ],
)
def test_a_route_that_cannot_be_understood_is_an_error(
    routed: Database, table: type, values: dict[str, object], message: str
) -> None:
    """Nothing is served by a record that was tampered with or comes from another version."""
    with routed.begin() as session:
        session.execute(update(table).values(**values))
    with pytest.raises(UnreadableRouteError, match=message):
        read_route(routed, "bot")
