"""What of text a request carried besides its question."""

from typing import Any

import pytest

from softlaunch.gateway.protocols.context import context_of

TOOL = {"role": "tool", "tool_call_id": "c1", "content": "Order 7 left on Monday."}
BLOCK = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "Order 7 left on Monday."}]}
ITEM = {"type": "function_call_output", "call_id": "c1", "output": "Order 7 left on Monday."}


@pytest.mark.parametrize(
    ("body", "context"),
    [
        pytest.param(
            {
                "messages": [
                    {"role": "system", "content": "You know orders."},
                    {"role": "user", "content": "Where?"},
                    TOOL,
                ]
            },
            "You know orders.\n\nOrder 7 left on Monday.",
            id="chat completions",
        ),
        pytest.param(
            {"system": [{"type": "text", "text": "You know."}], "messages": [{"role": "user", "content": [BLOCK]}]},
            "You know.\n\nOrder 7 left on Monday.",
            id="the Messages API",
        ),
        pytest.param(
            {"instructions": "You know.", "input": [{"role": "user", "content": "Where?"}, ITEM]},
            "You know.\n\nOrder 7 left on Monday.",
            id="the Responses API",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": "Where?"}], "variables": {"documents": "Orders.", "count": 3}},
            "Orders.",
            id="variables of the prompt",
        ),
        pytest.param({"messages": [{"role": "user", "content": "Where?"}]}, None, id="nothing but the question"),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, 7]},
            None,
            id="what is no text",
        ),
    ],
)
def test_the_context_is_all_other_text(body: dict[str, Any], context: str | None) -> None:
    """In the order in which it stands in the request, whatever the protocol."""
    assert context_of(body, "Where?") == context
