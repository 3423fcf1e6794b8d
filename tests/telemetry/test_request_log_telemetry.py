"""The request log as a source of metrics, with real rows."""

from typing import Any

import pytest
from sqlalchemy import text

from softlaunch.core.answer_checks import (
    BITS,
    FORM_UNKNOWN,
    MALFORMED_OUTPUT,
    OTHER_LANGUAGE,
    REFUSED,
    REPETITIVE,
    TRUNCATED,
)
from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.telemetry import TelemetryError
from softlaunch.store.database import Database
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.support.builders import APP, STABLE
from tests.telemetry.logged import SCOPE, T, go_on, log, read, request, told, values


def test_requests_fall_on_their_arms_with_every_metric(database: Database) -> None:
    """Units, errors, latency and cost of both arms, counted and told apart."""
    log(
        database,
        request(1, latency_ms=100.0, cost_usd=1e-5),
        request(2, "candidate", latency_ms=300.0, cost_usd=2e-5),
        request(3, "candidate", latency_ms=5.0, cost_usd=None, status=500, outcome="provider_failed"),
    )
    reading = read(database)
    (window,) = reading.windows
    assert window.candidate_share == 0.5
    assert sorted(window.candidate[Metric.ERRORS].units.tolist()) == [2, 3]
    assert values(window.candidate, Metric.ERRORS) == [0, 1]
    assert values(window.candidate, Metric.COST) == [2e-5]
    assert values(window.stable, Metric.LATENCY) == [100.0]
    assert (reading.requests, reading.exposed, reading.until, reading.problem) == (ByArm(2, 1), 2, T + 5, None)


def test_answers_of_the_candidates_fallback_models_are_counted(database: Database) -> None:
    """They are evidence of what users met, and none of its own model."""
    log(
        database,
        request(1, answered_by="spare"),
        request(2, "candidate", answered_by="spare"),
        request(3, "candidate"),
        request(4, "candidate", answered_by="spare", started_at=T - 1),
    )
    reading = read(database)
    assert (reading.requests, reading.exposed, reading.by_fallback) == (ByArm(2, 1), 2, 1)


@pytest.mark.parametrize(
    "elsewhere",
    [
        pytest.param({"app": "other"}, id="another app"),
        pytest.param({"release_id": f"{APP}-0"}, id="another release"),
        pytest.param({"release_id": None}, id="no release"),
        pytest.param({"stage": 2}, id="another stage"),
        pytest.param({"weight_percent": 0.0}, id="a gateway whose lease had run out"),
        pytest.param({"started_at": T - 0.001}, id="before the window"),
        pytest.param({"arm": "shadow"}, id="a copy"),
    ],
)
def test_only_what_belongs_to_the_stage_is_read(database: Database, elsewhere: dict[str, Any]) -> None:
    """Other traffic is no evidence."""
    log(database, request(1), request(2, **elsewhere))
    assert read(database).requests == ByArm(0, 1)


@pytest.mark.parametrize(
    ("outcome", "errors", "latencies", "costs"),
    [
        pytest.param("answered", [0], [700.0], [1e-5], id="a good answer"),
        pytest.param("provider_failed", [1], [], [1e-5], id="a failure isn't fast"),
        pytest.param("connect", [1], [], [1e-5], id="nor is a refused connection"),
        pytest.param("total_timeout", [1], [700.0], [1e-5], id="a timeout was slow"),
        pytest.param("client_gone", [], [700.0], [], id="a client that left is no error, and waited at least so long"),
    ],
)
def test_failures_count_where_they_tell_something(
    database: Database, outcome: str, errors: list[float], latencies: list[float], costs: list[float]
) -> None:
    """Each metric takes what is true of a request that ended badly."""
    log(database, request(1, "candidate", outcome=outcome, latency_ms=700.0))
    (window,) = read(database).windows
    seen = [values(window.candidate, metric) for metric in (Metric.ERRORS, Metric.LATENCY, Metric.COST)]
    assert seen == [errors, latencies, costs]


def test_a_request_that_stable_answered_in_the_end_counts_against_the_candidate(database: Database) -> None:
    """But no user saw the candidate's answer."""
    log(database, request(1, "candidate", outcome="provider_failed", fell_back=True), request(2, "candidate"))
    reading = read(database)
    assert values(reading.windows[0].candidate, Metric.ERRORS) == [0, 1]
    assert reading.exposed == 1


def test_what_the_other_arm_could_not_answer_either_is_the_clients_own_fault(database: Database) -> None:
    """One client that always sends nonsense is no harm on either arm; what the other could answer is."""
    wrong: dict[str, Any] = {"outcome": "request_at_fault", "status": 400}
    log(
        database,
        request(1, excused=True, **wrong),
        request(2, "candidate", excused=True, **wrong),
        request(3, "candidate", fell_back=True, **wrong),
        request(4, "candidate"),
        request(5, **wrong),
        request(6),
    )
    (window,) = read(database).windows
    assert values(window.stable, Metric.ERRORS) == [0, 1]
    assert values(window.candidate, Metric.ERRORS) == [0, 1]
    assert values(window.candidate, Metric.LATENCY) == [800.0]


def test_an_answer_that_serves_nobody_is_no_error_and_counts_among_the_answers_that_came(database: Database) -> None:
    """What failed, was at fault or left is no answer, so it can't be an unusable one."""
    became = ["answered", "truncated", "empty", "filtered", "invalid", "cut", "request_at_fault", "client_gone"]
    log(database, *(request(number, "candidate", outcome=outcome) for number, outcome in enumerate(became)))
    (window,) = read(database).windows
    assert values(window.candidate, Metric.UNUSABLE) == [0, 0, 1, 1, 1]
    assert values(window.candidate, Metric.ERRORS) == [0, 0, 0, 0, 0, 1, 1]
    assert values(window.stable, Metric.UNUSABLE) == []


def test_what_was_told_of_answers_is_read_bit_by_bit(database: Database) -> None:
    """Of answers that were checked: an older gateway told nothing, and of an unknown form nothing is known."""
    found = [0, REFUSED | TRUNCATED, FORM_UNKNOWN | REFUSED, MALFORMED_OUTPUT, OTHER_LANGUAGE | REPETITIVE, None]
    log(database, *(request(number, "candidate", checks=checks) for number, checks in enumerate(found)))
    (window,) = read(database).windows
    told = {metric: values(window.candidate, metric) for metric in BITS}
    assert told == {
        Metric.TRUNCATED: [0, 0, 0, 0, 1],
        Metric.REFUSED: [0, 0, 0, 1, 1],
        Metric.MALFORMED_OUTPUT: [0, 0, 0, 1],
        Metric.OTHER_LANGUAGE: [0, 0, 0, 0, 1],
        Metric.REPETITIVE: [0, 0, 0, 0, 1],
    }


def test_all_of_stables_last_minute_is_counted_by_outcome(database: Database) -> None:
    """Also of users who were compared before, and of copies; not the candidate's, nor what the client brought about."""
    log(
        database,
        request(1, started_at=T - 50, outcome="provider_failed"),
        request(1, started_at=T + 1, outcome="provider_failed"),
        request(2, started_at=T + 2),
        request(3, "control", mirrored=True, outcome="filtered"),
        request(4, started_at=T - 70, outcome="connect"),
        request(5, "candidate", outcome="cut"),
        request(6, outcome="client_gone"),
        request(7, outcome="request_at_fault"),
    )
    assert read(database).stable_lately == {"provider_failed": 2, "answered": 1, "filtered": 1}


def test_a_log_that_can_not_be_read_is_an_error_of_telemetry(database: Database) -> None:
    """The stage holds; the message says what failed and shows no statement."""
    log(database)
    with database.begin() as session:
        session.execute(text("DROP TABLE requests"))
    telemetry = RequestLogTelemetry(database)
    with pytest.raises(TelemetryError, match="the request log can't be read"):
        read(database)
    with pytest.raises(TelemetryError, match="the request log can't be read"):
        telemetry.history(APP, STABLE.digest, T)
    with pytest.raises(TelemetryError, match="the request log can't be read"):
        list(telemetry.read_again(SCOPE, T, T + 5))


def test_a_unit_is_evidence_once_a_stage(database: Database) -> None:
    """Users resemble themselves: who was compared already isn't again, not in a later window, not in a later look."""
    log(
        database,
        request(1, unit=7, latency_ms=100.0, started_at=T + 1),
        request(2, unit=7, latency_ms=200.0, started_at=T + 2),
        request(3, unit=7, latency_ms=900.0, started_at=T + 15),
        request(4, unit=8, latency_ms=300.0, started_at=T + 16),
        request(5, "candidate", unit=9, latency_ms=400.0, started_at=T + 16),
        request(6, unit=7, latency_ms=900.0, started_at=T + 31),
        request(7, unit=10, latency_ms=500.0, started_at=T + 31),
        complete_until=T + 30,
        heard_at=T + 30,
    )
    first = read(database, now=T + 30)
    assert [values(window.stable, Metric.LATENCY) for window in first.windows] == [[100.0, 200.0], [300.0]]
    assert [window.split for window in first.windows] == [ByArm(0, 1), ByArm(1, 1)]
    assert first.requests == ByArm(1, 4)
    go_on(database, T + 40)
    second = read(database, after=first.until, now=T + 40)
    assert [values(window.stable, Metric.LATENCY) for window in second.windows] == [[500.0]]
    assert second.requests == ByArm(0, 2)


def test_a_unit_whose_candidate_was_not_allowed_is_new_when_it_is(database: Database) -> None:
    """What a gateway without a lease served was no comparison, so it uses no unit up."""
    log(
        database,
        request(1, unit=7, weight_percent=0.0, started_at=T - 5),
        request(2, unit=7, latency_ms=100.0, started_at=T + 1),
    )
    assert values(read(database).windows[0].stable, Metric.LATENCY) == [100.0]


def test_windows_hold_everything_that_users_did(database: Database) -> None:
    """Also of those who were seen before, whether in this reading or in an earlier one, and where nobody is new."""
    log(
        database,
        request(1, unit=7, latency_ms=100.0, started_at=T + 1),
        request(2, "candidate", unit=9, latency_ms=200.0, started_at=T + 2, outcome="provider_failed"),
        request(3, unit=7, latency_ms=300.0, started_at=T + 15),
        request(4, "candidate", unit=9, latency_ms=400.0, started_at=T + 31),
        complete_until=T + 30,
        heard_at=T + 30,
    )
    first, later = read(database, now=T + 30).windows
    assert told(first.requests, Metric.LATENCY) == [(T + 1, 7, "stable", 100.0)]
    assert told(first.requests, Metric.ERRORS) == [(T + 1, 7, "stable", 0.0), (T + 2, 9, "candidate", 1.0)]
    assert told(later.requests, Metric.LATENCY) == [(T + 15, 7, "stable", 300.0)]
    assert (values(later.stable, Metric.LATENCY), later.split) == ([], ByArm(0, 0))
    go_on(database, T + 40)
    (again,) = read(database, after=T + 30, now=T + 40).windows
    assert told(again.requests, Metric.LATENCY) == [(T + 31, 9, "candidate", 400.0)]
    assert values(again.candidate, Metric.LATENCY) == []
