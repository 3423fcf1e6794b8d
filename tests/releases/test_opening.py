"""What stops a release from being opened that could never tell what its gates count."""

import json
from pathlib import Path
from typing import Any

import pytest

from softlaunch.core.split import unit_hash
from softlaunch.ledger.releases import Opening, read_release
from softlaunch.ledger.releases import open_release as open_in_ledger
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Kind, State
from softlaunch.releases.changes import Changes
from softlaunch.releases.opening import ReleaseRequest, UnnamedError, check_request, find_to_continue, open_release
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow
from tests.support.builders import ANNA, APP, CANDIDATE, NOON, STABLE, make_policy, record_app, request_row


def policy(**gate: Any) -> Policy:
    """A gate on errors beside one on latency."""
    return make_policy(
        gates=[{"metric": "errors", "margin": "5 points", **gate}, {"metric": "latency", "margin": "50 %"}],
        session={"timeout": 60},
    )


def with_requests(database: Database, of: Policy, folder: Path, unnamed: int) -> ReleaseRequest:
    """A hundred requests so many of which name nobody; and what asks for a release."""
    record_app(database, of)
    case = {"id": "one", "messages": [{"role": "user", "content": "Hi"}], "expected": "Hello"}
    (folder / "golden.jsonl").write_text(json.dumps(case))
    with database.begin() as session:
        session.get_one(AppRow, APP).policy_path = str(folder / "softlaunch.yaml")
        for number in range(100):
            name = f"{APP}-{number}"
            unit = unit_hash(name, "salt") if number < unnamed else number % 7
            session.add(request_row(request_id=name, unit=unit, release_id=None, started_at=NOON.timestamp() - 100))
    return ReleaseRequest(app=APP, changes=Changes(variant=CANDIDATE.digest))


def test_sessions_need_requests_that_say_who_asks(database: Database, tmp_path: Path) -> None:
    """Else each request would be one, and the margin would be per request without a word."""
    request = with_requests(database, policy(per="session"), tmp_path, unnamed=60)
    with pytest.raises(UnnamedError, match="errors counts per session, but 60% of the newest requests name no user"):
        check_request(database, request, NOON)


def test_a_release_ends_what_follows_the_one_before(database: Database, tmp_path: Path) -> None:
    """It needs the app's traffic to itself, and is compared with what was promoted; checking alone ends nothing."""
    request = with_requests(database, policy(), tmp_path, unnamed=0)
    with database.begin() as session:
        opening = Opening(APP, CANDIDATE.digest, STABLE.digest, make_policy(topline={}), "", Kind.TOPLINE)
        topline = open_in_ledger(session, opening, ANNA, NOON)
    check_request(database, request, NOON)
    assert find_to_continue(database, request, NOON) is None
    with database.read() as session:
        assert read_release(session, topline).state is State.PENDING
    opened = open_release(database, request, NOON)
    with database.read() as session:
        assert read_release(session, topline).state is State.ABORTED
        assert read_release(session, opened).stable.digest == STABLE.digest


@pytest.mark.parametrize(("gate", "unnamed"), [({"per": "session"}, 40), ({}, 100)])
def test_some_may_name_nobody_and_gates_on_requests_do_without(
    database: Database, tmp_path: Path, gate: dict[str, Any], unnamed: int
) -> None:
    """As ever."""
    check_request(database, with_requests(database, policy(**gate), tmp_path, unnamed), NOON)
