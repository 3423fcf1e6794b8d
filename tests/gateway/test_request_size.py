"""How large a request was before any answer: the same whichever arm answers, and however it answered before."""

from typing import Any

import pytest

from softlaunch.gateway.protocols.chat.requests import size_before_answers
from tests.gateway.worlds import World, running_world, variant
from tests.support.servers import FakeModels

USER = {"role": "user", "content": "Who are you?"}
SYSTEM = {"role": "system", "content": "Be kind."}


def said(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body of a request."""
    return {"messages": list(messages), **fields}


@pytest.mark.parametrize(
    ("body", "size"),
    [
        pytest.param(said(USER), 12, id="a question"),
        pytest.param(said(SYSTEM, USER), 20, id="with the client's own instructions"),
        pytest.param(said(USER, {"role": "assistant", "content": "I am a bot."}, USER), 12, id="a later turn"),
        pytest.param(said(USER, {"role": "assistant", "content": "x" * 9999}, USER), 12, id="after a longer answer"),
        pytest.param(said(USER, {"role": "tool", "content": "7"}), 12, id="after a tool"),
        pytest.param(said({"role": "assistant", "content": "Hello!"}, USER), 0, id="begun by the assistant"),
        pytest.param(said(USER, variables={"name": "Ann", "age": 7, "page": None}), 15, id="with variables"),
        pytest.param(
            said({"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url"}, "odd"]}),
            5,
            id="an image has no text",
        ),
        pytest.param(said({"role": ["user"], "content": 7}, {}, {"content": None}), 0, id="what no provider takes"),
    ],
)
def test_only_what_no_answer_can_have_changed_counts(body: dict[str, Any], size: int) -> None:
    """Texts up to the first answer, in characters, and the variables."""
    assert size_before_answers(body) == size


@pytest.mark.long
def test_the_log_has_the_same_size_for_either_arm_and_its_copies(ledger_url: str, models: FakeModels) -> None:
    """However much longer the candidate's own prompt is."""
    candidate = variant("candidate", models.endpoint, "You help. " * 500)
    with running_world(ledger_url, models, candidate=candidate) as world, world.watched():
        world.split(50, shadow_percent=100, control_percent=100)
        for number in range(20):
            assert world.ask(str(number), messages=[USER]).is_success
        rows = [*world.rows(20, mirrored=False), *world.rows(20, mirrored=True)]
    assert {row.arm for row in rows} == {"stable", "candidate", "shadow", "control"}
    assert {row.request_size for row in rows} == {12}


def test_a_rows_size_is_what_the_user_wrote(world: World) -> None:
    """Without stable's own prompt."""
    row = world.row_of(world.ask("ann", messages=[SYSTEM, USER], stream=False))
    assert (row.request_size, row.streamed) == (20, False)
    assert world.row_of(world.ask("ann", messages=[USER], stream=True)).streamed
