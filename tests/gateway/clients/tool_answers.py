"""What a fake provider answers in each API: a call of a tool, and once its result is there, words with it in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

Document = dict[str, Any]
ARGUMENTS = '{"city": "Oslo"}'
_PIECES = ('{"city": ', '"Oslo"}')
_INPUT = {"city": "Oslo"}


@dataclass(frozen=True)
class Turn:
    """One answer of a model: its words, or where it has none a call of `weather`; `number` makes its ids."""

    model: str
    number: int
    text: str | None

    @property
    def call_id(self) -> str:
        """The id that the tool's result names."""
        return f"call_{self.number}"


def last_of(content: object) -> Document:
    """The last message or item of a conversation."""
    return content[-1] if isinstance(content, list) and isinstance(content[-1], dict) else {}


# Chat completions


def chat_result(body: Document) -> str | None:
    """The tool's result, where that is the last thing said."""
    last = last_of(body["messages"])
    return str(last["content"]) if last.get("role") == "tool" else None


def completion(turn: Turn) -> Document:
    """A whole chat completion."""
    function = {"name": "weather", "arguments": ARGUMENTS}
    message: Document = {"role": "assistant", "content": turn.text}
    if turn.text is None:
        message["tool_calls"] = [{"id": turn.call_id, "type": "function", "function": function}]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_of_chat(turn)}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return {**_chat_head(turn, "chat.completion"), "choices": [choice], "usage": usage}


def chunks(turn: Turn) -> Iterator[bytes]:
    """A streamed one."""
    deltas: list[Document] = [{"role": "assistant", "content": "" if turn.text else None}]
    if turn.text is None:
        call = {"index": 0, "id": turn.call_id, "type": "function", "function": {"name": "weather", "arguments": ""}}
        deltas += [{"tool_calls": [call]}]
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in _PIECES]
    else:
        deltas += [{"content": piece} for piece in turn.text.partition(" ") if piece]
    head = _chat_head(turn, "chat.completion.chunk")
    for delta in deltas:
        yield _data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _data({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish_of_chat(turn)}]})
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    yield _data({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _finish_of_chat(turn: Turn) -> str:
    return "tool_calls" if turn.text is None else "stop"


def _chat_head(turn: Turn, kind: str) -> Document:
    return {"id": f"chatcmpl-{turn.number}", "object": kind, "created": 1700000000, "model": turn.model}


# Responses


def response_result(body: Document) -> str | None:
    """The tool's result, where that is the last thing said."""
    last = last_of(body["input"])
    return str(last["output"]) if last.get("type") == "function_call_output" else None


def output_item(turn: Turn, status: str = "completed") -> Document:
    """The one item of a response."""
    whole = status == "completed"
    if turn.text is None:
        named = {"id": f"fc_{turn.number}", "call_id": turn.call_id, "name": "weather", "status": status}
        return {"type": "function_call", **named, "arguments": ARGUMENTS if whole else ""}
    part = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
    message = {"type": "message", "id": f"msg_{turn.number}", "role": "assistant", "status": status}
    return {**message, "content": [part] if whole else []}


def response(turn: Turn, before: str | None, status: str = "completed") -> Document:
    """A whole response."""
    whole = status == "completed"
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110, **details}
    return {
        "id": f"resp_{turn.number}",
        "object": "response",
        "created_at": 1700000000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": turn.model,
        "output": [output_item(turn)] if whole else [],
        "parallel_tool_calls": True,
        "previous_response_id": before,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage if whole else None,
    }


def response_events(turn: Turn, before: str | None) -> Iterator[bytes]:
    """A streamed one."""
    begun = response(turn, before, "in_progress")
    item, place = output_item(turn), {"item_id": output_item(turn)["id"], "output_index": 0}
    told: list[Document] = [
        {"type": "created", "response": begun},
        {"type": "in_progress", "response": begun},
        {"type": "output_item.added", "output_index": 0, "item": output_item(turn, "in_progress")},
    ]
    if turn.text is None:
        told += [{"type": "function_call_arguments.delta", **place, "delta": piece} for piece in _PIECES]
        told += [{"type": "function_call_arguments.done", **place, "name": "weather", "arguments": ARGUMENTS}]
    else:
        part, place = item["content"][0], {**place, "content_index": 0}
        told += [{"type": "content_part.added", **place, "part": {**part, "text": ""}}]
        pieces = [piece for piece in turn.text.partition(" ") if piece]
        told += [{"type": "output_text.delta", **place, "delta": piece, "logprobs": []} for piece in pieces]
        told += [{"type": "output_text.done", **place, "text": turn.text, "logprobs": []}]
        told += [{"type": "content_part.done", **place, "part": part}]
    told += [{"type": "output_item.done", "output_index": 0, "item": item}]
    told += [{"type": "completed", "response": response(turn, before)}]
    for number, document in enumerate(told):
        yield _named({**document, "type": f"response.{document['type']}", "sequence_number": number})


# Messages


def message_result(body: Document) -> str | None:
    """The tool's result, where that is the last thing said."""
    block = last_of(last_of(body["messages"]).get("content"))
    if block.get("type") != "tool_result":
        return None
    content = block["content"]
    return content if isinstance(content, str) else str(content[0]["text"])


def message(turn: Turn) -> Document:
    """A whole message."""
    called = {"type": "tool_use", "id": f"toolu_{turn.number}", "name": "weather", "input": _INPUT}
    content = [called] if turn.text is None else [{"type": "text", "text": turn.text}]
    head = {"id": f"msg_{turn.number}", "type": "message", "role": "assistant", "model": turn.model}
    usage = {"input_tokens": 100, "output_tokens": 10}
    return {**head, "content": content, "stop_reason": _stop_of(turn), "stop_sequence": None, "usage": usage}


def message_events(turn: Turn) -> Iterator[bytes]:
    """A streamed one."""
    whole = message(turn)
    block = whole["content"][0]
    if turn.text is None:
        empty = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _PIECES]
    else:
        empty = {**block, "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in turn.text.partition(" ") if piece]
    yield _named({"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}})
    yield _named({"type": "content_block_start", "index": 0, "content_block": empty})
    yield _named({"type": "ping"})
    for delta in deltas:
        yield _named({"type": "content_block_delta", "index": 0, "delta": delta})
    yield _named({"type": "content_block_stop", "index": 0})
    ending = {"stop_reason": _stop_of(turn), "stop_sequence": None}
    yield _named({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 10}})
    yield _named({"type": "message_stop"})


def _stop_of(turn: Turn) -> str:
    return "tool_use" if turn.text is None else "end_turn"


def _data(document: Document) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _named(document: Document) -> bytes:
    return b"event: %s\n" % document["type"].encode() + _data(document)
