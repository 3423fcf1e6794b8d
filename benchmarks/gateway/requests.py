"""What is asked: a request of each API, in several sizes, whole or streamed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_USER = "user-0000000"
_QUESTION = "Where is my parcel, and when will it be here?"
_SENTENCES = (
    'The tracking page says "in transit" since Tuesday and hasn\'t changed.',
    "I ordered two pairs of shoes in size 42 and one is missing.",
    "Could you please check whether the courier has the right address?\n\nIt is Müllerstraße 12, third floor.",
    "We have asked the depot; they answer within one working day.",
    "Your parcel left our house on Monday at 16:40 and reached the depot in Köln that night.",
    "You may change the delivery date in the app under *Orders* > *Delivery*.",
    'That is what I did, and it says: {"error": "not allowed", "code": 17}.',
    "I'm sorry about that – the sorting centre was closed for a day.",
    "Here is what I see:\n- order 7731: delivered\n- order 7732: waiting for pick-up\n- order 7733: no status",
    "The refund of 39.90 € comes with the next statement of your card.",
)


@dataclass(frozen=True, slots=True)
class RequestKind:
    """One way to ask: the path behind the base URL, and the body but for model and user."""

    path: str
    fields: Mapping[str, Any]
    user_in_metadata: bool = False
    """Messages name the user in `metadata.user_id`, the others in `user`."""

    def body(self, model: str) -> bytes:
        """The body that names a model and a user."""
        user = {"metadata": {"user_id": _USER}} if self.user_in_metadata else {"user": _USER}
        return orjson.dumps({"model": model, **user, **self.fields})


class Requests:
    """Requests that differ only in their user. They are cut up once, so that the load costs little."""

    def __init__(self, path: str, body: bytes) -> None:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer bench\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._before, _, self._after = (head.encode() + body).partition(_USER.encode())

    def of_user(self, number: int) -> bytes:
        """Head and body of a request by the user of that number."""
        return b"%buser-%07d%b" % (self._before, number, self._after)


def chat(*, stream: bool = False) -> RequestKind:
    """A chat of one short message."""
    asked = {"messages": [{"role": "user", "content": _QUESTION}]}
    streamed = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return RequestKind("/chat/completions", {**asked, **streamed})


def conversation(body_bytes: int) -> RequestKind:
    """A chat whose body has about so many bytes: turns of user and assistant with what their texts have in life."""
    chance = random.Random(body_bytes)
    asked = {"role": "user", "content": _QUESTION}
    turns: list[dict[str, str]] = []
    left = body_bytes - len(RequestKind("", {"messages": [asked]}).body("m"))
    while left > 0:
        text = " ".join(chance.choices(_SENTENCES, k=chance.randint(2, 24)))
        turn = {"role": ("user", "assistant")[len(turns) % 2], "content": text[:left]}
        turns.append(turn)
        left -= len(orjson.dumps(turn)) + 1
    return RequestKind("/chat/completions", {"messages": [*turns, asked]})


def responses() -> RequestKind:
    """A response to one short text."""
    return RequestKind("/responses", {"input": _QUESTION})


def messages() -> RequestKind:
    """A message in answer to one short message."""
    asked = {"max_tokens": 256, "messages": [{"role": "user", "content": _QUESTION}]}
    return RequestKind("/messages", asked, user_in_metadata=True)


def embeddings() -> RequestKind:
    """The embedding of one short text."""
    return RequestKind("/embeddings", {"input": _QUESTION})


def completions() -> RequestKind:
    """A completion of one short text."""
    return RequestKind("/completions", {"prompt": _QUESTION, "max_tokens": 256})
