"""A program with the official `anthropic` client, wrapped: prints what it was answered.

Its first argument is a folder of packages with that client.
"""

import asyncio
import json
import sys
from typing import Any

sys.path.append(sys.argv[1])  # behind everything of this environment

import anthropic

from softlaunch.client import Client, Options
from softlaunch.client.anthropic import wrap

ASK: dict[str, Any] = {
    "model": "support-bot",
    "max_tokens": 64,
    "metadata": {"user_id": "ann"},
    "messages": [{"role": "user", "content": "Hi"}],
}


async def ask_beside(app: Any, base_url: str) -> str:
    """One question of the asynchronous client."""
    async with wrap(anthropic.AsyncAnthropic(base_url=base_url, api_key="own", max_retries=0), app) as wrapped:
        answer = await wrapped.messages.create(**ASK)
        return str(answer.content[0].text)


def main(server: str, base_url: str) -> None:
    """Ask whole, streamed and beside; and once in vain."""
    with Client(server, options=Options(folder=None)) as client:
        app = client.app("support-bot")
        wrapped: Any = wrap(anthropic.Anthropic(base_url=base_url, api_key="own", max_retries=0), app)
        whole = wrapped.messages.create(**ASK).content[0].text
        events = wrapped.messages.create(**ASK, stream=True)
        streamed = "".join(event.delta.text for event in events if event.type == "content_block_delta")
        beside = asyncio.run(ask_beside(app, base_url))
        try:
            wrapped.messages.create(**{**ASK, "system": "fail"})
        except anthropic.InternalServerError as error:
            failed = error.status_code
        sys.stdout.write(json.dumps([whole, streamed, beside, failed]))


main(*sys.argv[2:])
