"""Answers as providers of each API give them, whole and in events, in any order that their API allows."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.gateway.protocols.documents import SPELLINGS, VALUES, WORDS, Document, Spelling, spread

_SIGNS_OF_LIFE = [b": keep-alive\n\n", b":\n\n", b"retry: 3000\n\n", b"id: 7\n\n"]
_EMPTY_EVENTS = [b"data: ping\n\n", b"event: ping\ndata:\n\n"]
_PLACES = st.lists(st.integers(0, 9), max_size=3)
_SOME_TEXT = WORDS.filter(lambda text: bool(text.strip()))


@dataclass(frozen=True)
class Streamed:
    """`sent` is a whole stream: `before` with signs of life in it, then `tail`, which begins with the first token."""

    sent: bytes
    before: bytes
    tail: bytes


def _usage(*names: str) -> Document:
    return {name: 10 * place for place, name in enumerate(names, 1)}


def _event(document: Document, spelling: Spelling, name: bytes | None) -> bytes:
    """One event with some line before its data, its own name where `name` is None."""
    content = b"\ndata:".join(spelling.write(document).split(b"\n"))
    before = b"event: %s\n" % document["type"].encode() if name is None else name
    return before + b"data: " + content + b"\n\n"


@st.composite
def _streamed(
    draw: st.DrawFn, head: list[Document], token: Document, middle: list[Document], end: list[Document], *, named: bool
) -> Streamed:
    """The events, those of the middle in any order, with unknown events, fields and signs of life among them."""
    unknown: list[Document] = [{"type": "x_of_tomorrow", "name": "x"}] * draw(st.integers(0, 2))
    cut = draw(st.integers(0, len(unknown)))
    documents = [*head, *unknown[:cut], token, *draw(st.permutations([*middle, *unknown[cut:]])), *end]
    spelling, name = draw(SPELLINGS), None if named else draw(st.sampled_from([b"", b"id: 7\n", b":\n"]))
    events = [_event(document, spelling, name) for document in draw(spread(st.just(documents)))]
    begun = len(head) + cut
    before, tail = events[:begun], events[begun:]
    pinged = _with_some(before, draw(_PLACES), draw(st.sampled_from(_SIGNS_OF_LIFE + _EMPTY_EVENTS)), 0)
    tail = _with_some(tail, draw(_PLACES), draw(st.sampled_from(_SIGNS_OF_LIFE)), 1)
    line_end = draw(st.sampled_from([b"\n", b"\n", b"\r\n"]))
    sent, said, passed = (b"".join(part).replace(b"\n", line_end) for part in ([*pinged, *tail], before, tail))
    return Streamed(sent, said, passed)


def _with_some(events: list[bytes], places: list[int], sign: bytes, earliest: int) -> list[bytes]:
    """Events with a sign of life at these places, none behind the last event."""
    made = list(events)
    for place in places:
        made.insert(min(place + earliest, len(made) - 1), sign)
    return made


# Chat completions

_CALLS = st.lists(
    st.fixed_dictionaries({"id": st.just("call_1"), "type": st.just("function")}).map(
        lambda call: {**call, "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    ),
    max_size=2,
)
_CHAT_USAGE = {**_usage("prompt_tokens", "completion_tokens"), "prompt_tokens_details": {"cached_tokens": 4}}
_CHAT_HEAD = {"id": "chatcmpl-1", "created": 1700000000, "model": "gpt-test", "system_fingerprint": "fp_1"}
_MESSAGE = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | WORDS},
    optional={"tool_calls": _CALLS, "refusal": st.none() | WORDS, "annotations": st.lists(VALUES, max_size=1)},
)


@st.composite
def completion(draw: st.DrawFn) -> bytes:
    """A whole chat completion."""
    choice = {"index": 0, "message": draw(_MESSAGE), "logprobs": None, "finish_reason": draw(_FINISHES)}
    document = {**_CHAT_HEAD, "object": "chat.completion", "choices": [choice], "usage": _CHAT_USAGE}
    return draw(SPELLINGS).write(draw(spread(st.just(document))))


_FINISHES = st.sampled_from(["stop", "tool_calls", "length", "content_filter", "x_of_tomorrow"])


def _chunk(delta: Document, finish_reason: str | None = None) -> Document:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {**_CHAT_HEAD, "object": "chat.completion.chunk", "choices": [choice]}


@st.composite
def chunks(draw: st.DrawFn) -> Streamed:
    """A streamed chat completion up to its last choice's end: usage and the mark of the end follow."""
    text = [_chunk({"content": piece}) for piece in draw(st.lists(WORDS, max_size=2))]
    call = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": ""}}
    calls = [_chunk({"tool_calls": [call]}), _chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})]
    middle = text + draw(st.sampled_from([[], calls, [_chunk({"reasoning_content": "hm"})]]))
    first, token = _chunk({"role": "assistant", "content": ""}), _chunk({"content": draw(_SOME_TEXT)})
    return draw(_streamed([first], token, middle, [_chunk({}, draw(_FINISHES))], named=False))


# Responses

_RESPONSE_ID = "resp_0123456789abcdef"
_OUTPUT_TEXT = {"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": []}
_SAID = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [_OUTPUT_TEXT]}
_REASONED = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAAAA=="}
_CALLED = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
_SEARCHED = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search"}}
_ITEMS: st.SearchStrategy[list[Document]] = st.lists(
    st.sampled_from([_SAID, _REASONED, _CALLED, _SEARCHED]), max_size=3
)


def _response(output: list[Document], status: str = "completed") -> Document:
    usage = {**_usage("input_tokens", "output_tokens"), "output_tokens_details": {"reasoning_tokens": 4}}
    head = {"id": _RESPONSE_ID, "object": "response", "created_at": 1700000000, "status": status, "model": "gpt-test"}
    return {**head, "output": output, "usage": usage, "metadata": {}, "error": None, "incomplete_details": None}


@st.composite
def response(draw: st.DrawFn) -> bytes:
    """A whole response."""
    return draw(SPELLINGS).write(draw(spread(st.just(_response(draw(_ITEMS))))))


@st.composite
def response_events(draw: st.DrawFn) -> Streamed:
    """A streamed response, whose items may be told of in any order."""

    def of(kind: str, **fields: Any) -> Document:
        return {"type": f"response.{kind}", "sequence_number": 1, **fields}

    items = draw(_ITEMS)
    middle = [of("output_text.delta", output_index=0, delta=piece) for piece in draw(st.lists(WORDS, max_size=2))]
    middle += [of("output_item.done", output_index=place, item=item) for place, item in enumerate(items)]
    middle += [of("reasoning_summary_text.delta", item_id="rs_1", delta="hm"), of("web_search_call.searching")]
    begun = _response([], "in_progress")
    return draw(
        _streamed(
            [of("created", response=begun), of("in_progress", response=begun)],
            of("output_text.delta", output_index=0, delta=draw(_SOME_TEXT)),
            middle,
            [of(draw(st.sampled_from(["completed", "incomplete"])), response=_response(items))],
            named=True,
        )
    )


# Messages

_BLOCKS: st.SearchStrategy[list[Document]] = st.lists(
    st.sampled_from(
        [
            {"type": "text", "text": "Hello.", "citations": None},
            {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "EmwK"},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        ]
    ),
    max_size=3,
)
_STOPS = st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn", "x_of_tomorrow"])
_MESSAGE_USAGE = _usage("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")


def _message(content: list[Document], stop_reason: str | None) -> Document:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test", "content": content}
    return {**head, "stop_reason": stop_reason, "stop_sequence": None, "usage": _MESSAGE_USAGE}


@st.composite
def message(draw: st.DrawFn) -> bytes:
    """A whole message."""
    return draw(SPELLINGS).write(draw(spread(st.just(_message(draw(_BLOCKS), draw(_STOPS))))))


@st.composite
def message_events(draw: st.DrawFn) -> Streamed:
    """A streamed message, whose blocks may come beside each other."""

    def delta(index: int, kind: str, **fields: Any) -> Document:
        return {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", **fields}}

    middle = [delta(0, "text", text=piece) for piece in draw(st.lists(WORDS, max_size=2))]
    for place, block in enumerate(draw(_BLOCKS), 1):
        middle.append({"type": "content_block_start", "index": place, "content_block": block})
        middle.append({"type": "content_block_stop", "index": place})
    middle += [delta(1, "input_json", partial_json="{}"), delta(2, "signature", signature="EqQB"), {"type": "ping"}]
    ending = {"type": "message_delta", "delta": {"stop_reason": draw(_STOPS)}, "usage": {"output_tokens": 10}}
    started = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return draw(
        _streamed(
            [{"type": "message_start", "message": _message([], None)}, started],
            delta(0, "text", text=draw(_SOME_TEXT)),
            middle,
            [ending, {"type": "message_stop"}],
            named=True,
        )
    )


# Completions and embeddings

_TEXT_HEAD = {"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": "base-test"}


def _text(text: str, finish_reason: str | None = None) -> Document:
    return {**_TEXT_HEAD, "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": finish_reason}]}


@st.composite
def text_completion(draw: st.DrawFn) -> bytes:
    """A whole completion."""
    document = {**_text(draw(WORDS), draw(_FINISHES)), "usage": _CHAT_USAGE}
    return draw(SPELLINGS).write(draw(spread(st.just(document))))


@st.composite
def text_chunks(draw: st.DrawFn) -> Streamed:
    """A streamed completion up to its end."""
    middle = [_text(piece) for piece in draw(st.lists(WORDS, max_size=2))]
    token, end = _text(draw(_SOME_TEXT)), _text("", draw(_FINISHES))
    return draw(_streamed([_text("")], token, middle, [end], named=False))


@st.composite
def embeddings(draw: st.DrawFn) -> bytes:
    """Vectors, as numbers or in base64."""
    vector = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=4) | st.just("AACAPgAAAL8=")
    data = [
        {"object": "embedding", "index": place, "embedding": one}
        for place, one in enumerate(draw(st.lists(vector, min_size=1, max_size=3)))
    ]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    document = {"object": "list", "data": data, "model": "embedder-test", "usage": usage}
    return draw(SPELLINGS).write(draw(spread(st.just(document))))
