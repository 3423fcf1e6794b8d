"""What a decision is made from."""

from datetime import timedelta
from typing import Any

from softlaunch.core.arms import ByArm
from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release, State
from softlaunch.releases.decision import Snapshot
from tests.support.builders import NOON, make_policy, make_release, make_verdict

PASS, FAIL, INCONCLUSIVE, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR
PASSED = (make_verdict(PASS, "errors"), make_verdict(PASS, "latency"))
FAILED = make_verdict(FAIL, "latency")
UNSURE = make_verdict(INCONCLUSIVE, "latency")
SHADOW, FIRST, LAST = 1, 2, 4


def at(position: int = FIRST, policy: Policy | None = None) -> Release:
    """A release in the stage of this position of the plan."""
    states = {0: State.EVALUATING, SHADOW: State.SHADOWING}
    return make_release(states.get(position, State.CANARY), position, policy=policy or make_policy())


def seen(release: Release | None = None, *verdicts: Verdict, **known: Any) -> Snapshot:
    """A snapshot one minute into a stage whose deadline is in nine, with more than enough requests."""
    usual: dict[str, Any] = {
        "now": NOON + timedelta(minutes=1),
        "entered_at": NOON,
        "deadline_at": NOON + timedelta(minutes=10),
        "verdicts": verdicts or PASSED,
        "requests": ByArm(500, 500),
    }
    return Snapshot(release or at(), **{**usual, **known})


def with_approval() -> Policy:
    """A policy in which a person must agree before 50 %."""
    stages = [{"weight_percent": 10}, {"weight_percent": 50, "approval": True}, {"weight_percent": 100}]
    return make_policy(stages=[{"minimum_time": 5, "minimum_requests": 20, "deadline": 600, **one} for one in stages])


def undecided(at_deadline: str, position: int = FIRST, **known: Any) -> Snapshot:
    """A stage whose deadline passed a minute ago, under a policy that says what then."""
    base = make_policy()
    stages = [{**stage.model_dump(), "at_deadline": at_deadline} for stage in base.stages]
    assert base.shadow is not None
    policy = make_policy(stages=stages, shadow={**base.shadow.model_dump(), "at_deadline": at_deadline})
    late = {"now": NOON + timedelta(minutes=11), **known}
    return seen(at(position, policy), make_verdict(PASS, "errors"), UNSURE, **late)
