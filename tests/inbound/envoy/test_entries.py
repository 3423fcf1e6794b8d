"""Entries of an access log as rows: whose they are, how they ended, and what is missing."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from softlaunch.core.clock import utc_now
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gateway.table import RouteTable
from softlaunch.inbound.envoy.access_log import AccessLog
from softlaunch.inbound.envoy.entries import read_entry
from softlaunch.inbound.envoy.messages import LogEntry
from softlaunch.inbound.envoy.names import OUTSIDE, REQUEST_HEADER, cluster_name, drawn_name, log_name
from softlaunch.inbound.envoy.server import of_access_log
from softlaunch.inbound.otlp.call_spans import CallSpan
from softlaunch.inbound.otlp.counts import Verdicts
from softlaunch.inbound.otlp.intake import Export, Intake
from softlaunch.inbound.otlp.names import ARM, COPY_OF, WEIGHT
from softlaunch.ledger.splits import Split, set_split
from softlaunch.policy.route import Arm, Route, Serving
from softlaunch.store.database import Database
from softlaunch.store.tables import DropRow, RequestRow
from tests.support.builders import APP, CANDIDATE, STABLE
from tests.support.envoy import record_routed, routed_policy

NODE = "n1"
ROUTE = Route(APP, 2, STABLE, Serving("salt"), CANDIDATE, 33.3, release_id=f"{APP}-1", stage=1)


def entry(number: int = 1, *, began: float = 1000.0, arm: Arm = Arm.CANDIDATE, **ended: Any) -> Any:
    """An entry of a request that took a second, with a status and a flag or none."""
    made = LogEntry()
    common = made.common_properties
    common.start_time.FromNanoseconds(round(began * 1e9))
    common.duration.FromMilliseconds(1000)
    common.time_to_last_downstream_tx_byte.FromMilliseconds(1000)
    common.time_to_first_upstream_rx_byte.FromMilliseconds(250)
    common.upstream_cluster = cluster_name(APP, arm)
    common.stream_id = f"stream-{number}"
    common.route_name = ended.get("route_name", "")
    if ended.get("flag"):
        setattr(common.response_flags, ended["flag"], True)
    made.response.response_code.value = ended.get("status", 200)
    made.request.request_headers.add(key="x-user-id", value=f"user-{number}")
    made.request.request_headers.add(key=REQUEST_HEADER, value=f"request-{number}")
    return made


def call(made: Any, log: str = log_name(APP)) -> CallSpan:
    """How an entry is read."""
    read = read_entry(made, NODE, log, "x-user-id")
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("status", "flag", "outcome", "logged"),
    [
        pytest.param(200, "", RequestOutcome.ANSWERED, 200, id="answered"),
        pytest.param(503, "", RequestOutcome.PROVIDER_FAILED, 503, id="the deployment fails"),
        pytest.param(429, "", RequestOutcome.RATE_LIMITED, 429, id="too many requests"),
        pytest.param(400, "", RequestOutcome.REQUEST_AT_FAULT, 400, id="a bad request"),
        pytest.param(503, "upstream_connection_failure", RequestOutcome.CONNECT, 503, id="nobody listens"),
        pytest.param(504, "upstream_request_timeout", RequestOutcome.TOTAL_TIMEOUT, 504, id="too slow"),
        pytest.param(200, "upstream_connection_termination", RequestOutcome.CUT, 200, id="broken off in its midst"),
        pytest.param(503, "upstream_connection_termination", RequestOutcome.CONNECT, 503, id="gone before an answer"),
        pytest.param(0, "downstream_connection_termination", RequestOutcome.CLIENT_GONE, 499, id="the client left"),
        pytest.param(0, "", RequestOutcome.CLIENT_GONE, 499, id="no status at all"),
    ],
)
def test_outcomes(status: int, flag: str, outcome: RequestOutcome, logged: int) -> None:
    """Status and flags come to the outcomes of the request log, for both arms by one rule."""
    read = call(entry(status=status, flag=flag))
    assert (read.outcome, read.status) == (outcome, logged)


def test_an_entry_names_arm_unit_and_weight() -> None:
    """The arm is its cluster's, the weight that of its route, and times are seconds."""
    read = call(entry(route_name=drawn_name(ROUTE)))
    assert (read.own[ARM], read.own[WEIGHT], read.began, read.ended) == ("candidate", 33.3, 1000.0, 1001.0)


@pytest.mark.parametrize(
    "route_name",
    [
        pytest.param("stable", id="the candidate's route was closed"),
        pytest.param(OUTSIDE, id="a stage that isn't open to the unit"),
        pytest.param("softlaunch.another-app.0123@50.0", id="another app's route"),
        pytest.param(f"softlaunch.{APP}.0123@half", id="not a name of ours"),
        pytest.param("", id="no route at all"),
    ],
)
def test_a_request_that_was_not_drawn_is_compared_with_nothing(route_name: str) -> None:
    """Its weight is zero."""
    assert call(entry(route_name=route_name)).own[WEIGHT] == 0.0


def test_a_copy_names_its_original() -> None:
    """Its own log says which arm it is, and its header which request was copied."""
    original = call(entry(7, arm=Arm.STABLE))
    copy = call(entry(7), log_name(APP, Arm.SHADOW))
    assert (copy.own[ARM], copy.own[COPY_OF]) == ("shadow", original.key)
    assert copy.key != original.key


def test_a_stream_tells_its_first_byte() -> None:
    """Of whole answers nobody asks when they began."""
    streamed = entry()
    streamed.response.response_headers.add(key="content-type", value="text/event-stream; charset=utf-8")
    assert call(streamed).first_token_ms == 250.0
    assert call(entry()).first_token_ms is None


def test_logs_of_others_are_passed_over() -> None:
    """An Envoy may log to us what is none of ours."""
    assert read_entry(entry(), NODE, "ingress", "x-user-id") is None


class Away(Intake):
    """An intake whose ledger can't be written for a while."""

    away = True

    def take(self, export: Export) -> Verdicts:
        """Fail while it is away."""
        if self.away:
            raise OperationalError("insert", {}, Exception("away"))
        return super().take(export)


def test_entries_wait_for_the_ledger_and_what_is_lost_counts(database: Database) -> None:
    """Envoy sends nothing twice: without room the oldest entry is lost, and gates see that it was."""
    record_routed(database, routed_policy("http://127.0.0.1:1", "http://127.0.0.1:2"))
    with database.begin() as session:
        half = Split(CANDIDATE.digest, 50.0, release_id=f"{APP}-1", stage=1)
        set_split(session, APP, STABLE.digest, half, 1, utc_now())
    intake = Away(database, "receiver", "here", 0.0, source=of_access_log)
    table = RouteTable(database)
    table.refresh()
    log = AccessLog(table, intake, most=3)
    began = time.time()
    for number in range(5):
        log.put(call(entry(number, began=began)))

    async def play() -> tuple[bool, bool]:
        first = await log.write_once()
        intake.away = False
        return first, await log.write_once()

    assert asyncio.run(play()) == (False, True)
    assert log.waiting == 0
    with database.read() as session:
        rows = session.exec(select(RequestRow)).all()
        lost = session.exec(select(DropRow)).all()
    assert {row.arm for row in rows} == {"candidate"}
    assert len(rows) == 3
    assert sum(row.count for row in lost) == 2
