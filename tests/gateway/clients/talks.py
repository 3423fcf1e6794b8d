"""One question and its answer, in the same words for every client."""

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import orjson

from tests.gateway.worlds import APP

KEY = "sk-ours"
MESSAGES = [{"role": "user", "content": "Hi"}]
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@dataclass(frozen=True)
class Question:
    """What a client is to ask; `leave`: to close the stream as soon as the answer has finished.

    `retries` is how often the client may ask again by itself: 2 is what those that retry do unless told otherwise.
    """

    user: str
    stream: bool = False
    usage: bool = False
    tools: bool = False
    leave: bool = False
    retries: int = 2

    @property
    def request(self) -> dict[str, Any]:
        """The body of the request."""
        request: dict[str, Any] = {"model": APP, "messages": MESSAGES, "user": self.user, "stream": self.stream}
        if self.tools:
            request["tools"] = [{"type": "function", "function": WEATHER}]
        if self.usage:
            request["stream_options"] = {"include_usage": True}
        return request

    @property
    def line(self) -> bytes:
        """The question for a program that reads one in each line."""
        return orjson.dumps(asdict(self)) + b"\n"


@dataclass(frozen=True)
class Failure:
    """What a client made of a failure: its exception's type (`HTTP` where a client has none), and what that carries."""

    kind: str
    status: int | None
    message: str
    retry_after: str | None = None


@dataclass
class Answer:
    """What a client has heard: texts in a row, tokens as (input, output), and the failure that ended it."""

    text: str = ""
    finish_reason: str | None = None
    usage: tuple[int, int] | None = None
    tool_name: str = ""
    tool_arguments: str = ""
    failure: Failure | None = field(default=None)

    def add(self, document: dict[str, Any]) -> None:
        """Take in a whole answer, or one event of a stream."""
        for choice in document["choices"]:
            part = choice.get("message") or choice["delta"]
            self.text += part.get("content") or ""
            for call in part.get("tool_calls") or []:
                self.tool_name += call["function"].get("name") or ""
                self.tool_arguments += call["function"].get("arguments") or ""
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        if usage := document.get("usage"):
            self.usage = (usage["prompt_tokens"], usage["completion_tokens"])

    @classmethod
    def of_line(cls, line: bytes) -> "Answer":
        """The answer that a program wrote as a line."""
        fields = orjson.loads(line)
        answer = cls(**fields)
        answer.usage = answer.usage and (answer.usage[0], answer.usage[1])
        answer.failure = answer.failure and Failure(**fields["failure"])
        return answer


@dataclass(frozen=True)
class Failures:
    """The types of exceptions that a client's documentation names."""

    bad_request: str
    rate_limited: str
    in_a_stream: str


class Client(Protocol):
    """A client on its way through the conversation."""

    failures: Failures

    def ask(self, question: Question) -> Answer:
        """Ask, and wait for the answer or the failure."""
