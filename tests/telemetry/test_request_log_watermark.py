"""How far a request log is complete, and what is read of it when."""

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.store.database import Database
from softlaunch.store.tables import DropRow, GatewayRow
from tests.support.builders import APP
from tests.telemetry.logged import T, gateway, log, read, request, told


def test_nothing_is_read_beyond_the_watermark(database: Database) -> None:
    """What began later may have slower neighbours that aren't logged yet; the next reading begins just there."""
    log(database, request(1, started_at=T + 2.9), request(2, started_at=T + 3), complete_until=T + 3)
    first = read(database)
    assert (first.requests, first.until) == (ByArm(0, 1), T + 3)
    second = read(database, after=first.until)
    assert (second.requests, second.until) == (ByArm(0, 0), T + 3)


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
        until, counted = reading.until, counted + reading.requests.candidate + reading.requests.stable
    assert counted == 40


def test_a_watermark_that_went_back_reads_nothing_again(database: Database) -> None:
    """A gateway that comes late doesn't make the past count twice."""
    log(database, request(1), complete_until=T + 2)
    reading = read(database, after=T + 4)
    assert (reading.until, reading.requests) == (T + 4, ByArm(0, 0))


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
    assert reading.requests == ByArm(0, 10)


def test_requests_that_could_not_be_logged_are_counted(database: Database) -> None:
    """By the time they were noted, for this app, over all gateways."""
    drops = [("gateway-1", APP, 3, T + 1), ("gateway-2", APP, 4, T + 2), ("gateway-1", "other", 50, T + 1)]
    late = ("gateway-1", APP, 100, T + 5)
    log(
        database,
        *(DropRow(gateway_id=name, app=app, count=count, noted_at=at) for name, app, count, at in [*drops, late]),
    )
    assert read(database).dropped == 7


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
