"""What becomes of the records of applications: rows of the log, each once, and what is promised to gates."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from softlaunch.core.split import takes_candidate, unit_hash
from softlaunch.gates.telemetry import Reading, Scope
from softlaunch.gateway.configuration.intake import Answer, Lost, RecordIntake
from softlaunch.gateway.configuration.records import request_id_of
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import Identity, LogSink
from softlaunch.gateway.units import unit_of_conversation
from softlaunch.policy.model import Policy
from softlaunch.policy.release import plan
from softlaunch.store.database import Database
from softlaunch.store.tables import DropRow, RequestRow, ScoreRow, TextRow
from softlaunch.telemetry.otlp.source import OtlpTelemetry
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, make_policy
from tests.support.otlp import record_split

T = NOON.timestamp()
STAGE = next(one for one in plan(make_policy(shadow=None)) if one.position == 2)
SCOPE = Scope(APP, f"{APP}-1", STAGE, T)

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def policy(**changes: Any) -> Policy:
    """One whose requests are recorded."""
    return make_policy(shadow=None, sources={"otlp": {}}, **changes)


def units(weight: float = 50.0, *, candidates: bool) -> Sequence[str]:
    """Some units whose arm is the candidate, or isn't."""
    named = (f"user-{number}" for number in range(1000))
    return [one for one in named if takes_candidate(unit_hash(one, "salt"), f"{APP}-1", weight) is candidates]


IN, OUT = units(candidates=True), units(candidates=False)


def record(record_id: str = "a", **changes: Any) -> dict[str, Any]:
    """A record of a candidate's call that began three seconds ago, and took one."""
    return {
        "id": record_id,
        "app": APP,
        "unit": IN[0],
        "arm": "candidate",
        "release_id": f"{APP}-1",
        "stage": 2,
        "revision": 1,
        "variant": CANDIDATE.digest,
        "started_at": T - 3,
        "latency_ms": 1000.0,
        "status": 200,
        "first_token_ms": None,
        "outcome": "answered",
        "input_tokens": 11,
        "output_tokens": 3,
        **changes,
    }


def of_stable(record_id: str = "s", **changes: Any) -> dict[str, Any]:
    """The same of stable's."""
    return record(record_id, **{"unit": OUT[0], "arm": "stable", "variant": STABLE.digest, **changes})


@dataclass
class Wall:
    """A clock that goes when it is told."""

    now: float = T

    def __call__(self) -> float:
        """The time it shows."""
        return self.now


@dataclass
class Desk:
    """An intake without its server, by a clock of its own; the split has been in force for a minute."""

    database: Database
    wall: Wall = field(default_factory=Wall)

    def open(self, name: str = "intake-1") -> "Desk":
        """Begin to take records."""
        self.log = LogSink(self.database, identity=Identity("log", ""), revisions=dict, limits=Limits())
        self.intake = RecordIntake(self.database, name, "http://127.0.0.1:8830", 30.0, self.wall)
        self.intake.open()
        return self

    def take(self, *records: object, lost: Sequence[Lost] = ()) -> Answer:
        """Take records of one request."""
        return self.intake.take(records, lost, self.log)

    def why(self, given: object) -> str:
        """Why a record is refused; its being missing is counted."""
        (refused,) = self.take(given).refused
        return refused["why"]

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
        return OtlpTelemetry(self.database).read(SCOPE, after, self.wall.now)


@pytest.fixture
def desk(database: Database) -> Desk:
    """One with a split of 50 %."""
    record_split(database, 50.0, since=T - 60, policy=policy())
    return Desk(database).open()


def test_a_record_becomes_a_row(desk: Desk) -> None:
    """Its arm, its split, its unit as gateways hash it, and what became of it."""
    assert desk.take(record()).content == {"taken": 1, "known": 0, "refused": []}
    (row,) = desk.rows()
    assert (row.arm, row.variant_digest, row.release_id, row.stage) == ("candidate", CANDIDATE.digest, f"{APP}-1", 2)
    assert (row.weight_percent, row.unit, row.started_at) == (50.0, unit_hash(IN[0], "salt"), T - 3)
    assert (row.status, row.outcome, row.latency_ms, row.input_tokens) == (200, "answered", 1000.0, 11)
    assert row.request_id == request_id_of(APP, "a")


def test_the_same_record_counts_once(desk: Desk, database: Database) -> None:
    """Within one request, in the next one, and at another server."""
    assert desk.take(record(), record()).content["known"] == 1
    assert desk.take(record(), of_stable()).content == {"taken": 1, "known": 1, "refused": []}
    assert Desk(database).open("intake-2").take(record()).content["known"] == 1
    assert len(desk.rows()) == 2


def test_a_client_that_knew_of_no_release_yet_is_logged_and_no_evidence(desk: Desk) -> None:
    """It began with its copy of the disk, which has the revision and stable alone."""
    answer = desk.take(of_stable(release_id=None, stage=0))
    assert answer.content == {"taken": 1, "known": 0, "refused": []}
    (row,) = desk.rows()
    assert (row.arm, row.release_id, row.weight_percent) == ("stable", f"{APP}-1", 0.0)
    assert desk.drops() == []


def test_gates_read_what_was_recorded(desk: Desk) -> None:
    """Once everything has come that comes in time."""
    desk.take(record(), of_stable())
    desk.wall.now = T + 60
    desk.intake.beat()
    assert desk.read().requests.candidate == 1
    assert desk.read().requests.stable == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param(record(unit=OUT[0]), "isn't the candidate's", id="an arm that isn't the unit's"),
        pytest.param(record(variant=STABLE.digest), "another variant", id="a variant of the other arm"),
        pytest.param(record(release_id="other"), f"of {APP}-1, stage 2", id="another release"),
        pytest.param(record(stage=1), "stage 2", id="another stage"),
        pytest.param(record(revision=9), "isn't known", id="a revision that there isn't"),
        pytest.param(record(started_at=T + 60), "future", id="a clock that is ahead"),
        pytest.param(record(arm="shadow"), "copy_of", id="a copy of nothing"),
        pytest.param(record(values={"solved": 1}), "metrics", id="a metric that isn't declared"),
    ],
)
def test_what_contradicts_the_split_is_refused_and_missing(desk: Desk, given: dict[str, Any], says: str) -> None:
    """It poisons no gate; sent again it is refused again, and counted once."""
    assert says in desk.why(given)
    assert says in desk.why(given)
    assert desk.rows() == []
    assert desk.drops() == [("unattributed", 1)]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param({"id": "x"}, "app", id="without an app"),
        pytest.param("text", "", id="no object"),
        pytest.param(record(outcome="fine"), "outcome", id="an outcome that isn't one"),
        pytest.param(record(latency_ms=-1), "latency_ms", id="a time below zero"),
        pytest.param(record(app="other"), "no app", id="an app that isn't there"),
        pytest.param(record(input_tokens=2**40), "input_tokens", id="more tokens than there are"),
    ],
)
def test_what_is_no_record_is_said(desk: Desk, given: object, says: str) -> None:
    """By the name of the field; the others of the request are taken."""
    answer = desk.take(given, of_stable())
    assert answer.taken == 1
    assert says in answer.refused[0]["why"]
    assert desk.drops() == []


def test_without_a_policy_for_records_nothing_is_taken(database: Database) -> None:
    """What to write is said."""
    record_split(database, 50.0, since=T - 60, policy=make_policy(shadow=None))
    assert "otlp" in Desk(database).open().why(record())


def test_stable_in_the_candidate_s_place_is_no_evidence(desk: Desk) -> None:
    """The lease had run out at its client: it is logged at a weight of zero."""
    desk.take(record(arm="stable", variant=STABLE.digest), of_stable("t", weight_percent=0))
    assert [row.weight_percent for row in desk.rows()] == [0.0, 0.0]


def test_late_records_are_logged_and_missing(desk: Desk) -> None:
    """Gates have read on without them."""
    desk.wall.now = T + 120
    desk.intake.beat()
    assert desk.take(record()).taken == 1
    assert desk.rows()[0].weight_percent == 0.0
    assert desk.drops() == [("late", 1)]


def test_what_a_client_lost_is_missing(desk: Desk) -> None:
    """Each report once."""
    for _ in range(2):
        desk.take(lost=[Lost("report-1", APP, 7), Lost("report-1", "other", 3)])
    assert desk.drops() == [("lost", 7)]


def test_the_split_before_is_known_by_its_revision(desk: Desk, database: Database) -> None:
    """Who hadn't heard of a change yet is believed; who goes on for longer than a lease is no evidence."""
    desk.intake.beat()
    record_split(database, None, since=T + 10, policy=policy(), revision=2)
    desk.wall.now = T + 40
    desk.take(record("soon", started_at=T + 12), record("later", started_at=T + 30))
    assert [(row.weight_percent, row.arm) for row in desk.rows()] == [(50.0, "candidate"), (0.0, "candidate")]
    assert "no release" in desk.why(record("wrong", revision=2, started_at=T + 12))


def test_values_and_texts_go_with_their_call(database: Database, tmp_path: Path) -> None:
    """As the policy declares and keeps them, redacted."""
    solved = {"name": "solved", "kind": "share", "better": "up"}
    kept = {"texts": {"keep": True, "retention": "1 d", "redact": {}}, "metrics": [solved]}
    record_split(database, 50.0, since=T - 60, policy=policy(**kept))
    desk = Desk(database).open()
    desk.log.start()
    said = {"question": "My mail is ann@example.com", "answer": "Thanks"}
    assert desk.take(record(values={"solved": True}, texts=said)).taken == 1
    desk.log.stop()
    with database.read() as session:
        scores, texts = session.exec(select(ScoreRow)).all(), session.exec(select(TextRow)).all()
    assert [(one.metric, one.value, one.request_id) for one in scores] == [("solved", 1.0, request_id_of(APP, "a"))]
    assert [one.answer for one in texts] == ["Thanks"]
    assert "ann@" not in texts[0].question


def test_a_revision_before_the_server_started_is_no_evidence(database: Database) -> None:
    """What users met who had kept what they were told is logged, as far as the ledger knows of it."""
    record_split(database, None, since=T - 90, policy=policy())
    record_split(database, 50.0, since=T - 60, policy=policy(), revision=5)
    desk = Desk(database).open()
    before = {"revision": 1, "unit": IN[0], "started_at": T - 3}
    kept = of_stable("kept", **before, release_id=None, stage=0, weight_percent=0)
    assert desk.take(kept, record("earlier", revision=4)).taken == 2
    assert [(row.release_id, row.stage, row.weight_percent) for row in desk.rows()] == [
        (None, 0, 0.0),
        (f"{APP}-1", 2, 0.0),
    ]
    assert "isn't recorded" in desk.why(of_stable("else", **before, variant="0123456789ab"))


def test_conversations_are_hashed_as_at_a_gateway(database: Database) -> None:
    """Where units are conversations, by the same rule for every arm."""
    record_split(database, 50.0, since=T - 60, policy=policy(unit={"source": "conversation"}))
    desk = Desk(database).open()
    taken = sum(desk.take(record(f"r{number}", unit=f"u{number}")).taken for number in range(40))
    assert 8 <= taken <= 32
    assert {row.unit for row in desk.rows()} <= {
        unit_hash(unit_of_conversation(f"u{number}"), "salt") for number in range(40)
    }


def test_copies_belong_to_the_call_that_they_copy(desk: Desk) -> None:
    """They have its id in the log, and are no user's."""
    desk.take(record("u"), record("c", arm="control", variant=STABLE.digest, copy_of="u"))
    rows = desk.rows()
    assert {row.request_id for row in rows} == {request_id_of(APP, "u")}
    assert [row.mirrored for row in rows] == [False, True]


def test_an_id_of_the_gateways_form_is_the_row_s(database_url: str) -> None:
    """So that it can be rated; any other is hashed."""
    own = f"{APP}-{'0' * 32}"
    assert request_id_of(APP, own) == own
    assert request_id_of(APP, "anything").startswith(f"{APP}-")
    assert request_id_of(APP, "anything") == request_id_of(APP, "anything")
