"""How the run of a release is named in Prefect's lists."""

from dataclasses import replace
from datetime import timedelta

import pytest

from softlaunch.core.approvals import ApprovalKind
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.approvals import Approval
from softlaunch.policy.freeze_windows import Frozen
from softlaunch.policy.release import State
from softlaunch.releases.views import ReleaseView
from softlaunch.releases.wording import tell_state
from softlaunch.tasks.questions import write_questions
from softlaunch.tasks.run_names import run_name, run_tag
from tests.support.builders import NOON
from tests.support.release_views import make_view, rolled_back

ASKED = Approval("bot-1", 3, next(iter(ApprovalKind)), "Enter canary 50 %?", NOON + timedelta(hours=1))


@pytest.mark.parametrize(
    ("view", "told", "tag"),
    [
        pytest.param(rolled_back(), "rolled back at canary 50 %: latency +391 %", "rolled-back", id="by its gates"),
        pytest.param(
            rolled_back(verdicts=(), reason="anna saw wrong prices"),
            "rolled back at canary 50 %: anna saw wrong prices",
            "rolled-back",
            id="by a person",
        ),
        pytest.param(
            make_view(State.REJECTED, 0, outcome=Outcome.FAIL, reason="accuracy fell"),
            "rejected at regression eval: accuracy fell",
            "rejected",
            id="by the eval",
        ),
        pytest.param(make_view(), "promoted: every stage passed", "promoted", id="promoted"),
    ],
)
def test_what_is_over_tells_its_outcome(view: ReleaseView, told: str, tag: str) -> None:
    """Message, name and tag say it; the name begins with what the release is about, whether it waited or not."""
    assert tell_state(view) == told
    assert run_name("bot: a -> b", view, told) == f"bot: a -> b | {told}"
    assert run_name("WAITS FOR YOU | bot: a -> b", view, told) == f"bot: a -> b | {told}"
    assert run_tag(view) == tag


def test_what_waits_for_a_person_says_so_first() -> None:
    """A list that cuts long names still shows it, and a tag finds it."""
    view = replace(make_view(State.CANARY, 2), approvals=(ASKED,))
    told = tell_state(view)
    assert told.startswith("waits for a person at canary 10 %: Enter canary 50 %?")
    assert run_name("bot: a -> b", view, told) == "WAITS FOR YOU | bot: a -> b"
    assert run_tag(view) == "waits-for-a-person"


def test_what_is_frozen_says_until_when() -> None:
    """What it is about comes first, and a tag finds it; it is forgotten when the freeze is over."""
    frozen = Frozen(NOON, NOON + timedelta(hours=1), "UTC", "quarter's end")
    view = replace(make_view(State.CANARY, 2), frozen=frozen)
    said = "bot: a -> b | frozen until Sun 2026-03-01 13:00 UTC (quarter's end)"
    assert run_name("bot: a -> b", view, tell_state(view)) == said
    assert run_tag(view) == "frozen"
    after = replace(view, frozen=None)
    assert (run_name(said, after, tell_state(after)), run_tag(after)) == ("bot: a -> b", "")


def test_a_release_under_way_has_its_title_alone() -> None:
    """Nothing is told of it that may be other in a moment."""
    view = make_view(State.CANARY, 2)
    assert (run_name("WAITS FOR YOU | bot: a -> b", view, tell_state(view)), run_tag(view)) == ("bot: a -> b", "")


def test_open_questions_are_listed_with_what_to_fill_in() -> None:
    """A release is named by its app, everything else by its number as well."""
    cleanup = replace(ASKED, release_id=None, id=12, text="Archive 40 versions | now?")
    written = write_questions([("bot", ASKED), ("shop", cleanup)])
    assert "| bot |  | Enter canary 50 %? | 2026" in written
    assert r"| shop | 12 | Archive 40 versions \| now? |" in written
    assert write_questions([]) == "Nothing waits for a person."
