"""Releases through one real gateway whose arms are models named `<app>/stable` and `<app>/candidate`."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from aiohttp import web

from softlaunch.catalog.records import record_variant
from softlaunch.core.clock import utc_now
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.ledger.releases import Actor, FencedError, Opening, open_release, read_release
from softlaunch.ledger.routes import serving_to_json
from softlaunch.policy.model import Policy
from softlaunch.policy.route import Serving
from softlaunch.releases.driver import Driver, Strategies
from softlaunch.releases.observe import ReleaseStrategy
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, RouteRow
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.support.builders import FakeEvaluator


@contextmanager
def running(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], paths: Sequence[str] = ("/v1/chat/completions",)
) -> Iterator[str]:
    """Serve a provider in a thread with its own event loop; yields the models' endpoint."""
    loop = asyncio.new_event_loop()
    application = web.Application()
    for path in paths:
        application.router.add_post(path, answer)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield "http://127.0.0.1:{}/v1".format(*runner.addresses[0][1:])
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def record(database: Database, endpoint: str, policy: Policy) -> Opening:
    """Record an app that serves its model `stable`; returns how to open a release of `candidate`."""
    app, now = policy.app, datetime.now(UTC)
    prompt = PromptVersion(name="p", version="1.0.0", messages=(PromptMessage(role="system", content="Answer."),))
    arms = [
        Variant(prompt=prompt, model=ModelVersion(name=arm, provider="test", model=f"{app}/{arm}", endpoint=endpoint))
        for arm in ("stable", "candidate")
    ]
    with database.begin() as session:
        content = policy.model_dump(mode="json")
        session.add(AppRow(name=app, policy=content, policy_path="p", salt=app, recorded_at=now))
        for variant in arms:
            record_variant(session, variant, now)
        session.flush()
        serving = serving_to_json(Serving(salt=app, gateway=policy.gateway, unit=policy.unit))
        session.add(RouteRow(app=app, revision=1, stable_digest=arms[0].digest, serving=serving, changed_at=now))
    return Opening(app, arms[0].digest, arms[1].digest, policy, "p")


def open_now(database: Database, opening: Opening) -> str:
    """Open the release; returns its id."""
    with database.begin() as session:
        return open_release(session, opening, Actor("test", "test"), datetime.now(UTC))


def drive_all(database: Database, releases: list[str], over: threading.Event) -> None:
    """Step each release in turn until told to stop."""
    telemetry = RequestLogTelemetry(database)
    ttl = timedelta(seconds=60)
    drivers = {
        release: Driver(database, Strategies(ReleaseStrategy(telemetry, FakeEvaluator(steps=1))), release, utc_now, ttl)
        for release in releases
    }
    tokens = {release: driver.acquire_lease(release) for release, driver in drivers.items()}
    while not over.wait(0.2):
        for release in list(tokens):
            try:
                if drivers[release].advance(release, tokens[release]).over:
                    del tokens[release]
            except FencedError:
                del tokens[release]


def await_canaries(database: Database, releases: dict[str, str]) -> None:
    """Wait until every candidate is with users."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with database.read() as session:
            if all(read_release(session, release).state.value == "canary" for release in releases.values()):
                time.sleep(1)
                return
        time.sleep(0.1)
    raise AssertionError("not every release reached its canary")
