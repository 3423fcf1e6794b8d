"""What people fill in, and how a run is named after it."""

import pytest
from pydantic import ValidationError

from softlaunch.approvals.requests import DecisionRequest
from softlaunch.core.approvals import ApprovalChoice, ApprovalState
from softlaunch.core.errors import NotFoundError
from softlaunch.releases.changes import Changes
from softlaunch.releases.opening import ReleaseRequest, describe
from softlaunch.store.database import Database
from tests.support.builders import APP, CANDIDATE, STABLE, record_app


@pytest.mark.parametrize(
    ("choice", "state"),
    [(ApprovalChoice.APPROVE, ApprovalState.APPROVED), (ApprovalChoice.REJECT, ApprovalState.REJECTED)],
)
def test_a_choice_settles_an_approval(choice: ApprovalChoice, state: ApprovalState) -> None:
    """What a form offers is what the ledger keeps."""
    assert choice.state is state


@pytest.mark.parametrize("missing", ["app", "decision", "actor"])
def test_nobody_approves_by_leaving_a_field_empty(missing: str) -> None:
    """App, decision and who decides have no default; an empty name is none."""
    whole = {"app": "bot", "decision": "approve", "actor": "anna"}
    DecisionRequest.model_validate(whole)
    for broken in ({key: value for key, value in whole.items() if key != missing}, {**whole, missing: ""}):
        with pytest.raises(ValidationError):
            DecisionRequest.model_validate(broken)


def test_a_release_is_named_after_what_it_does(database: Database) -> None:
    """The run is called by what changes from what serves now; a rehearsal changes nothing."""
    record_app(database)
    changed = ReleaseRequest(app=APP, changes=Changes(variant=CANDIDATE.digest))
    rehearsed = ReleaseRequest(app=APP, changes=Changes(), allow_same=True)
    with database.read() as session:
        assert describe(session, changed) == f"{APP}: 1.0.0 -> 1.1.0"
        assert describe(session, rehearsed) == f"{APP}: rehearsal with {STABLE.label}"


def test_what_is_not_recorded_has_no_name(database: Database) -> None:
    """A request that can't be opened raises the same error that opening would."""
    record_app(database)
    with database.read() as session, pytest.raises(NotFoundError, match=r"9\.0\.0"):
        describe(session, ReleaseRequest(app=APP, changes=Changes(prompt="support@9.0.0")))
