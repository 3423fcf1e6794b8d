"""Copies of requests beside the requests that they are copies of."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlmodel import SQLModel

from softlaunch.core.answer_checks import REFUSED
from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.telemetry import Scope
from softlaunch.policy.release import topline_plan
from softlaunch.store.database import Database
from softlaunch.store.tables import GatewayRow
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.support.builders import APP, make_policy
from tests.telemetry.logged import (
    ALL,
    SHADOW,
    T,
    log,
    read,
    request,
    values,
)

TOPLINE = topline_plan(make_policy(topline={}))[1]


def pair(number: int, copied_to: str, stage: int, user: dict[str, Any], copy: dict[str, Any]) -> Sequence[SQLModel]:
    """A user's request and its copy, half a second later."""
    shown = "stable" if copied_to == "shadow" else "candidate"
    common = {"stage": stage, "weight_percent": 100.0 if copied_to == "control" else 0.0}
    return [
        request(number, shown, **common, **user),
        request(number, copied_to, mirrored=True, **common, **{"started_at": T + 1.5, **copy}),
    ]


def test_a_pair_tells_of_unusable_answers_on_either_side(database: Database) -> None:
    """A copy that is filtered where its user was answered."""
    log(database, *pair(1, "shadow", 1, {}, {"outcome": "filtered"}), *pair(2, "shadow", 1, {"outcome": "empty"}, {}))
    (window,) = read(database, SHADOW).windows
    assert (values(window.stable, Metric.UNUSABLE), values(window.candidate, Metric.UNUSABLE)) == ([0, 1], [0, 1])


def test_a_pair_tells_what_checks_found_on_either_side(database: Database) -> None:
    """The copy refuses what its user was answered."""
    log(database, *pair(1, "shadow", 1, {"checks": 0}, {"checks": REFUSED}))
    (window,) = read(database, SHADOW).windows
    assert (values(window.stable, Metric.REFUSED), values(window.candidate, Metric.REFUSED)) == ([0], [1])


@pytest.mark.parametrize(
    ("copied_to", "stage", "scope", "by_fallback"),
    [
        pytest.param("shadow", 1, SHADOW, 1, id="the candidate's copy in the shadow"),
        pytest.param("control", 4, ALL, 0, id="stable's copy at 100 %"),
    ],
)
def test_a_copy_may_be_answered_by_a_fallback_model(
    database: Database, copied_to: str, stage: int, scope: Any, by_fallback: int
) -> None:
    """Only the candidate's own model has to be seen."""
    log(database, *pair(1, copied_to, stage, {}, {"answered_by": "spare"}), *pair(2, copied_to, stage, {}, {}))
    reading = read(database, scope)
    assert (reading.requests, reading.by_fallback) == (ByArm(2, 2), by_fallback)


@pytest.mark.parametrize(
    ("user", "copy", "stable", "candidate"),
    [
        pytest.param("request_at_fault", "request_at_fault", [], [], id="both refused it"),
        pytest.param("answered", "request_at_fault", [0], [1], id="only the candidate refused it"),
        pytest.param("request_at_fault", "answered", [1], [0], id="only stable refused it"),
        pytest.param("provider_failed", "provider_failed", [1], [1], id="both broke"),
    ],
)
def test_a_pair_tells_whose_fault_a_refusal_was(
    database: Database, user: str, copy: str, stable: list[float], candidate: list[float]
) -> None:
    """The same request was put to both."""
    log(database, *pair(1, "shadow", 1, {"outcome": user}, {"outcome": copy}))
    (window,) = read(database, SHADOW).windows
    assert (values(window.stable, Metric.ERRORS), values(window.candidate, Metric.ERRORS)) == (stable, candidate)


@pytest.mark.parametrize(
    ("stage", "copied_to", "exposed"),
    [pytest.param(SHADOW, "shadow", 0, id="shadow"), pytest.param(ALL, "control", 2, id="100 %")],
)
def test_copies_are_compared_with_the_requests_they_are_copies_of(
    database: Database, stage: Any, copied_to: str, exposed: int
) -> None:
    """What wasn't copied is left out: each side has the same requests."""
    shown = "stable" if copied_to == "shadow" else "candidate"
    log(
        database,
        *pair(1, copied_to, stage.position, {"latency_ms": 100.0}, {"latency_ms": 200.0}),
        request(2, shown, stage=stage.position, weight_percent=stage.weight_percent),
        *pair(3, copied_to, stage.position + 7, {}, {}),
    )
    reading = read(database, stage)
    (window,) = reading.windows
    user, copy = (window.stable, window.candidate) if shown == "stable" else (window.candidate, window.stable)
    assert (values(user, Metric.LATENCY), values(copy, Metric.LATENCY)) == ([100.0], [200.0])
    assert (window.candidate_share, reading.requests, reading.exposed) == (0.5, ByArm(1, 1), exposed)


@pytest.mark.parametrize(
    ("user", "copy", "candidate", "stable"),
    [
        pytest.param("provider_failed", "answered", [1], [0], id="what was promoted fails"),
        pytest.param("answered", "provider_failed", [0], [1], id="what served before fails"),
        pytest.param("request_at_fault", "answered", [1], [0], id="only what was promoted refuses it"),
        pytest.param("request_at_fault", "request_at_fault", [], [], id="both refuse it"),
    ],
)
def test_after_a_promotion_users_are_on_the_candidates_side(
    database: Database, user: str, copy: str, candidate: list[float], stable: list[float]
) -> None:
    """The route has what was promoted as stable, and its copies go to what served before; the pair says whose fault."""
    alone = {"outcome": user, "excused": user == "request_at_fault"}  # no other arm was asked
    log(database, *pair(1, "shadow", TOPLINE.position, alone, {"outcome": copy}))
    reading = read(database, TOPLINE)
    (window,) = reading.windows
    assert (values(window.candidate, Metric.ERRORS), values(window.stable, Metric.ERRORS)) == (candidate, stable)
    assert (window.candidate_share, reading.requests, reading.exposed) == (0.5, ByArm(1, 1), 1)


def test_a_pair_is_not_torn_apart_by_a_windows_edge(database: Database) -> None:
    """Both sides are read when the copy is due."""
    log(database, *pair(1, "shadow", 1, {"started_at": T + 2.8}, {"started_at": T + 3.2}), complete_until=T + 3)
    assert read(database, SHADOW).requests == ByArm(0, 0)
    with database.begin() as session:
        session.get_one(GatewayRow, "gateway-1").complete_until = T + 4
    assert read(database, SHADOW, after=T + 3).requests == ByArm(1, 1)


def test_a_pair_stays_together_when_missed_time_is_judged_in_pieces(database: Database) -> None:
    """User's request and copy fall on either side of ten seconds, and into one window nevertheless."""
    log(
        database,
        *pair(1, "shadow", 1, {"started_at": T + 9.8}, {"started_at": T + 10.2}),
        complete_until=T + 30,
        heard_at=T + 30,
    )
    windows = read(database, SHADOW, now=T + 30).windows
    assert [(len(window.candidate[Metric.ERRORS]), len(window.stable[Metric.ERRORS])) for window in windows] == [
        (0, 0),
        (1, 1),
    ]


@pytest.mark.parametrize(
    ("copy_ms", "compared"),
    [
        pytest.param(900.0, 400.0, id="a copy slower than the user's patience"),
        pytest.param(300.0, 300.0, id="a copy within it"),
    ],
)
def test_a_users_patience_cuts_both_sides_of_a_pair(database: Database, copy_ms: float, compared: float) -> None:
    """Otherwise whichever side nobody waits for would look slower."""
    user = {"latency_ms": 400.0, "outcome": "client_gone", "status": 499}
    log(database, *pair(1, "shadow", 1, user, {"latency_ms": copy_ms}))
    (window,) = read(database, SHADOW).windows
    assert values(window.stable, Metric.LATENCY) == [400.0]
    assert values(window.candidate, Metric.LATENCY) == [compared]
    for arm in (window.stable, window.candidate):
        assert values(arm, Metric.ERRORS) == values(arm, Metric.COST) == []


def test_copies_have_no_split_to_check(database: Database) -> None:
    """Both arms answer the same requests there."""
    log(database, *pair(1, "shadow", SHADOW.position, {}, {}))
    assert [window.split for window in read(database, SHADOW).windows] == [None]
    assert [window.requests for window in read(database, SHADOW).windows] == [None]


def test_copies_are_not_read_again(database: Database) -> None:
    """No user comes back to what nobody saw."""
    log(database, *pair(1, "shadow", SHADOW.position, {}, {}))
    assert list(RequestLogTelemetry(database).read_again(Scope(APP, f"{APP}-1", SHADOW), T, T + 5)) == []
