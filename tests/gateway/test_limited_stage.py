"""A stage that is limited to some units: nobody else meets the candidate, and nobody else is compared."""

from collections import Counter
from typing import Any

import pytest

from softlaunch.gates.telemetry import Scope
from softlaunch.gateway.protocols.chat.protocol import ChatCompletions
from softlaunch.gateway.requests import AppRequest
from softlaunch.gateway.units import is_inside
from softlaunch.ledger.logged import Logged
from softlaunch.ledger.outcomes import read_outcomes
from softlaunch.policy.limited import OnlyPolicy
from softlaunch.policy.release import Stage, StageKind
from softlaunch.telemetry.queries import split_rows
from tests.gateway.worlds import APP, World

TEAM = {"header": "X-Team", "values": ["internal", "beta"]}
ANNA = {"values": ["anna"]}


@pytest.mark.parametrize(
    ("only", "headers", "unit", "expected"),
    [
        pytest.param(TEAM, {b"x-team": b"internal"}, "ann", True, id="the header's value"),
        pytest.param(TEAM, {b"x-team": b" beta "}, "ann", True, id="another one, with spaces around it"),
        pytest.param(TEAM, {b"x-team": b"Internal"}, "ann", False, id="other case"),
        pytest.param(TEAM, {b"x-team": b"internal, beta"}, "ann", False, id="several at once"),
        pytest.param(TEAM, {}, "internal", False, id="no header"),
        pytest.param(ANNA, {b"x-team": b"anna"}, "bob", False, id="another unit"),
        pytest.param(ANNA, {}, "anna", True, id="a unit by name"),
        pytest.param(None, {}, "bob", True, id="a stage for everybody"),
    ],
)
def test_who_is_inside(only: dict[str, Any] | None, headers: dict[bytes, bytes], unit: str, *, expected: bool) -> None:
    """Whose header, or name, is exactly one of the values."""
    request = AppRequest(ChatCompletions(), "r", APP, {}, headers, 0)
    assert is_inside(request, unit, None if only is None else OnlyPolicy.model_validate(only)) is expected


def _ask(world: World, users: range, **headers: str) -> Counter[str]:
    body = {"model": APP, "messages": [{"role": "user", "content": "Hi"}]}
    found: Counter[str] = Counter()
    for user in users:
        answer = world.client.post("/v1/chat/completions", json={**body, "user": str(user)}, headers=headers)
        found[answer.headers["x-softlaunch-arm"]] += 1
    return found


@pytest.mark.parametrize("weight", [pytest.param(50, id="split"), pytest.param(100, id="all of them")])
def test_nobody_else_meets_the_candidate_or_is_compared(world: World, weight: int) -> None:
    """Those inside are split by the weight; the evidence of the stage is theirs alone, and so is what it shows."""
    with world.watched():
        world.split(weight, stage=2, only=TEAM)
        inside = _ask(world, range(40), **{"x-team": "internal"})
        outside = _ask(world, range(40, 80))
        rows = world.rows(80)
        world.split(100, stage=3, only=None)
        opened = _ask(world, range(40, 50))
    assert set(outside) == {"stable"}
    assert opened == {"candidate": 10}
    assert inside["candidate"] == 40 if weight == 100 else 5 <= inside["candidate"] <= 35
    assert Counter((row.arm, row.weight_percent) for row in rows if row.stage == 2 and row.weight_percent == 0) == {
        ("stable", 0.0): 40
    }
    stage = Stage(2, StageKind.CANARY, "limited", float(weight), only=OnlyPolicy.model_validate(TEAM))
    with world.database.read() as session:
        seen = session.execute(split_rows(Scope(APP, "support-bot-1", stage), 0.0, 1e12)).all()
        shown = read_outcomes(session, APP, Logged("support-bot-1"), stage)
    assert len(seen) == 40
    assert sum(shown.candidate.values()) == inside["candidate"]
    assert sum(shown.stable.values()) == inside["stable"]
