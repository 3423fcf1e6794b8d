"""Requests as clients of each API send them, with every kind of content that it has."""

from typing import Any

from hypothesis import strategies as st

from tests.gateway.protocols.documents import VALUES, WORDS, Document
from tests.gateway.worlds import APP

_IMAGE = "data:image/png;base64,iVBORw0KGgo="
_SCHEMA: st.SearchStrategy[Document] = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(WORDS, st.just({"type": "string"}), max_size=2)},
    optional={"required": st.lists(WORDS, max_size=2), "additionalProperties": st.booleans(), "default": VALUES},
)
_VARIABLES = st.fixed_dictionaries({"who": st.just("Ann")}, optional={"city": WORDS})
_COMMON: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "metadata": st.dictionaries(WORDS, WORDS, max_size=2),
    "service_tier": st.sampled_from(["auto", "flex"]),
    "stream": st.just(False),
}


def _document(**fields: Any) -> st.SearchStrategy[Document]:
    """An object with these fields: strategies, or values that are always the same."""
    given = {name: one if isinstance(one, st.SearchStrategy) else st.just(one) for name, one in fields.items()}
    return st.fixed_dictionaries(given)


def _some(*shapes: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*shapes), min_size=1, max_size=3)


def _request(needed: Document, optional: Document) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries({"model": st.just(APP), **needed, "variables": _VARIABLES}, optional=optional)


# Chat completions

_CHAT_TEXT = _document(type="text", text=WORDS)
_CHAT_CONTENT = WORDS | _some(
    _CHAT_TEXT,
    _document(type="image_url", image_url={"url": _IMAGE, "detail": "low"}),
    _document(type="input_audio", input_audio={"data": "UklGRg==", "format": "wav"}),
    _document(type="file", file={"file_id": "file-1"}),
)
_CHAT_CALL = _document(id="call_1", type="function", function=_document(name="weather", arguments=VALUES.map(str)))
_CHAT_MESSAGES = _some(
    _document(role=st.sampled_from(["system", "developer"]), content=WORDS | _some(_CHAT_TEXT)),
    _document(role="user", content=_CHAT_CONTENT),
    _document(role="user", content=_CHAT_CONTENT, name="ann"),
    _document(role="assistant", content=st.none() | WORDS, tool_calls=st.lists(_CHAT_CALL, max_size=2)),
    _document(role="assistant", content=None, refusal=WORDS, audio={"id": "audio_1"}, reasoning_content=WORDS),
    _document(role="tool", tool_call_id="call_1", content=WORDS | _some(_CHAT_TEXT)),
)
_CHAT_TOOLS = _some(
    _document(type="function", function=_document(name="weather", description=WORDS, parameters=_SCHEMA, strict=True)),
    _document(type="custom", custom={"name": "shell", "format": {"type": "grammar"}}),
)
CHAT = _request(
    {"messages": _CHAT_MESSAGES},
    {
        **_COMMON,
        "tools": _CHAT_TOOLS,
        "tool_choice": st.sampled_from(["auto", {"type": "function", "function": {"name": "weather"}}]),
        "response_format": _document(type="json_schema", json_schema=_document(name="x", schema=_SCHEMA)),
        "reasoning_effort": st.sampled_from(["minimal", "high"]),
        "logit_bias": st.dictionaries(st.integers(0, 99).map(str), st.integers(-100, 100), max_size=2),
        "seed": st.integers(-(2**63), 2**63),
        "max_completion_tokens": st.integers(1, 2**31),
        "prediction": _document(type="content", content=WORDS),
        "stream_options": st.fixed_dictionaries(
            {"include_obfuscation": st.just(False)}, optional={"include_usage": st.booleans()}
        ),
        "user": WORDS,
    },
)

# Responses

_INPUT_TEXT = _document(type="input_text", text=WORDS)
_RESPONSE_ITEMS = _some(
    _document(role=st.sampled_from(["user", "developer"]), content=WORDS | _some(_INPUT_TEXT)),
    _document(
        type="message",
        role="user",
        content=_some(
            _INPUT_TEXT,
            _document(type="input_image", image_url=_IMAGE, detail="auto"),
            _document(type="input_audio", input_audio={"data": "UklGRg==", "format": "wav"}),
            _document(type="input_file", file_id="file-1"),
        ),
    ),
    _document(
        type="message",
        id="msg_1",
        role="assistant",
        status="completed",
        content=_some(_document(type="output_text", text=WORDS, annotations=st.lists(VALUES, max_size=1))),
    ),
    _document(type="reasoning", id="rs_1", summary=st.lists(_document(type="summary_text", text=WORDS), max_size=1))
    | _document(type="reasoning", id="rs_1", summary=st.just([]), encrypted_content="gAAAAA=="),
    _document(type="function_call", id="fc_1", call_id="call_1", name="weather", arguments=VALUES.map(str)),
    _document(type="function_call_output", call_id="call_1", output=WORDS | _some(_INPUT_TEXT)),
    _document(type="item_reference", id="msg_1"),
)
_RESPONSE_TOOLS = _some(
    _document(type="function", name="weather", parameters=_SCHEMA, strict=st.booleans()),
    _document(type="web_search", user_location={"type": "approximate", "country": "NO"}),
    _document(type="mcp", server_label="x", server_url="https://mcp.example.com", require_approval="never"),
)
RESPONSES = _request(
    {"input": WORDS | _RESPONSE_ITEMS},
    {
        **_COMMON,
        "instructions": WORDS.filter(bool),
        "tools": _RESPONSE_TOOLS,
        "tool_choice": st.sampled_from(["auto", "required"]),
        "reasoning": _document(effort="low", summary="auto"),
        "text": _document(verbosity="low", format=_document(type="json_schema", name="x", schema=_SCHEMA)),
        "include": st.just(["reasoning.encrypted_content"]),
        "store": st.booleans(),
        "truncation": st.just("auto"),
        "prompt_cache_key": WORDS,
        "max_output_tokens": st.integers(16, 2**31),
    },
)

# Messages

_CACHED = {"type": "ephemeral", "ttl": "1h"}
_TEXT_BLOCK = _document(type="text", text=WORDS) | _document(type="text", text=WORDS, cache_control=_CACHED)
_SOURCE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
_IMAGE_BLOCK = _document(type="image", source=_SOURCE)
_MESSAGES = _some(
    _document(role="user", content=WORDS),
    _document(
        role="user",
        content=_some(
            _TEXT_BLOCK,
            _IMAGE_BLOCK,
            _document(type="document", source={"type": "file", "file_id": "file_1"}, citations={"enabled": True}),
            _document(type="tool_result", tool_use_id="toolu_1", content=WORDS | _some(_TEXT_BLOCK, _IMAGE_BLOCK)),
        ),
    ),
    _document(
        role="assistant",
        content=_some(
            _TEXT_BLOCK,
            _document(type="thinking", thinking=WORDS, signature="EqQB"),
            _document(type="redacted_thinking", data="EmwK"),
            _document(type="tool_use", id="toolu_1", name="weather", input=st.dictionaries(WORDS, VALUES, max_size=2)),
        ),
    ),
)
_MESSAGE_TOOLS = _some(
    _document(name="weather", description=WORDS, input_schema=_SCHEMA),
    _document(name="weather", input_schema=_SCHEMA, cache_control=_CACHED),
    _document(type="web_search_20250305", name="web_search", max_uses=5),
)
MESSAGES = _request(
    {"messages": _MESSAGES, "max_tokens": st.integers(1, 2**31)},
    {
        **_COMMON,
        "system": WORDS.filter(bool) | _some(_TEXT_BLOCK),
        "tools": _MESSAGE_TOOLS,
        "tool_choice": st.just({"type": "auto", "disable_parallel_tool_use": True}),
        "thinking": _document(type="enabled", budget_tokens=st.integers(1024, 2**31)),
        "metadata": _document(user_id=WORDS),
        "top_k": st.integers(0, 2**31),
        "container": WORDS,
        "context_management": _document(edits=st.just([{"type": "clear_tool_uses_20250919"}])),
    },
)

# Completions and embeddings

_TOKENS = st.lists(st.integers(0, 200_000), min_size=1, max_size=4)
COMPLETIONS = _request(
    {"prompt": WORDS | st.lists(WORDS, min_size=1, max_size=3)},
    {
        **{name: one for name, one in _COMMON.items() if name != "metadata"},
        "suffix": WORDS,
        "echo": st.booleans(),
        "logprobs": st.integers(0, 5),
        "logit_bias": st.dictionaries(st.integers(0, 99).map(str), st.integers(-100, 100), max_size=2),
        "max_tokens": st.integers(1, 2**31),
        "stream_options": st.fixed_dictionaries({}, optional={"include_usage": st.booleans()}),
        "user": WORDS,
    },
)
EMBEDDINGS = _request(
    {
        "input": WORDS.filter(bool)
        | st.lists(WORDS, min_size=1, max_size=3)
        | _TOKENS
        | st.lists(_TOKENS, min_size=1, max_size=3)
    },
    {
        "dimensions": st.integers(1, 4096),
        "encoding_format": st.sampled_from(["float", "base64"]),
        "input_type": st.just("query"),
        "user": WORDS,
    },
)
