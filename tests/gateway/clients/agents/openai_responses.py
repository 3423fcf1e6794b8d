"""The official `openai` package with Responses, each of which continues the one before by its id."""

import json
from typing import Any

import openai

from tests.gateway.clients.agents.lines import KEY, QUESTION, URL, Line, serve, weather
from tests.gateway.clients.agents.openai_chat import PARAMETERS

TOOL = {"type": "function", "name": "weather", "strict": True, "parameters": PARAMETERS}
client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY)
threads: dict[str, str] = {}


def talk(line: Line) -> str:
    """One turn: ask until there are words in place of calls of the tool."""
    said: list[Any] = [{"role": "user", "content": QUESTION}]
    while True:
        response = ask(line, said)
        threads[line.conversation] = response.id
        calls = [item for item in response.output if item.type == "function_call"]
        if not calls:
            return str(response.output_text)
        results = [(call.call_id, weather(**json.loads(call.arguments))) for call in calls]
        said = [{"type": "function_call_output", "call_id": one, "output": result} for one, result in results]


def ask(line: Line, said: list[Any]) -> Any:
    """One answer, whole or put together from its stream by the package."""
    before = threads.get(line.conversation, openai.omit)
    request: dict[str, Any] = {"model": line.app, "input": said, "tools": [TOOL], "user": line.user}
    if not line.stream:
        return client.responses.create(**request, previous_response_id=before)
    with client.responses.stream(**request, previous_response_id=before) as stream:
        return stream.get_final_response()


if __name__ == "__main__":
    serve(talk)
