"""An app with two variants in a ledger of its own, its models, and a gateway in front."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import httpx
from sqlalchemy import text, update
from sqlmodel import col, select

from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.gateway.limits import Limits
from softlaunch.ledger.routes import serving_to_json
from softlaunch.policy.gateway import BreakerPolicy, GatewayPolicy
from softlaunch.policy.live import LiveSamplePolicy
from softlaunch.policy.named_metrics import MetricPolicy
from softlaunch.policy.route import Serving
from softlaunch.policy.sources import OtlpPolicy
from softlaunch.policy.texts import TextPolicy
from softlaunch.policy.units import UnitPolicy
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import AppRow, RequestRow, RouteRow, VariantRow
from tests.support.servers import FakeModels, running_gateway, wait_until

APP = "support-bot"
QUICK = Limits(route_poll_seconds=0.05, heartbeat_seconds=0.1)
"""A gateway that looks at its routes four times as often, so that tests needn't wait."""
NEVER_TRIPS = BreakerPolicy(minimum_requests=10**6)


def variant(model: str, endpoint: str, prompt: str = "You help.", **fields: Any) -> Variant:
    """A variant whose model has a price of 10 and 20 USD per million tokens."""
    priced = {"input_usd_per_million": 10.0, "output_usd_per_million": 20.0, **fields}
    return Variant(
        prompt=PromptVersion(name="support", version="1.0.0", messages=(PromptMessage(role="system", content=prompt),)),
        model=ModelVersion(name=model, provider="rehearsal", model=model, endpoint=endpoint, **priced),
    )


def record(database: Database, stable: Variant, candidate: Variant | None, serving: Serving) -> None:
    """Write the app, its variants and a route that serves stable alone."""
    now = datetime.now(UTC)
    with database.begin() as session:
        session.add(AppRow(name=APP, policy={}, policy_path="", salt=serving.salt, recorded_at=now))
        for value in filter(None, (stable, candidate)):
            session.add(
                VariantRow(
                    digest=value.digest,
                    label=value.label,
                    prompt_name=value.prompt.name,
                    prompt_version=value.prompt.version,
                    model_name=value.model.name,
                    content=value.model_dump(mode="json"),
                    recorded_at=now,
                )
            )
        session.flush()
        session.add(
            RouteRow(app=APP, revision=1, stable_digest=stable.digest, serving=serving_to_json(serving), changed_at=now)
        )


@dataclass
class World:
    """One app behind one gateway."""

    database: Database
    models: FakeModels
    stable: Variant
    candidate: Variant
    url: str = ""
    client: httpx.Client = field(init=False)
    stop: Callable[[], None] = field(init=False)

    def split(self, weight_percent: float = 0.0, **columns: Any) -> None:
        """Give the candidate a share, and wait until the gateway acts by it."""
        values = {"candidate_digest": self.candidate.digest, "release_id": "support-bot-1", **columns}
        with self.database.begin() as session:
            session.execute(
                update(RouteRow).values(revision=RouteRow.revision + 1, weight_percent=weight_percent, **values)
            )
        revision = self.ask_database("select revision from routes")[0][0]
        self.wait_for_metric("softlaunch_route_revision", revision)

    def ask_database(self, sql: str) -> Sequence[Any]:
        """Rows of a query."""
        with self.database.read() as session:
            return session.execute(text(sql)).all()

    def metric(self, name: str) -> float | None:
        """The sum of a metric over its labels; None where the gateway has none of this name."""
        lines = self.client.get("/metrics").text.splitlines()
        found = [float(line.split()[-1]) for line in lines if line.startswith((name + "{", name + " "))]
        return sum(found) if found else None

    def wait_for_metric(self, name: str, value: float) -> None:
        """Wait until the gateway reports this value."""
        wait_until(lambda: self.metric(name) == value, f"{name} is {value}")

    def beat(self) -> None:
        """Say once that somebody watches."""
        with self.database.begin() as session:
            session.execute(update(RouteRow).values(beat=RouteRow.beat + 1))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Somebody watches for as long as the block lasts; the gateway knows it when it begins."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.07):
                self.beat()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            self.wait_for_metric("softlaunch_lease_holds", 1.0)
            yield
        finally:
            over.set()
            thread.join()

    def ask(self, user: str | None = None, **fields: Any) -> httpx.Response:
        """One request to the app."""
        named = {} if user is None else {"user": user}
        body = {"model": APP, "messages": [{"role": "user", "content": "Hi"}], **named, **fields}
        return self.client.post("/v1/chat/completions", json=body)

    def rows(self, count: int | None = None, **columns: object) -> list[RequestRow]:
        """The log's rows with these values, once there are `count` of them."""
        query = select(RequestRow).filter_by(**columns).order_by(col(RequestRow.id))

        def read() -> list[RequestRow]:
            with self.database.read() as session:
                return list(session.exec(query).all())

        if count is not None:
            wait_until(lambda: len(read()) >= count, f"the log has {count} rows with {columns}, not {len(read())}")
        return read()

    def row_of(self, response: httpx.Response) -> RequestRow:
        """The log's row for the answer that a user got."""
        (row,) = self.rows(1, request_id=response.headers["x-softlaunch-request-id"], mirrored=False)
        return row


@contextmanager
def running_world(
    database_url: str,
    models: FakeModels,
    *,
    gateway: GatewayPolicy | None = None,
    unit: UnitPolicy | None = None,
    texts: TextPolicy | None = None,
    stable: Variant | None = None,
    candidate: Variant | None = None,
    metrics: tuple[MetricPolicy, ...] = (),
    live_sample: LiveSamplePolicy | None = None,
    otlp: OtlpPolicy | None = None,
    limits: Limits = QUICK,
    client_keys: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[World]:
    """A world whose breaker never trips and whose timeout is 30 s, unless said otherwise; `options` of its gateway."""
    serving = Serving(
        salt="pepper",
        unit=unit or UnitPolicy(),
        gateway=gateway or GatewayPolicy(timeout=30.0, breaker=NEVER_TRIPS),
        texts=texts or TextPolicy(),
        metrics=metrics,
        live_sample=live_sample,
        otlp=otlp,
    )
    stable = stable or variant("stable", models.endpoint)
    candidate = candidate or variant("candidate", models.endpoint)
    database = open_database(database_url)
    record(database, stable, candidate, serving)
    world = World(database, models, stable, candidate)
    gateway_running = running_gateway(
        database_url, limits=limits, client_keys=client_keys, environment=environment, **options
    )
    with ExitStack() as gateway_stack:
        world.url = gateway_stack.enter_context(gateway_running)
        world.stop = gateway_stack.close
        with httpx.Client(base_url=world.url, timeout=60, verify=False) as world.client:
            yield world
            models.faults.clear()
    database.close()


def arm_of(response: httpx.Response) -> str:
    """The arm that answered."""
    return response.headers["x-softlaunch-arm"]


def ask_many(world: World, users: Sequence[str]) -> list[str]:
    """The arms that answered one request of each user, sixteen at a time; every status must be 200."""

    async def ask(session: aiohttp.ClientSession, user: str) -> str:
        body = {"model": APP, "user": user, "messages": [{"role": "user", "content": "Hi"}]}
        async with session.post(f"{world.url}/v1/chat/completions", json=body) as response:
            assert response.status == 200, await response.text()
            return response.headers["x-softlaunch-arm"]

    async def ask_all() -> list[str]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=16)) as session:
            return await asyncio.gather(*(ask(session, user) for user in users))

    return asyncio.run(ask_all())
