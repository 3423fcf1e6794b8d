"""One visit: a user asks the gateway, reads the answer to its end, and perhaps rates it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from softlaunch.simulator.cases import Case, is_right, text_of
from softlaunch.simulator.tally import UNKNOWN_ARM, Seen
from softlaunch.simulator.users import Person, Rating

REQUEST_ID_HEADER = "x-softlaunch-request-id"
ARM_HEADER = "x-softlaunch-arm"
VARIANT_HEADER = "x-softlaunch-variant"


@dataclass(slots=True)
class Reply:
    """What came back of one request; `failure` is None once the answer was read to its end."""

    text: str = ""
    failure: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def request_id(self) -> str | None:
        """The gateway's id of the request, which ratings name."""
        return self.headers.get(REQUEST_ID_HEADER)


async def ask(
    session: aiohttp.ClientSession, gateway: str, app: str, person: Person, case: Case, *, stream: bool
) -> tuple[Seen, Reply]:
    """Ask one question; every failure is part of the result."""
    body: dict[str, Any] = {"model": app, "user": person.user} | case.as_request()
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    reply = Reply()
    began = time.monotonic()
    try:
        async with session.post(f"{gateway}/v1/chat/completions", json=body) as response:
            reply.headers = response.headers
            if response.status != 200:
                reply.failure = f"http {response.status}"
            elif stream:
                reply.text = await _read_stream(response)
            else:
                reply.text = _text_of_choice(orjson.loads(await response.read()), "message")
    except TimeoutError:
        reply.failure = "timeout"
    except (ValueError, LookupError, TypeError, AttributeError, aiohttp.ClientPayloadError):
        reply.failure = "broken answer"
    except aiohttp.ClientError:
        reply.failure = "connection"
    return _seen(person, case, reply, time.monotonic() - began), reply


async def send_rating(session: aiohttp.ClientSession, gateway: str, reply: Reply, rating: Rating) -> bool:
    """Whether the gateway accepted a rating of the answer."""
    body = {"request_id": reply.request_id} | rating.body
    try:
        async with session.post(f"{gateway}/v1/feedback", json=body) as response:
            return response.status < 300
    except (aiohttp.ClientError, TimeoutError):
        return False


def _seen(person: Person, case: Case, reply: Reply, latency_s: float) -> Seen:
    return Seen(
        user=person.user,
        arm=reply.headers.get(ARM_HEADER, UNKNOWN_ARM),
        variant=reply.headers.get(VARIANT_HEADER, ""),
        latency_s=latency_s,
        right=reply.failure is None and is_right(case, reply.text),
        failure=reply.failure,
    )


async def _read_stream(response: aiohttp.ClientResponse) -> str:
    """The text of a stream; raises ValueError when an event is broken or the closing [DONE] is missing."""
    text: list[str] = []
    async for line in response.content:
        if not line.startswith(b"data:"):
            continue
        event = line[5:].strip()
        if event == b"[DONE]":
            return "".join(text)
        parsed = orjson.loads(event)
        if "error" in parsed:
            raise ValueError("the stream carries an error")
        if parsed["choices"]:
            text.append(_text_of_choice(parsed, "delta"))
    raise ValueError("the stream ended without [DONE]")


def _text_of_choice(completion: dict[str, Any], part: str) -> str:
    return text_of(completion["choices"][0][part].get("content"))
