"""What becomes of spans: rows of the log, each once, and what is promised to gates."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sqlmodel import col, select

from softlaunch.core.split import unit_hash
from softlaunch.gates.telemetry import Reading, Scope
from softlaunch.inbound.otlp.attribution import Lacking
from softlaunch.inbound.otlp.call_spans import read_call
from softlaunch.inbound.otlp.counts import Verdicts
from softlaunch.inbound.otlp.intake import Export, Intake
from softlaunch.ledger.reception import Beats
from softlaunch.policy.release import plan
from softlaunch.policy.sources import OtlpPolicy
from softlaunch.store.database import Database
from softlaunch.store.days import read_partitions
from softlaunch.store.tables import DropRow, GatewayRow, RequestRow
from softlaunch.telemetry.otlp.source import OtlpTelemetry
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, make_policy
from tests.support.otlp import record_split, span
from tests.support.servers import wait_until

T = NOON.timestamp()
POLICY = OtlpPolicy()
STAGE = next(one for one in plan(make_policy(shadow=None)) if one.position == 2)
SCOPE = Scope(APP, f"{APP}-1", STAGE, T)


@dataclass
class Wall:
    """A clock that goes when it is told."""

    now: float = T

    def __call__(self) -> float:
        """The time it shows."""
        return self.now


@dataclass
class Desk:
    """A receiver without its server, by a clock of its own; the split has been in force for a minute."""

    database: Database
    wall: Wall = field(default_factory=Wall)
    catch_up_seconds: float = 30.0
    name: str = "receiver-1"

    def open(self) -> "Desk":
        """Begin to take spans; tests say when it beats."""
        self.intake = Intake(self.database, self.name, "http://127.0.0.1:4318", self.catch_up_seconds, self.wall)
        self.intake.open()
        return self

    def take(self, *spans: Span) -> Verdicts:
        """Take an export."""
        calls = [call for one in spans if (call := read_call(one, {})) is not None]
        return self.intake.take(Export(calls, (), len(spans) - len(calls)))

    def rows(self) -> Sequence[RequestRow]:
        """The log, in the order in which it was written."""
        with self.database.read() as session:
            return session.exec(select(RequestRow).order_by(col(RequestRow.id))).all()

    def drops(self) -> list[tuple[str, int]]:
        """What gates are told is missing, and why."""
        with self.database.read() as session:
            return [(row.cause, row.count) for row in session.exec(select(DropRow).order_by(col(DropRow.id)))]

    def read(self, after: float = T - 50) -> Reading:
        """What gates read of it now."""
        return OtlpTelemetry(self.database, policy=POLICY).read(SCOPE, after, self.wall.now)


@pytest.fixture
def desk(database: Database) -> Desk:
    """One with a split of 50 %."""
    record_split(database, 50.0, since=T - 60)
    return Desk(database).open()


def test_a_span_becomes_a_row(desk: Desk) -> None:
    """Its arm, its split, its unit as gateways hash it, and what became of it."""
    assert desk.take(span(T - 3, softlaunch__variant=CANDIDATE.short, softlaunch__unit="anna")).calls == 1
    (row,) = desk.rows()
    assert (row.arm, row.variant_digest, row.release_id, row.stage) == ("candidate", CANDIDATE.digest, f"{APP}-1", 2)
    assert (row.weight_percent, row.unit, row.started_at) == (50.0, unit_hash("anna", "salt"), T - 3)
    assert (row.outcome, row.latency_ms, row.input_tokens, row.output_tokens) == ("answered", 1000.0, 11, 3)
    assert (row.api, row.mirrored, row.request_id[: len(APP)]) == ("chat", False, APP)


def test_a_span_that_is_sent_again_counts_once(desk: Desk) -> None:
    """Also by another receiver, and by one that was started anew."""
    twice = span(T - 3)
    assert desk.take(twice, span(T - 3)).calls == 2
    assert (desk.take(twice).again, len(desk.rows())) == (1, 2)
    another = Desk(desk.database, desk.wall, name="receiver-2").open()
    assert (another.take(twice, twice).calls, len(another.rows())) == (0, 2)


@pytest.mark.parametrize(
    ("attributes", "lacks"),
    [
        pytest.param({"softlaunch__app": None}, Lacking.APP, id="no app"),
        pytest.param({"softlaunch__app": "another"}, Lacking.APP, id="an app that isn't recorded"),
        pytest.param({"softlaunch__unit": None}, Lacking.UNIT, id="no unit"),
        pytest.param({"softlaunch__unit": None, "session__id": "s"}, Lacking.UNIT, id="a unit that the policy has not"),
        pytest.param({"softlaunch__variant": None}, Lacking.ARM, id="neither arm nor variant"),
        pytest.param({"softlaunch__arm": "blue"}, Lacking.ARM, id="an arm that isn't known"),
        pytest.param({"softlaunch__variant": "0" * 64}, Lacking.VARIANT, id="another variant"),
        pytest.param({"softlaunch__arm": "candidate"}, Lacking.VARIANT, id="the variant of the other arm"),
        pytest.param(
            {"softlaunch__variant": None, "softlaunch__arm": "control"}, Lacking.ORIGINAL, id="a copy of what"
        ),
        pytest.param({"began": T - 61}, Lacking.SPLIT, id="before the first split that was seen"),
        pytest.param({"began": T + 60}, Lacking.CLOCK, id="in the future"),
    ],
)
def test_what_a_span_lacks_is_told_and_never_guessed(desk: Desk, attributes: dict[str, Any], lacks: Lacking) -> None:
    """It is no row; what is missing of an app is counted for its gates."""
    verdicts = desk.take(span(**{"began": T - 3, **attributes}))
    app = "" if lacks is Lacking.APP else APP
    assert (dict(verdicts.lacking), verdicts.rejected, desk.rows()) == ({(app, lacks): 1}, 1, [])
    assert lacks in verdicts.message
    assert desk.drops() == ([] if lacks is Lacking.APP else [("unattributed", 1)])


def test_an_app_whose_gateways_log_is_left_alone(database: Database) -> None:
    """Its policy has no sources.otlp: its requests are in the log already, and nothing is missing."""
    record_split(database, 50.0, since=T - 60, policy=make_policy())
    desk = Desk(database).open()
    assert dict(desk.take(span(T - 3)).lacking) == {(APP, Lacking.POLICY): 1}
    assert (desk.rows(), desk.drops()) == ([], [])


def test_a_change_of_the_split_has_a_time(desk: Desk) -> None:
    """A span counts under the split that it began under; the app has five seconds to follow the next one."""
    record_split(desk.database, 80.0, since=T + 10, revision=2)
    desk.wall.now = T + 30
    desk.take(span(T + 9), span(T + 11), span(T + 16))
    assert [row.weight_percent for row in desk.rows()] == [50.0, 0.0, 80.0]
    desk.take(span(T + 11, softlaunch__weight_percent="80"), span(T + 16, softlaunch__weight_percent=0.0))
    assert [row.weight_percent for row in desk.rows()][3:] == [80.0, 0.0]


def test_who_still_meets_a_candidate_that_was_taken_back_is_counted(desk: Desk) -> None:
    """In the release, for as long as an app may take to follow; later it is told."""
    record_split(desk.database, None, since=T + 10, revision=2)
    desk.wall.now = T + 30
    verdicts = desk.take(span(T + 11, softlaunch__variant=CANDIDATE.short), span(T + 20, softlaunch__arm="candidate",
                         softlaunch__variant=None))  # fmt: skip
    assert [(row.arm, row.release_id) for row in desk.rows()] == [("candidate", f"{APP}-1")]
    assert dict(verdicts.lacking) == {(APP, Lacking.CANDIDATE): 1}


def test_what_was_not_seen_is_not_guessed(desk: Desk) -> None:
    """Two changes between two looks: what was in force in between is anybody's guess."""
    record_split(desk.database, 80.0, since=T + 10, revision=3)
    desk.wall.now = T + 30
    assert dict(desk.take(span(T + 9)).lacking) == {(APP, Lacking.SPLIT): 1}


def test_a_copy_belongs_to_the_request_that_it_copies(desk: Desk) -> None:
    """By the ids of that one's span."""
    users = span(T - 4, ids=("ab" * 16, "cd" * 8), softlaunch__variant=CANDIDATE.label)
    copy = span(T - 3, softlaunch__arm="control", softlaunch__copy_of=f"{'ab' * 16}-{'cd' * 8}")
    desk.take(users, copy)
    first, second = desk.rows()
    assert first.request_id == second.request_id == f"{APP}-{'ab' * 8}{'cd' * 8}"
    assert (second.arm, second.mirrored, second.variant_digest) == ("control", True, STABLE.digest)


def test_the_cost_of_another_model_is_not_known(desk: Desk) -> None:
    """The variant's prices are those of its own model."""
    desk.take(span(T - 3, gen_ai__request__model="another"))
    assert desk.rows()[0].cost_usd is None


def test_gates_read_what_has_surely_come(desk: Desk) -> None:
    """So far behind the present that every span in time is there; a long one counts before its end."""
    desk.take(span(T - 40), span(T - 46, 42.0), span(T - 3))
    assert [row.started_at for row in desk.rows()] == [T - 40, T - 34, T - 3]
    assert (desk.read().until, desk.read().requests.stable) == (T - POLICY.behind, 0)
    desk.wall.now = T + 6
    desk.intake.beat()
    assert (desk.read().until, desk.read().requests.stable) == (T + 6 - POLICY.behind, 1)


def test_what_comes_late_is_logged_and_is_no_evidence(desk: Desk) -> None:
    """Gates have read on; they are told how many are missing."""
    desk.wall.now = T + 20
    desk.intake.beat()
    verdicts = desk.take(span(T - 26), span(T - 24))
    assert (verdicts.calls, verdicts.late, verdicts.rejected) == (2, 1, 0)
    assert [row.weight_percent for row in desk.rows()] == [0.0, 50.0]
    assert desk.drops() == [("late", 1)]
    desk.wall.now = T + 60
    desk.intake.beat()
    reading = desk.read()
    assert (reading.requests.stable, reading.dropped) == (1, 0)


def test_a_receiver_that_comes_back_waits_for_what_was_not_sent(desk: Desk) -> None:
    """It promises no more than the one before it, until exporters have had their time."""
    desk.wall.now = T + 20
    desk.intake.beat()
    desk.wall.now = T + 50
    again = Desk(desk.database, desk.wall, name="receiver-2").open()
    assert again.read().until == T + 20 - POLICY.behind
    desk.wall.now = T + 70
    again.intake.beat()
    assert again.take(span(T - 24)).late == 0
    desk.wall.now = T + 81
    again.intake.beat()
    assert again.read().until == T + 81 - POLICY.behind
    assert again.take(span(T - 20)).late == 1


def test_a_receiver_that_was_silent_knows_what_others_promised(desk: Desk) -> None:
    """Gates have read on without it: what it takes now of that time is late."""
    another = Desk(desk.database, desk.wall, name="receiver-2", catch_up_seconds=0.0).open()
    desk.wall.now = T + 30
    another.intake.beat()
    desk.wall.now = T + 31
    assert desk.take(span(T - 20)).late == 1


def test_without_a_receiver_nothing_is_known(desk: Desk) -> None:
    """Neither a quiet app nor one whose gateways are well passes for one whose spans come."""
    desk.wall.now = T + 6
    assert "no OTLP receiver" in (desk.read().problem or "")
    desk.wall.now = T + 400
    desk.intake.beat()
    assert "no span of support-bot has come for 400 s" in (desk.read().problem or "")


def test_a_receiver_is_no_gateway(desk: Desk) -> None:
    """Apps that gateways serve neither wait for it, nor take it for one."""
    assert RequestLogTelemetry(desk.database).read(SCOPE, T, T).problem == "no gateway has been heard for 5 s"
    desk.wall.now = T + 1
    desk.intake.beat(last=True)
    with desk.database.read() as session:
        row = session.exec(select(GatewayRow)).one()
    assert (row.kind, row.stopped_at) == ("receiver", T + 1)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.postgres
@pytest.mark.long
def test_days_of_the_log_are_made_where_no_gateway_runs(desk: Desk) -> None:
    """A receiver makes them ahead as a gateway does; what it took before is moved there."""
    desk.take(span(T - 3))
    beats = Beats(desk.intake)
    beats.start()
    wait_until(lambda: made(desk.database) > 0, "the days are made")
    beats.stop()
    assert len(desk.rows()) == 1


def made(database: Database) -> int:
    """How many partitions there are for the time of the tests' clock."""
    with database.read() as session:
        return sum(one.start <= T < one.end for one in read_partitions(session))
