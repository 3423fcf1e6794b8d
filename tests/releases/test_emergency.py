"""Emergency releases: allowed while stable fails, judged by the candidate's own answers, two people where asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from softlaunch.approvals.deciding import Decision, NotAllowedError, apply_decision, raise_if_refused
from softlaunch.approvals.rules import Person
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.variant import ModelVersion
from softlaunch.core.verdict import Outcome
from softlaunch.evals.calls.probe import Probed
from softlaunch.ledger.answer_counts import Answers
from softlaunch.ledger.notices import Incident, open_incident
from softlaunch.ledger.releases import find_latest, read_release
from softlaunch.notify.links import Links
from softlaunch.policy.emergency import EmergencyPolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release, StageKind, State
from softlaunch.releases.changes import Changes
from softlaunch.releases.driver import Driver
from softlaunch.releases.emergency import CandidateProbes, EmergencyStrategy, check_stable, judge
from softlaunch.releases.opening import NoEmergencyError, ReleaseRequest, open_release
from softlaunch.releases.views import read_view, to_json
from softlaunch.reports.history import read_history
from softlaunch.reports.markdown import release_markdown
from softlaunch.reports.pages import write_page
from softlaunch.store.database import Database
from softlaunch.store.tables import ApprovalRow, IncidentRow
from tests.support.builders import (
    APP,
    CANDIDATE,
    NOON,
    Clock,
    Scene,
    make_policy,
    make_release,
    record_app,
    request_row,
    told,
)

RULES = EmergencyPolicy()
SCENE_POLICY: dict[str, Any] = {"emergency": {"minimum_time": 10, "minimum_answers": 10, "probes": 3}}


@dataclass
class ScriptedProbes:
    """Every question that is asked is answered at once: well, or with this problem."""

    problem: str | None = None
    asked: int = 0
    _ended: list[str | None] = field(default_factory=list)

    def collect(self, release: Release) -> Sequence[str | None]:
        """What was answered since."""
        ended, self._ended = self._ended, []
        return ended

    def begin(self, release: Release, count: int) -> None:
        """Answer."""
        self.asked += count
        self._ended += [self.problem] * count


def silent(models: Sequence[ModelVersion]) -> Sequence[Probed]:
    """Endpoints that don't answer."""
    return [Probed(model.name, model.endpoint, "can't be reached", 0.1) for model in models]


def well(models: Sequence[ModelVersion]) -> Sequence[Probed]:
    """Endpoints that do."""
    return [Probed(model.name, model.endpoint, None, 0.1) for model in models]


def keyless(models: Sequence[ModelVersion]) -> Sequence[Probed]:
    """Endpoints whose key this machine lacks."""
    return [replace(one, asked=False) for one in silent(models)]


def log(database: Database, good: int, failed: int, seconds_ago: float = 10, **columns: Any) -> None:
    """Answers of stable that long ago."""
    at = NOON.timestamp() - seconds_ago
    failure = {"outcome": "provider_failed", "status": 503}
    outcomes: list[dict[str, Any]] = [{} for _ in range(good)] + [failure for _ in range(failed)]
    with database.begin() as session:
        for number, outcome in enumerate(outcomes):
            plain = {"release_id": None, "stage": 0, "started_at": at, "request_id": f"{number}", "unit": number}
            session.add(request_row(**{**plain, **outcome, **columns}))


@pytest.mark.parametrize(
    ("good", "failed", "seconds_ago", "ask", "failing"),
    [
        pytest.param(0, 20, 10, well, True, id="every answer of the last minute failed"),
        pytest.param(2, 4, 200, well, True, id="most of the last five minutes"),
        pytest.param(50, 1, 10, silent, False, id="users are answered, whatever this machine can reach"),
        pytest.param(0, 0, 10, silent, True, id="no traffic, and the endpoint doesn't answer"),
        pytest.param(0, 0, 10, well, False, id="no traffic, and it answers"),
        pytest.param(0, 20, 3600, well, False, id="an outage that is over"),
        pytest.param(0, 0, 10, keyless, False, id="no traffic, and nobody could ask"),
        pytest.param(7, 3, 10, silent, True, id="a third fails, and it doesn't answer now"),
    ],
)
def test_whether_stable_fails(
    database: Database,
    good: int,
    failed: int,
    seconds_ago: float,
    ask: Any,
    failing: bool,  # noqa: FBT001
) -> None:
    """Users' answers tell first; its endpoint is asked where they can't."""
    record_app(database)
    log(database, good, failed, seconds_ago)
    found = check_stable(database, APP, NOON, ask)
    assert (found.failing, bool(found.message)) == (failing, True)


def test_answers_that_serve_nobody_are_failures(database: Database) -> None:
    """A stable whose every answer is withheld fails its users like one that gives none."""
    record_app(database)
    log(database, 20, 0, outcome="filtered")
    assert check_stable(database, APP, NOON, well).failing


def test_an_open_incident_counts_where_answers_are_few(database: Database) -> None:
    """It was opened by what the log said."""
    record_app(database)
    down = Incident(IncidentKind.PROVIDER_DOWN, APP, None, f"{APP}:provider_down", "it is down", {})
    with database.begin() as session:
        open_incident(session, down, NOON)
    assert check_stable(database, APP, NOON, keyless).failing
    assert not check_stable(database, APP, NOON, well).failing


@pytest.mark.parametrize(
    ("good", "failed", "needed", "outcome"),
    [
        pytest.param(3, 0, 3, Outcome.PASS, id="enough good ones"),
        pytest.param(2, 0, 3, Outcome.INCONCLUSIVE, id="too few"),
        pytest.param(0, 0, 3, Outcome.INCONCLUSIVE, id="none at all"),
        pytest.param(0, 2, 3, Outcome.INCONCLUSIVE, id="two failures may be chance"),
        pytest.param(0, 3, 3, Outcome.FAIL, id="three aren't"),
        pytest.param(9, 3, 9, Outcome.PASS, id="a quarter is tolerated"),
        pytest.param(20, 8, 10, Outcome.FAIL, id="more isn't, however many are good"),
    ],
)
def test_a_candidate_is_judged_by_its_own_answers(good: int, failed: int, needed: int, outcome: Outcome) -> None:
    """Without an answer nothing passes."""
    assert judge(Answers(good, failed), needed, RULES).outcome is outcome


@dataclass
class Emergency:
    """An emergency release on a ledger, with its driver and probes."""

    database: Database
    release_id: str
    probes: ScriptedProbes
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def opened(cls, database: Database, policy: Policy | None = None, problem: str | None = None) -> "Emergency":
        """All of stable's answers failed, and anna starts it."""
        record_app(database, policy or make_policy(**SCENE_POLICY))
        log(database, 0, 20)
        return cls(database, open_release(database, request(), NOON), ScriptedProbes(problem))

    def drive(self, most: int = 60, until: Any = lambda release: not release.state.live) -> Release:
        """A step each second, until it is as wanted or so many are made."""
        watch = EmergencyStrategy(self.database, self.probes, lambda: self.clock().timestamp())
        strategies = Scene(self.database, self.release_id, self.clock).driver().strategies
        driver = Driver(self.database, replace(strategies, emergency=watch), "driver one", self.clock)
        token = driver.acquire_lease(self.release_id)
        for _ in range(most):
            if until(self.release()):
                break
            self.clock.go(1)
            driver.advance(self.release_id, token)
        driver.release_lease(self.release_id, token)
        return self.release()

    def release(self) -> Release:
        """As it stands."""
        with self.database.read() as session:
            return read_release(session, self.release_id)

    def say(self, name: str) -> None:
        """Approve what is asked."""
        with self.database.begin() as session:
            answered = apply_decision(
                session, Decision(APP, ApprovalChoice.APPROVE, Person(name, "test")), self.clock.now
            )
        raise_if_refused(answered)


def request(**parts: Any) -> ReleaseRequest:
    """What anna asks for."""
    plain = {"app": APP, "changes": Changes(variant=CANDIDATE.digest), "actor": "anna", "emergency": True}
    return ReleaseRequest(**{**plain, **parts})


def test_a_candidate_that_answers_takes_over_in_half_a_minute(database: Database) -> None:
    """No eval, no golden set, no stable: probes, half of the users, all of them; who, why and how is written down."""
    emergency = Emergency.opened(database)
    assert [stage.kind for stage in emergency.release().stages] == [StageKind.PROBE, *[StageKind.CANARY] * 2]
    ended = emergency.drive(most=40)
    assert ended.state is State.PROMOTED
    assert emergency.clock.now - NOON <= timedelta(seconds=35)
    assert ended.emergency == "20 of 20 answers of stable failed within the last minute"
    assert ended.title.endswith("(emergency)")
    with database.read() as session:
        first = next(one for one in read_history(session, APP, 50) if one.event == "opened")
    assert "as an emergency: 20 of 20 answers" in first.what
    assert "as an emergency, compared with nothing: 20 of 20" in told(database)[0]


def test_status_report_and_page_say_why_nothing_was_compared(database: Database, tmp_path: Path) -> None:
    """Whoever looks later sees it without asking, and while it waits."""
    emergency = Emergency.opened(database)
    emergency.drive(most=4)
    for live in (True, False):
        with database.read() as session:
            view = read_view(session, find_latest(session, APP), emergency.clock.now)
        assert view.release.state.live is live
        assert str(to_json(view)["emergency"]).startswith("20 of 20 answers")
        shown = write_page(database, view, tmp_path).read_text(), release_markdown(view, Links())
        assert ["20 of 20 answers" in text for text in shown] == [True, True]
        if live:
            emergency.drive()


def test_a_candidate_that_does_not_answer_meets_nobody(database: Database) -> None:
    """It is rejected in seconds, with its endpoint's words."""
    emergency = Emergency.opened(database, problem="its endpoint: http_401")
    ended = emergency.drive(most=20)
    assert (ended.state, "http_401" in ended.reason) == (State.REJECTED, True)


def test_a_candidate_that_fails_its_users_is_taken_back(database: Database) -> None:
    """By its own failures, and with an incident."""
    emergency = Emergency.opened(database)
    emergency.drive(until=lambda release: release.state is State.CANARY)
    at = {"release_id": emergency.release_id, "stage": 1, "variant_digest": CANDIDATE.digest, "arm": "candidate"}
    log(database, 0, 6, seconds_ago=-30, **at)
    ended = emergency.drive(most=20)
    assert (ended.state, "of the candidate failed" in ended.reason) == (State.ROLLED_BACK, True)
    with database.read() as session:
        assert {row.kind for row in session.exec(select(IncidentRow))} >= {IncidentKind.BREAKER_TRIPPED}


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param({"emergency": {"approvals": 2}}, id="by the emergency's own rule"),
        pytest.param(
            {"approval": {"two_people_from_percent": 50}, "approvers": [{"name": "anna"}, {"name": "ben"}]},
            id="by the rule for stages",
        ),
        pytest.param(
            {"emergency": {"approvals": 2}, "approval": {"starter_may_approve": True}}, id="of a team of one, too"
        ),
    ],
)
def test_where_the_policy_asks_two_people_must_stand_behind_it(database: Database, policy: dict[str, Any]) -> None:
    """The starter is one of them, so that their own yes doesn't count, and one other one is enough."""
    emergency = Emergency.opened(database, make_policy(**policy))
    emergency.drive(most=10)
    assert emergency.release().stage.kind is StageKind.PROBE
    with database.read() as session:
        (asked,) = session.exec(select(ApprovalRow.text))
    assert "Emergency release by anna, the policy requires two people" in asked
    with pytest.raises(NotAllowedError, match="two people"):
        emergency.say("anna")
    emergency.say("ben")
    assert emergency.drive(most=40).state is State.PROMOTED


def test_while_stable_answers_it_is_refused_with_what_to_do_instead(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless somebody says that what stable answers is what is wrong, and why."""
    record_app(database)
    log(database, 50, 0)
    with pytest.raises(NoEmergencyError, match=r"0 of 50 answers .*softlaunch rollback .*--even-though-stable-answers"):
        open_release(database, request(), NOON)
    with pytest.raises(NoEmergencyError, match="isn't known to fail"):
        open_release(database, request(even_though_stable_answers=True), NOON)
    release_id = open_release(database, request(even_though_stable_answers=True, reason="it insults people"), NOON)
    with database.read() as session:
        assert read_release(session, release_id).emergency.startswith("it insults people (even though stable answers")


def test_the_golden_set_is_asked_where_it_can_be_read(tmp_path: Path) -> None:
    """At an endpoint that refuses connections every question comes back with that; none is lost."""
    probes = CandidateProbes()
    release = make_release(policy_path=str(tmp_path / "policy.yaml"), candidate=CANDIDATE)
    probes.begin(release, 2)
    probes._under_way[release.id].join(20)
    assert probes.collect(release) == ["its endpoint: connect"] * 2
    assert probes.collect(release) == []
