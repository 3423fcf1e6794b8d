"""A release under load: rows as gateways log them, a stage with its gates, and a log with a past."""

import time
from collections.abc import Iterator
from itertools import count

import numpy as np
from sqlalchemy import text
from sqlmodel import Session

from softlaunch.core.clock import utc_now
from softlaunch.ledger.request_log import RequestRecord
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage, plan
from softlaunch.store.database import Database
from softlaunch.store.days import DAY_SECONDS, keep_days

APP, RELEASE, GATEWAY = "support-bot", "support-bot-7", "web-1-4711-1c9d"
UNITS = 2_000_000
DIGESTS = ("5f" * 32, "a1" * 32)
_SIZES = 4096


def policy() -> Policy:
    """A canary at 10 % with gates on errors, latency and cost, which hold for as long as the benchmark takes."""
    long = {"minimum_requests": 10**9, "minimum_time": "1 d", "deadline": "2 d"}
    gates = [{"metric": metric, "margin": margin} for metric, margin in (("errors", "1 points"), ("latency", "10 %"))]
    return Policy.model_validate(
        {
            "app": APP,
            "eval": {"golden_set": "golden.jsonl"},
            "stages": [{"weight_percent": weight, **long} for weight in (10, 50, 100)],
            "gates": [*gates, {"metric": "cost", "margin": "20 %"}],
        }
    )


def stage() -> Stage:
    """Its first canary stage."""
    return next(one for one in plan(policy()) if one.weight_percent == 10)


def records(seed: int = 7) -> Iterator[RequestRecord]:
    """Rows of the stage that begin now, endlessly."""
    rng = np.random.default_rng(seed)
    units = rng.integers(0, UNITS, _SIZES).tolist()
    latencies = (800 * rng.lognormal(0, 0.4, _SIZES)).tolist()
    position, step = stage().position, 104_729
    for number in count():
        at = number % _SIZES
        unit = (units[at] + number // _SIZES * step) % UNITS
        candidate = unit % 10 == 0
        yield RequestRecord(
            request_id=f"{APP}-{seed:x}{number:014x}",
            gateway_id=GATEWAY,
            app=APP,
            release_id=RELEASE,
            stage=position,
            route_revision=4,
            weight_percent=10.0,
            arm="candidate" if candidate else "stable",
            mirrored=False,
            variant_digest=DIGESTS[candidate],
            unit=unit,
            started_at=time.time(),
            status=200,
            outcome="answered",
            latency_ms=latencies[at],
            first_token_ms=None,
            input_tokens=412,
            output_tokens=96,
            cost_usd=0.00031,
            resolved_model="gpt-4o-2024-08-06",
            fingerprint=None,
            streamed=False,
            fell_back=False,
            finish_reason="stop",
            request_size=1312,
            api="chat",
            answer_size=402,
            checks=0,
        )


def fill(database: Database, size: int, now: float, days: int = 30) -> float:
    """Grow the log to so many rows: half in the stage, of the day so far, half in the days before it.

    Returns when the stage began. The stage's rows end at `now`, 5,000 a second. Rows are made by the database.
    """
    keep_days(database, now)
    began = now - size / 2 / 5000
    with database.begin() as session:
        _insert(session, size // 2, began, 1 / 5000, RELEASE)
    each = size // 2 // days
    for ago in range(1, days + 1):
        start = now // DAY_SECONDS * DAY_SECONDS - ago * DAY_SECONDS - DAY_SECONDS
        keep_days(database, start + DAY_SECONDS)
        with database.begin() as session:
            _insert(session, each, start, DAY_SECONDS / max(each, 1), None)
    return began


def _insert(session: Session, rows: int, start: float, every: float, release_id: str | None) -> None:
    columns = (
        "request_id, gateway_id, app, release_id, stage, route_revision, weight_percent, arm, mirrored, "
        "variant_digest, unit, started_at, status, outcome, latency_ms, input_tokens, output_tokens, cost_usd, "
        "resolved_model, streamed, fell_back, finish_reason, request_size, api, answer_size, checks"
    )
    values = (
        "SELECT :app || '-' || n || '-' || :began, :gateway, :app, :release, :stage, 4, :weight, "
        "CASE WHEN unit % 10 = 0 AND :weight > 0 THEN 'candidate' ELSE 'stable' END, false, "
        "CASE WHEN unit % 10 = 0 AND :weight > 0 THEN :candidate ELSE :stable END, unit, :began + n * :every, 200, "
        "'answered', 400 + 800 * random(), 412, 96, 0.00031, 'gpt-4o-2024-08-06', false, false, 'stop', 1312, 'chat', "
        "402, 0 FROM (SELECT n, (n * 7919 + 17) % :units AS unit FROM generate_series(0, :last) n) made"
    )
    given = {"app": APP, "gateway": GATEWAY, "release": release_id, "units": UNITS, "last": rows - 1}
    given |= {"stage": stage().position if release_id else 0, "weight": 10.0 if release_id else 0.0}
    given |= {"began": start, "every": every, "stable": DIGESTS[0], "candidate": DIGESTS[1]}
    kinds = {":app": "text", ":gateway": "text", ":release": "text", ":stable": "text", ":candidate": "text"}
    numbers = {":stage": "int", ":weight": "float8", ":began": "float8", ":every": "float8", ":units": "bigint"}
    for name, kind in {**kinds, **numbers, ":last": "bigint"}.items():
        values = values.replace(name, f"CAST({name} AS {kind})")
    session.connection().execute(text(f"INSERT INTO requests ({columns}) {values}"), given)


def beat(database: Database, until: float) -> None:
    """Say that the gateway's log is complete up to a moment."""
    with database.begin() as session:
        session.connection().execute(
            text(
                "INSERT INTO gateways (id, address, started_at, heard_at, complete_until, revisions) "
                "VALUES (:id, 'here', 0, :now, :until, '{}') "
                "ON CONFLICT (id) DO UPDATE SET heard_at = :now, complete_until = :until"
            ),
            {"id": GATEWAY, "now": utc_now().timestamp(), "until": until},
        )
