"""`pydantic-ai` with Responses, with chat completions, or with Anthropic's Messages, as the third argument says."""

import asyncio
import sys
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.gateway.clients.agents.lines import KEY, QUESTION, URL, Line, serve, weather

histories: dict[str, list[Any]] = {}
runner = asyncio.Runner()


def model_of(app: str) -> Any:
    """The app as a model of the API."""
    match sys.argv[3]:
        case "messages":
            return AnthropicModel(app, provider=AnthropicProvider(base_url=URL, api_key=KEY))
        case "responses":
            return OpenAIResponsesModel(app, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY))
        case _:
            return OpenAIChatModel(app, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY))


async def talk(line: Line) -> str:
    """One turn, in which the package calls the tool."""
    agent: Any = Agent(model_of(line.app), tools=[weather])
    settings = {"extra_headers": {"x-user-id": line.user}}
    said = {"message_history": histories.get(line.conversation, []), "model_settings": settings}
    if line.stream:
        async with agent.run_stream(QUESTION, **said) as streamed:
            output = await streamed.get_output()
            histories[line.conversation] = streamed.all_messages()
        return str(output)
    result = await agent.run(QUESTION, **said)
    histories[line.conversation] = result.all_messages()
    return str(result.output)


if __name__ == "__main__":
    serve(lambda line: runner.run(talk(line)))
