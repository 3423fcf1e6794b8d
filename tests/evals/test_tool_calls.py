"""Tool calls of answers: read from completions, kept as text, read again."""

from typing import Any

import pytest

from softlaunch.evals.calls.tool_calls import tool_calls_in, tool_calls_of, write_tool_calls
from softlaunch.metrics import ToolCall


def message(*functions: Any) -> dict[str, Any]:
    """A completion's message that calls these functions."""
    return {"content": None, "tool_calls": [{"type": "function", "function": one} for one in functions]}


@pytest.mark.parametrize(
    ("told", "calls"),
    [
        pytest.param(message({"name": "f", "arguments": '{"a": 1}'}), (ToolCall("f", {"a": 1}),), id="one call"),
        pytest.param(
            message({"name": "f", "arguments": "{"}, {"name": "g", "arguments": "[1]"}),
            (ToolCall("f", None), ToolCall("g", None)),
            id="arguments that are no object",
        ),
        pytest.param(message("f", {"arguments": "{}"}), (), id="nothing that has a name"),
        pytest.param({"content": "hello"}, (), id="no calls"),
        pytest.param({"tool_calls": "f"}, (), id="no list"),
    ],
)
def test_tool_calls_survive_being_kept_as_text(told: dict[str, Any], calls: tuple[ToolCall, ...]) -> None:
    """What was called is what is read from the ledger later."""
    assert tool_calls_of(told) == calls
    assert not calls or tool_calls_in(write_tool_calls(calls)) == calls


@pytest.mark.parametrize(
    "text", ["", "call f", '{"tool_calls":[', '{"tool_calls":[{"name":"f"}]}', '{"tool_calls":[7]}']
)
def test_other_texts_hold_no_tool_calls(text: str) -> None:
    """However much they look like it."""
    assert tool_calls_in(text) == ()
