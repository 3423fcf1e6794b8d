"""The official `openai` package with chat completions."""

import json
from collections import defaultdict
from typing import Any

import openai

from tests.gateway.clients.agents.lines import KEY, QUESTION, URL, Line, serve, weather

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "strict": True, "parameters": PARAMETERS}}
client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY)
histories: defaultdict[str, list[Any]] = defaultdict(list)


def talk(line: Line) -> str:
    """One turn: ask until there are words in place of calls of the tool."""
    history = histories[line.conversation]
    history.append({"role": "user", "content": QUESTION})
    while True:
        message = ask(line, history)
        history.append(message.to_dict())
        if not message.tool_calls:
            return str(message.content)
        for call in message.tool_calls:
            result = weather(**json.loads(call.function.arguments))
            history.append({"role": "tool", "tool_call_id": call.id, "content": result})


def ask(line: Line, history: list[Any]) -> Any:
    """One answer, whole or put together from its stream by the package."""
    request: dict[str, Any] = {"model": line.app, "messages": history, "tools": [TOOL], "user": line.user}
    if not line.stream:
        return client.chat.completions.create(**request).choices[0].message
    with client.chat.completions.stream(**request) as stream:
        return stream.get_final_completion().choices[0].message


if __name__ == "__main__":
    serve(talk)
