"""The official `anthropic` package."""

from collections import defaultdict
from typing import Any

import anthropic

from tests.gateway.clients.agents.lines import KEY, QUESTION, URL, Line, serve, weather

TOOL = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
client = anthropic.Anthropic(base_url=URL, api_key=KEY)
histories: defaultdict[str, list[Any]] = defaultdict(list)


def talk(line: Line) -> str:
    """One turn: ask until there are words in place of calls of the tool."""
    history = histories[line.conversation]
    history.append({"role": "user", "content": QUESTION})
    while True:
        message = ask(line, history)
        history.append({"role": "assistant", "content": message.content})
        calls = [block for block in message.content if block.type == "tool_use"]
        if not calls:
            return "".join(block.text for block in message.content)
        results = [(call.id, weather(**call.input)) for call in calls]
        blocks = [{"type": "tool_result", "tool_use_id": one, "content": result} for one, result in results]
        history.append({"role": "user", "content": blocks})


def ask(line: Line, history: list[Any]) -> Any:
    """One answer, whole or put together from its stream by the package."""
    request: dict[str, Any] = {"model": line.app, "messages": history, "tools": [TOOL], "max_tokens": 1000}
    request["metadata"] = {"user_id": line.user}
    if not line.stream:
        return client.messages.create(**request)
    with client.messages.stream(**request) as stream:
        return stream.get_final_message()


if __name__ == "__main__":
    serve(talk)
