"""One system message: how a prompt's and a client's go together."""

from typing import Any

import pytest

from softlaunch.core.system_messages import SystemRule, join

OURS = {"role": "system", "content": "You serve Fernwood."}
THEIRS = {"role": "system", "content": "Use metric units."}
DEVELOPER = {"role": "developer", "content": "Use metric units."}
ASK = {"role": "user", "content": "hi"}
REPLY = {"role": "assistant", "content": "Hello."}
ONE = {"role": "system", "content": "You serve Fernwood.\n\nUse metric units."}
IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}


def text(words: str, **more: Any) -> dict[str, Any]:
    """A part of a message that is text."""
    return {"type": "text", "text": words, **more}


@pytest.mark.parametrize(
    ("prompt", "client", "sent"),
    [
        pytest.param([OURS], [ASK], [OURS, ASK], id="the prompt's alone"),
        pytest.param([OURS], [THEIRS, ASK], [ONE, ASK], id="two become one"),
        pytest.param([OURS], [DEVELOPER, ASK], [ONE, ASK], id="developer is the same kind; the prompt's role stays"),
        pytest.param([OURS], [ASK, REPLY, THEIRS, ASK], [ONE, ASK, REPLY, ASK], id="one in the midst moves up"),
        pytest.param([], [THEIRS, ASK], [THEIRS, ASK], id="the client's alone, untouched"),
        pytest.param([], [ASK, DEVELOPER], [DEVELOPER, ASK], id="the client's alone, moved"),
        pytest.param([ASK, REPLY], [THEIRS, ASK], [THEIRS, ASK, REPLY, ASK], id="before a prompt of examples"),
        pytest.param([OURS, ASK, REPLY], [THEIRS, ASK], [ONE, ASK, REPLY, ASK], id="before a prompt's examples"),
        pytest.param([OURS, THEIRS], [ASK], [ONE, ASK], id="two of the prompt's own"),
        pytest.param([OURS], [{**THEIRS, "content": ""}, ASK], [OURS, ASK], id="an empty one"),
        pytest.param([OURS], [{"role": "system"}, ASK], [OURS, ASK], id="one without content"),
        pytest.param([OURS], [{**THEIRS, "content": None}, ASK], [OURS, ASK], id="one of null"),
        pytest.param(
            [OURS], [{**THEIRS, "content": [text("Use metric"), text("units.")]}, ASK],
            [{**ONE, "content": "You serve Fernwood.\n\nUse metric\nunits."}, ASK], id="parts of text become text",
        ),
        pytest.param(
            [OURS], [{**THEIRS, "content": [text("x", cache_control={"type": "ephemeral"})]}, ASK],
            [{**OURS, "content": [text("You serve Fernwood."), text("x", cache_control={"type": "ephemeral"})]}, ASK],
            id="a mark for the cache survives",
        ),
        pytest.param(
            [OURS], [{**THEIRS, "content": [IMAGE]}, DEVELOPER, ASK],
            [{**OURS, "content": [text("You serve Fernwood."), IMAGE, text("Use metric units.")]}, ASK], id="an image",
        ),
        pytest.param([OURS], [{**THEIRS, "content": 7}, ASK], [OURS, {**THEIRS, "content": 7}, ASK], id="a number"),
        pytest.param([OURS], [{"role": ["system"]}, ASK], [OURS, {"role": ["system"]}, ASK], id="no role at all"),
        pytest.param([OURS], [THEIRS], [ONE], id="nothing but system messages"),
        pytest.param([], [], [], id="nothing"),
    ],
)  # fmt: skip
def test_merge(prompt: list[Any], client: list[Any], sent: list[Any]) -> None:
    """At most one system message goes out, it is the first, and no word of it is lost."""
    assert join(prompt, client, SystemRule.MERGE) == sent


def test_keep() -> None:
    """Everything as it came."""
    client = [ASK, THEIRS, DEVELOPER, ASK]
    assert join([OURS], client, SystemRule.KEEP) == [OURS, *client]


def test_replace() -> None:
    """The client's system messages are left out, whatever the prompt has."""
    assert join([OURS], [THEIRS, ASK, DEVELOPER, REPLY], SystemRule.REPLACE) == [OURS, ASK, REPLY]
    assert join([], [THEIRS, ASK], SystemRule.REPLACE) == [ASK]
