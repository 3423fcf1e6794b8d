"""LangChain with chat completions, with Responses, or with Anthropic's Messages, as the third argument says."""

import sys
from collections import defaultdict
from functools import reduce
from operator import add
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from tests.gateway.clients.agents.lines import KEY, QUESTION, URL, Line, serve, weather

TOOL: Any = tool(weather)
histories: defaultdict[str, list[Any]] = defaultdict(list)


def model_of(line: Line) -> Any:
    """The app as a model of the API, for this user."""
    headers = {"x-user-id": line.user}
    if sys.argv[3] == "messages":
        return ChatAnthropic(model=line.app, base_url=URL, api_key=KEY, default_headers=headers)
    api = {"use_responses_api": sys.argv[3] == "responses"}
    return ChatOpenAI(model=line.app, base_url=f"{URL}/v1", api_key=KEY, default_headers=headers, **api)


def talk(line: Line) -> str:
    """One turn: ask until there are words in place of calls of the tool."""
    model, history = model_of(line).bind_tools([TOOL]), histories[line.conversation]
    history.append(HumanMessage(QUESTION))
    while True:
        message = reduce(add, model.stream(history)) if line.stream else model.invoke(history)
        history.append(message)
        if not message.tool_calls:
            return str(message.text)
        history.extend(TOOL.invoke(call) for call in message.tool_calls)


if __name__ == "__main__":
    serve(talk)
