"""Plans of gates that are adjusted for what was asked: measured visits are drawn as the gates will see them."""

from typing import Any

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.gate_paths import SampledPaths
from softlaunch.forecast.measuring import TrafficSource
from softlaunch.forecast.outlook import Planner
from softlaunch.forecast.plans import GatePlan, ReleasePlan
from softlaunch.forecast.stated import Stated
from softlaunch.forecast.traffic import Traffic
from softlaunch.gates.observations import Floats
from softlaunch.policy.model import Policy
from softlaunch.store.database import Database
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.support.builders import APP, NOON, STABLE, make_policy, record_app, request_row

NOW = NOON.timestamp()


def policy(*adjust_for: str) -> Policy:
    """Gates on errors and latency, at 10 % and at 100 %."""
    gates = [
        {"metric": "errors", "margin": "5 points"},
        {"metric": "latency", "margin": "10 %", "adjust_for": adjust_for},
    ]
    return make_policy(shadow=None, gates=gates, stages=[{"weight_percent": 10}, {"weight_percent": 100}])


@pytest.fixture
def asked(database: Database, request: pytest.FixtureRequest) -> Database:
    """A log of 1,500 requests whose sizes explain nearly all of their latencies, of so many users."""
    users, rng = request.param, np.random.default_rng(3)
    scale = rng.normal(size=1500)
    record_app(database)
    with database.begin() as session:
        session.add_all(
            request_row(
                request_id=f"{APP}-{number}",
                release_id=None,
                weight_percent=0.0,
                unit=number % users,
                started_at=NOW - 3000 + 2 * number,
                latency_ms=float(np.exp(6 + scale[number] + 0.2 * rng.normal())),
                request_size=round(np.exp(6 + scale[number])),
            )
            for number in range(1500)
        )
    return database


def traffic(database: Database, wanted: Policy, **stated: Any) -> Traffic:
    """What is measured for a policy."""
    telemetry = RequestLogTelemetry(database)
    return TrafficSource(database, telemetry, APP, STABLE.digest, NOW).measure(Stated(**stated), wanted.gates)


def latency_at(plan: ReleasePlan, stage: int) -> GatePlan:
    """What is foreseen of the gate on latency."""
    return next(gate for gate in plan.stages[stage].gates if gate.metric is Metric.LATENCY)


@pytest.mark.parametrize(
    "asked", [pytest.param(10_000, id="who pass by"), pytest.param(300, id="who come back")], indirect=True
)
def test_visits_are_seen_beside_the_sizes_of_what_was_asked(asked: Database) -> None:
    """Where arms are split; copies, which aren't adjusted, are what they are."""
    plain, adjusted = (traffic(asked, one) for one in (policy(), policy("request_size")))
    spread = [np.log(one.first_visits(Metric.LATENCY).means(_column(one)))[:, 0].std() for one in (plain, adjusted)]
    assert spread[1] < 0.5 * spread[0]
    assert adjusted.stable[Metric.LATENCY].values.tolist() == plain.stable[Metric.LATENCY].values.tolist()
    assert adjusted.habits == plain.habits


def _column(known: Traffic) -> Floats:
    return known.first_visits(Metric.LATENCY).values[:, None]


@pytest.mark.long
@pytest.mark.parametrize("asked", [300], indirect=True)
def test_what_sizes_foretell_is_foreseen(asked: Database) -> None:
    """A smaller harm is caught, and a fine candidate passes sooner, where arms are split."""
    plain, adjusted = (
        Planner(one, traffic(asked, one), sampled=SampledPaths(paths=50)).plan()
        for one in (policy(), policy("request_size"))
    )
    before, after = latency_at(plain, 0).catches_80, latency_at(adjusted, 0).catches_80
    assert before is not None
    assert after is not None
    assert after.harm < before.harm
    assert latency_at(adjusted, 0).requests_median < 0.7 * latency_at(plain, 0).requests_median
    assert latency_at(adjusted, 1) == latency_at(plain, 1)


@pytest.mark.parametrize("asked", [300], indirect=True)
def test_what_is_stated_has_no_sizes(asked: Database) -> None:
    """Whoever says how long answers take, or how users come, plans with that; and a unit's own past isn't foreseen."""
    wanted = policy("request_size")
    assert Metric.LATENCY in traffic(asked, wanted).visits
    stated = {Metric.LATENCY: np.full(100, 800.0)}
    for told in ({"levels": stated}, {"requests_per_user": 2.0}, {"user_correlation": 0.2}):
        plain, adjusted = (traffic(asked, one, **told).first_visits(Metric.LATENCY) for one in (policy(), wanted))
        assert adjusted.values.tolist() == plain.values.tolist()
    past = traffic(asked, policy("own_past")).first_visits(Metric.LATENCY)
    assert past.values.tolist() == traffic(asked, policy()).first_visits(Metric.LATENCY).values.tolist()
