"""OpenAI's `openai-agents`, which asks for Responses and sends the whole conversation each time."""

import asyncio
from typing import Any

import agents
import openai

from tests.gateway.clients.agents.lines import KEY, QUESTION, URL, Line, serve, weather

agents.set_tracing_disabled(True)
agents.set_default_openai_client(openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY))
histories: dict[str, list[Any]] = {}
runner = asyncio.Runner()


async def talk(line: Line) -> str:
    """One turn, in which the package calls the tool."""
    settings = agents.ModelSettings(extra_headers={"x-user-id": line.user})
    tools = [agents.function_tool(weather)]
    agent: Any = agents.Agent("helper", instructions="Help.", model=line.app, tools=tools, model_settings=settings)
    asked = [*histories.get(line.conversation, []), {"role": "user", "content": QUESTION}]
    result: Any
    if line.stream:
        result = agents.Runner.run_streamed(agent, asked)
        async for _ in result.stream_events():
            pass
    else:
        result = await agents.Runner.run(agent, asked)
    histories[line.conversation] = result.to_input_list()
    return str(result.final_output)


if __name__ == "__main__":
    serve(lambda line: runner.run(talk(line)))
