"""The request log as a source of metrics, with real rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from sqlmodel import SQLModel

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Events, Observations, Window
from softlaunch.gates.telemetry import Reading, Scope, TelemetryError
from softlaunch.policy.gating import Adjustment
from softlaunch.policy.release import plan
from softlaunch.store.database import Database
from softlaunch.store.tables import DropRow, FeedbackRow, GatewayRow, ScoreRow
from softlaunch.telemetry.queries import ratings
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, make_policy, record_app, request_row

T = NOON.timestamp()
SHADOW, FIRST, HALF, ALL = plan(make_policy())[1:]
SCOPE = Scope(APP, f"{APP}-1", HALF)


def log(database: Database, *rows: SQLModel, complete_until: float = T + 5, heard_at: float = T + 5) -> None:
    """An app, its log's rows, and a gateway that says how far the log is complete."""
    record_app(database)
    with database.begin() as session:
        session.add_all(rows)
        session.add(gateway("gateway-1", complete_until, heard_at))


def gateway(name: str, complete_until: float, heard_at: float) -> GatewayRow:
    """A gateway's sign of life."""
    times: dict[str, Any] = {"started_at": T - 60, "heard_at": heard_at, "complete_until": complete_until}
    return GatewayRow(id=name, address="127.0.0.1:1", revisions={}, **times)


def request(number: int, arm: str = "stable", **columns: Any) -> SQLModel:
    """A request at 50 % of a unit of its own, one second in."""
    named = {"request_id": f"{APP}-{number}", "arm": arm, "unit": number, "started_at": T + 1}
    return request_row(**{**named, **columns})


def pair(number: int, copied_to: str, stage: int, user: dict[str, Any], copy: dict[str, Any]) -> Sequence[SQLModel]:
    """A user's request and its copy, half a second later."""
    shown = "stable" if copied_to == "shadow" else "candidate"
    common = {"stage": stage, "weight_percent": 100.0 if copied_to == "control" else 0.0}
    return [
        request(number, shown, **common, **user),
        request(number, copied_to, mirrored=True, **common, **{"started_at": T + 1.5, **copy}),
    ]


def rating(number: int, satisfaction: float, received_at: float, kind: str = "thumbs") -> FeedbackRow:
    """A user's rating of a request."""
    return FeedbackRow(
        request_id=f"{APP}-{number}", app=APP, satisfaction=satisfaction, kind=kind, received_at=received_at
    )


def score(number: int, metric: str, value: float, received_at: float = T + 1, source: str = "judge") -> ScoreRow:
    """A score of request `number`'s answer."""
    return ScoreRow(
        request_id=f"{APP}-{number}", app=APP, metric=metric, value=value, source=source, received_at=received_at
    )


def go_on(database: Database, until: float) -> None:
    """The gateway has written its log up to a later moment."""
    with database.begin() as session:
        row = session.get_one(GatewayRow, "gateway-1")
        row.complete_until = row.heard_at = until


def read(database: Database, stage: Any = HALF, after: float = T, now: float = T + 5) -> Reading:
    """What the log says of a stage of the first release."""
    return RequestLogTelemetry(database).read(Scope(APP, f"{APP}-1", stage), after, now)


def values(arm: Any, metric: Metric) -> list[float]:
    """The values of one metric, sorted."""
    seen: Observations | None = arm.get(metric)
    return [] if seen is None else sorted(seen.values.tolist())


def told(events: Events | None, metric: Metric) -> list[tuple[float, int, str, float]]:
    """Time, unit, arm and value of everything in which a metric was measured."""
    assert events is not None
    arms = np.where(events.candidate, "candidate", "stable").tolist()
    seen = zip(events.at.tolist(), events.units.tolist(), arms, events.values[metric].tolist(), strict=True)
    return [one for one in seen if not np.isnan(one[-1])]


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
    assert (reading.requests, reading.exposed, reading.until, reading.problem) == ((2, 1), 2, T + 5, None)


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
    assert read(database).requests == (0, 1)


def test_nothing_is_read_beyond_the_watermark(database: Database) -> None:
    """What began later may have slower neighbours that aren't logged yet; the next reading begins just there."""
    log(database, request(1, started_at=T + 2.9), request(2, started_at=T + 3), complete_until=T + 3)
    first = read(database)
    assert (first.requests, first.until) == ((0, 1), T + 3)
    second = read(database, after=first.until)
    assert (second.requests, second.until) == ((0, 0), T + 3)


def test_the_slowest_live_gateway_sets_the_watermark(database: Database) -> None:
    """One that hasn't been heard for 5 s is taken for dead and holds nobody up."""
    log(database, request(1, started_at=T + 2), complete_until=T + 4)
    with database.begin() as session:
        session.add_all([gateway("slow", T + 3, T + 5), gateway("dead", T + 1, T - 1)])
    assert read(database).until == T + 3


def test_consecutive_readings_count_every_request_once(database: Database) -> None:
    """However the time is cut, nothing is lost or read twice."""
    log(database, *(request(number, started_at=T + number / 10) for number in range(40)))
    until, counted = T, 0
    for complete in (T + 0.35, T + 1.1, T + 1.1, T + 4):
        with database.begin() as session:
            session.get_one(GatewayRow, "gateway-1").complete_until = complete
        reading = read(database, after=until)
        until, counted = reading.until, counted + sum(reading.requests)
    assert counted == 40


def test_a_watermark_that_went_back_reads_nothing_again(database: Database) -> None:
    """A gateway that comes late doesn't make the past count twice."""
    log(database, request(1), complete_until=T + 2)
    reading = read(database, after=T + 4)
    assert (reading.until, reading.requests) == (T + 4, (0, 0))


def test_without_a_gateway_to_hear_the_reading_says_so(database: Database) -> None:
    """That is a problem, and not a window without requests."""
    log(database, request(1), heard_at=T - 1)
    reading = read(database)
    assert (reading.problem, reading.windows, reading.until) == ("no gateway has been heard for 5 s", (), T)


def test_a_gateway_that_died_before_the_clock_was_set_back_is_not_heard(database: Database) -> None:
    """Its last sign of life lies in the future: it must not hold up what the living ones have written."""
    log(database, request(1), heard_at=T + 3600)
    assert read(database).problem == "no gateway has been heard for 5 s"


def test_a_gateway_that_started_after_its_clock_was_set_back_blinds(database: Database) -> None:
    """What it logs lies before what was read already, and would never be seen: the stage holds, and doesn't beat."""
    log(database, request(1), complete_until=T - 3600)
    reading = read(database)
    assert reading.problem is not None
    assert "a gateway's clock is 3600 s behind what was read already" in reading.problem
    assert (reading.windows, reading.until) == ((), T)


def test_time_that_was_missed_is_judged_in_pieces(database: Database) -> None:
    """A driver that catches up compares requests of the same ten seconds with each other."""
    log(
        database,
        *(request(number, started_at=T + 4 * number) for number in range(10)),
        complete_until=T + 60,
        heard_at=T + 60,
    )
    reading = read(database, now=T + 60)
    assert [len(window.stable[Metric.ERRORS]) for window in reading.windows] == [3, 2, 3, 2]
    assert reading.requests == (0, 10)


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


def test_a_pair_tells_of_unusable_answers_on_either_side(database: Database) -> None:
    """A copy that is filtered where its user was answered."""
    log(database, *pair(1, "shadow", 1, {}, {"outcome": "filtered"}), *pair(2, "shadow", 1, {"outcome": "empty"}, {}))
    (window,) = read(database, SHADOW).windows
    assert (values(window.stable, Metric.UNUSABLE), values(window.candidate, Metric.UNUSABLE)) == ([0, 1], [0, 1])


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
    assert (window.candidate_share, reading.requests, reading.exposed) == (0.5, (1, 1), exposed)


def test_a_pair_is_not_torn_apart_by_a_windows_edge(database: Database) -> None:
    """Both sides are read when the copy is due."""
    log(database, *pair(1, "shadow", 1, {"started_at": T + 2.8}, {"started_at": T + 3.2}), complete_until=T + 3)
    assert read(database, SHADOW).requests == (0, 0)
    with database.begin() as session:
        session.get_one(GatewayRow, "gateway-1").complete_until = T + 4
    assert read(database, SHADOW, after=T + 3).requests == (1, 1)


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


def test_ratings_count_when_they_arrive(database: Database) -> None:
    """Late ones too: the request may be long past. The last two seconds may still be on their way to the log.

    Who has rated in this stage already is not heard again.
    """
    log(
        database,
        request(1, started_at=T - 500),
        request(2, "candidate"),
        request(3, "candidate", fell_back=True, outcome="total_timeout"),
        request(4, "candidate"),
        rating(1, 1.0, T + 1),
        rating(2, 0.25, T + 2.9),
        rating(3, 0.0, T + 2),
        rating(2, 0.75, T + 3.1, "stars"),
        rating(4, 0.5, T + 3.1),
    )
    first = read(database)
    go_on(database, T + 8)
    second = read(database, after=first.until, now=T + 8)
    assert values(first.windows[0].stable, Metric.SATISFACTION) == [1.0]
    assert values(first.windows[0].candidate, Metric.SATISFACTION) == [0.25]
    assert values(second.windows[0].candidate, Metric.SATISFACTION) == [0.5]


def test_scores_are_read_by_their_metric(database: Database) -> None:
    """Judged quality and hallucination; other scores are nobody's gate."""
    log(
        database,
        request(1),
        request(2, "candidate"),
        score(1, "quality", 0.9),
        score(2, "quality", 0.4),
        score(2, "hallucination", 1.0),
        score(2, "politeness", 0.1),
    )
    (window,) = read(database).windows
    assert values(window.stable, Metric.QUALITY) == [0.9]
    assert values(window.candidate, Metric.QUALITY) == [0.4]
    assert values(window.candidate, Metric.HALLUCINATION) == [1.0]


def test_requests_that_could_not_be_logged_are_counted(database: Database) -> None:
    """By the time they were noted, for this app, over all gateways."""
    drops = [("gateway-1", APP, 3, T + 1), ("gateway-2", APP, 4, T + 2), ("gateway-1", "other", 50, T + 1)]
    late = ("gateway-1", APP, 100, T + 5)
    log(
        database,
        *(DropRow(gateway_id=name, app=app, count=count, noted_at=at) for name, app, count, at in [*drops, late]),
    )
    assert read(database).dropped == 7


def test_history_is_what_stable_did_before(database: Database) -> None:
    """Of any release or none, of this variant alone, in the order in which it was logged."""
    log(
        database,
        request(1, started_at=T - 20, latency_ms=1.0, release_id=None, stage=0, weight_percent=0.0),
        request(2, started_at=T - 10, latency_ms=2.0),
        request(3, started_at=T + 1, latency_ms=3.0),
        request(4, "candidate", started_at=T - 10),
        request(5, started_at=T - 10, variant_digest=CANDIDATE.digest),
        request(6, started_at=T - 10, app="other"),
        rating(1, 0.75, T - 1),
        rating(2, 0.5, T + 1),
        score(2, "quality", 0.25, T - 3),
    )
    window = RequestLogTelemetry(database).history(APP, STABLE.digest, T)
    assert window.stable[Metric.LATENCY].values.tolist() == [1.0, 2.0]
    assert values(window.stable, Metric.SATISFACTION) == [0.75]
    assert window.candidate == {}


def test_history_tells_when_users_came_and_what_they_said(database: Database) -> None:
    """All of it is stable's, in order of time."""
    log(
        database,
        request(1, started_at=T - 10, latency_ms=2.0),
        request(2, started_at=T - 20, latency_ms=1.0, cost_usd=None),
        rating(1, 0.75, T - 1),
        rating(2, 0.5, T - 4),
        score(2, "quality", 0.25, T - 3),
        score(2, "politeness", 1.0, T - 3),
    )
    window = RequestLogTelemetry(database).history(APP, STABLE.digest, T)
    assert told(window.requests, Metric.LATENCY) == [(T - 20, 2, "stable", 1.0), (T - 10, 1, "stable", 2.0)]
    assert told(window.requests, Metric.COST) == [(T - 10, 1, "stable", 1e-5)]
    assert set(window.ratings) == {Metric.SATISFACTION, Metric.QUALITY}
    assert [unit for _, unit, _, _ in told(window.ratings[Metric.SATISFACTION], Metric.SATISFACTION)] == [2, 1]
    assert [value for *_, value in told(window.ratings[Metric.QUALITY], Metric.QUALITY)] == [0.25]


def test_events_tell_what_was_known_before_the_answer(database: Database) -> None:
    """A request's size, unknown where an older gateway served, and whether it was streamed: live, again and before."""
    log(
        database,
        request(1, started_at=T - 1, request_size=900, streamed=True),
        request(2, started_at=T + 1),
        request(3, "candidate", started_at=T + 2, request_size=0, streamed=True),
    )
    telemetry = RequestLogTelemetry(database)
    (live,), (again,) = read(database).windows, telemetry.read_again(SCOPE, T, T + 5)
    for window, size, streamed in (
        (live, [np.nan, 0.0], [0.0, 1.0]),
        (again, [np.nan, 0.0], [0.0, 1.0]),
        (telemetry.history(APP, STABLE.digest, T), [900.0], [1.0]),
    ):
        assert window.requests is not None
        np.testing.assert_equal(window.requests.covariates[Adjustment.REQUEST_SIZE], size)
        assert window.requests.covariates[Adjustment.STREAMED].tolist() == streamed


def test_of_a_long_history_the_newest_is_read(database: Database) -> None:
    """As many requests as are wanted."""
    log(database, *(request(number, started_at=T - 10 + number) for number in range(5)))
    window = RequestLogTelemetry(database).history(APP, STABLE.digest, T, 2)
    assert [unit for _, unit, _, _ in told(window.requests, Metric.LATENCY)] == [3, 4]


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
    assert [window.split for window in first.windows] == [(0, 1), (1, 1)]
    assert first.requests == (1, 4)
    go_on(database, T + 40)
    second = read(database, after=first.until, now=T + 40)
    assert [values(window.stable, Metric.LATENCY) for window in second.windows] == [[500.0]]
    assert second.requests == (0, 2)


def test_a_unit_whose_candidate_was_not_allowed_is_new_when_it_is(database: Database) -> None:
    """What a gateway without a lease served was no comparison, so it uses no unit up."""
    log(
        database,
        request(1, unit=7, weight_percent=0.0, started_at=T - 5),
        request(2, unit=7, latency_ms=100.0, started_at=T + 1),
    )
    assert values(read(database).windows[0].stable, Metric.LATENCY) == [100.0]


def test_copies_have_no_split_to_check(database: Database) -> None:
    """Both arms answer the same requests there."""
    log(database, *pair(1, "shadow", SHADOW.position, {}, {}))
    assert [window.split for window in read(database, SHADOW).windows] == [None]
    assert [window.requests for window in read(database, SHADOW).windows] == [None]


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
    assert (values(later.stable, Metric.LATENCY), later.split) == ([], (0, 0))
    go_on(database, T + 40)
    (again,) = read(database, after=T + 30, now=T + 40).windows
    assert told(again.requests, Metric.LATENCY) == [(T + 31, 9, "candidate", 400.0)]
    assert values(again.candidate, Metric.LATENCY) == []


def test_windows_say_how_far_they_are_complete(database: Database) -> None:
    """Up to where the next one begins, and the last one as far as the reading."""
    log(
        database,
        *(request(number, started_at=T + at) for number, at in enumerate([3, 12, 47])),
        complete_until=T + 55,
        heard_at=T + 55,
    )
    reading = read(database, now=T + 55)
    assert [window.until - T for window in reading.windows] == [10, 40, 55]
    assert reading.until == T + 55


def test_a_reading_without_requests_says_how_far_it_is_complete(database: Database) -> None:
    """Time alone ends visits."""
    log(database)
    (window,) = read(database).windows
    assert (window.until, told(window.requests, Metric.ERRORS), dict(window.ratings)) == (T + 5, [], {})


def test_windows_hold_everything_that_users_and_judges_said(database: Database) -> None:
    """Also of those who were heard before. It counts two seconds after it arrived, when none can be missing."""
    log(
        database,
        request(1, unit=7, started_at=T - 500),
        request(2, unit=7),
        request(3, "candidate"),
        request(4, "candidate", fell_back=True, outcome="total_timeout"),
        rating(1, 1.0, T + 1),
        rating(2, 0.0, T + 14),
        rating(3, 0.5, T + 14.5),
        rating(4, 0.0, T + 1),
        score(3, "quality", 0.4, T + 1),
        score(3, "quality", 0.6, T + 29, "second judge"),
        score(3, "politeness", 0.1, T + 1),
        complete_until=T + 30,
        heard_at=T + 30,
    )
    first, later = read(database, now=T + 30).windows
    assert set(first.ratings) == {Metric.SATISFACTION, Metric.QUALITY}
    assert told(first.ratings[Metric.SATISFACTION], Metric.SATISFACTION) == [(T + 3, 7, "stable", 1.0)]
    assert told(later.ratings[Metric.SATISFACTION], Metric.SATISFACTION) == [
        (T + 16, 7, "stable", 0.0),
        (T + 16.5, 3, "candidate", 0.5),
    ]
    assert told(first.ratings[Metric.QUALITY], Metric.QUALITY) == [(T + 3, 3, "candidate", 0.4)]
    assert [later.until, len(later.ratings[Metric.QUALITY])] == [T + 30, 0]
    go_on(database, T + 40)
    (again,) = read(database, after=T + 30, now=T + 40).windows
    assert told(again.ratings[Metric.QUALITY], Metric.QUALITY) == [(T + 31, 3, "candidate", 0.6)]
    assert values(again.candidate, Metric.QUALITY) == []


def test_what_is_said_of_answers_outside_of_the_split_is_not_heard(database: Database) -> None:
    """A gateway whose lease had run out gave everybody stable's answers; who rated one of those is new afterwards."""
    log(
        database,
        request(1, unit=7, weight_percent=0.0, started_at=T - 5),
        request(2, unit=7),
        rating(1, 1.0, T - 4),
        rating(2, 0.5, T + 1),
    )
    assert values(read(database, after=T - 6).windows[0].stable, Metric.SATISFACTION) == [0.5]
    (window,) = read(database).windows
    assert values(window.stable, Metric.SATISFACTION) == [0.5]


def everything(windows: Sequence[Window]) -> dict[Metric, list[tuple[float, int, str, float]]]:
    """What users did and what was said, in order, however it is cut."""
    return {
        metric: [
            one
            for window in windows
            for events in (window.requests, *window.ratings.values())
            if events is not None and metric in events.values
            for one in told(events, metric)
        ]
        for metric in (Metric.LATENCY, Metric.ERRORS, Metric.SATISFACTION, Metric.QUALITY)
    }


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_what_was_read_can_be_read_again_in_pieces(
    database: Database, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """It is the same in the same order, whatever a piece may hold; what happened at one moment stays together."""
    monkeypatch.setattr("softlaunch.telemetry.again.PIECE_ROWS", most)
    moments = [0.0, 0.5, 0.5, 0.5, 0.5, 3.0, 11.0, 12.0, 30.0, 41.0]
    log(
        database,
        *(
            request(n, "candidate" if n % 3 else "stable", unit=n % 4, started_at=T + at)
            for n, at in enumerate(moments)
        ),
        request(20, weight_percent=0.0),
        request(21, stage=1),
        *(rating(n, 0.25 * (n % 5), T + 5 + n) for n in range(8)),
        *(score(n, "quality", 0.5, T + 9) for n in range(5)),
        complete_until=T + 40,
        heard_at=T + 40,
    )
    read_once = [window for part in (T, T + 40) for window in read(database, after=part, now=T + 40).windows]
    again = list(RequestLogTelemetry(database).read_again(SCOPE, T, T + 40))
    assert everything(again) == everything(read_once)
    assert [len(everything(again)[metric]) for metric in (Metric.LATENCY, Metric.SATISFACTION)] == [9, 8]
    assert all(window.candidate == {} for window in again)
    assert again[-1].until == T + 40
    pieces = [[at for at, *_ in told(window.requests, Metric.ERRORS)] for window in again]
    assert max(len(piece) for piece in pieces) <= max(most, 4)
    assert all(early.until <= min(late, default=np.inf) for early, late in zip(again, pieces[1:], strict=False))
    some = list(RequestLogTelemetry(database).read_again(SCOPE, T + 3, T + 12))
    assert [at - T for at, *_ in everything(some)[Metric.LATENCY]] == [3.0, 11.0]


def test_copies_are_not_read_again(database: Database) -> None:
    """No user comes back to what nobody saw."""
    log(database, *pair(1, "shadow", SHADOW.position, {}, {}))
    assert list(RequestLogTelemetry(database).read_again(Scope(APP, f"{APP}-1", SHADOW), T, T + 5)) == []


@pytest.mark.parametrize("table", [FeedbackRow, ScoreRow])
def test_what_was_said_is_found_by_its_request(
    tmp_path: Path, migrated_file: Path, table: type[FeedbackRow | ScoreRow]
) -> None:
    """SQLite would rather go through all requests of the stage, for each rating."""
    path = tmp_path / "ledger.db"
    path.write_bytes(migrated_file.read_bytes())
    database = Database(f"sqlite:///{path}")
    query = ratings(table, SCOPE, (T, T + 1)).compile(database.engine, compile_kwargs={"literal_binds": True})
    with database.read() as session:
        steps = [str(row[3]) for row in session.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
    database.close()
    assert "SEARCH requests USING INDEX ix_requests_request_id (request_id=?)" in steps
