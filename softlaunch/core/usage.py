"""How many tokens an answer took, wherever its provider says so.

Providers agree on `usage.prompt_tokens` and `usage.completion_tokens`, and on little else:

| what | where it stands |
| --- | --- |
| the usage itself | `usage`; `x_groq.usage` (Groq's streams); `choices[0].usage` (Moonshot's streams) |
| input, output | `prompt_tokens`, `completion_tokens`; else `input_tokens`, `output_tokens` |
| cached | `prompt_tokens_details.cached_tokens` (OpenAI, Azure, vLLM, xAI), `prompt_cache_hit_tokens` (DeepSeek) |
| | `cached_tokens` (Moonshot), `num_cached_tokens` (Mistral), `cache_read_input_tokens` (Anthropic, Bedrock) |
| written to a cache | `cache_creation_input_tokens` (Anthropic), `cache_write_input_tokens` (Bedrock) |
| | `prompt_tokens_details.cache_write_tokens` and `.cache_creation_tokens` (OpenRouter, LiteLLM) |
| reasoning | `completion_tokens_details.reasoning_tokens`, `reasoning_tokens` (Perplexity) |
| audio | `prompt_tokens_details.audio_tokens`, `completion_tokens_details.audio_tokens` |

Details may be called `input_tokens_details` and `output_tokens_details` too.

Gemini's compatible endpoint tells its reasoning in `total_tokens` alone, and bills it as output.

Cached, written and audio tokens are parts of the input, reasoning and audio tokens of the output. Anthropic's
`input_tokens` leaves the cache out, and xAI's `completion_tokens` the reasoning: then they are added.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_MOST_TOKENS = 2**31 - 1
_Document = Mapping[str, Any]

_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")
_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")
_CACHED_IN_DETAILS = ("cached_tokens", "cache_read_tokens")
_WRITTEN = ("cache_creation_input_tokens", "cache_write_input_tokens", "cache_write_tokens")
_WRITTEN_IN_DETAILS = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


class Usage(NamedTuple):
    """Tokens of one answer, each None where it was not reported.

    `cached_tokens` (read from a cache), `cache_write_tokens` and `input_audio_tokens` are parts of `input_tokens`,
    `reasoning_tokens` and `output_audio_tokens` of `output_tokens`; no part is larger than its whole.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    input_audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    output_audio_tokens: int | None = None

    @property
    def has_parts(self) -> bool:
        """Whether some of the tokens may have another price than the others."""
        return any(self[2:])

    def updated(self, later: "Usage | None") -> "Usage":
        """With the counts of a later chunk of the same answer; those that it lacks stay.

        An input that is told again without the cache's part of it is the rest of what was told before.
        """
        if later is None:
            return self
        if self is NO_USAGE:
            return later
        updated = Usage(*(old if new is None else new for old, new in zip(self, later, strict=True)))
        cache = (updated.cached_tokens or 0) + (updated.cache_write_tokens or 0)
        if self.input_tokens is not None and cache > (updated.input_tokens or 0):
            return updated._replace(input_tokens=max(self.input_tokens, updated.input_tokens or 0))
        return updated


NO_USAGE = Usage()
"""What is known before anything was told."""
_PLAIN = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})


def read_usage(document: _Document) -> Usage | None:
    """The usage that a completion, or one chunk of it, reports; None where it reports none.

    A count that is no whole number from 0 to 2^31 - 1 is unknown, and so is a part larger than its whole. An input of
    0 tokens is unknown too: no request has none, but some endpoints write zeros for what they didn't count.
    """
    plain = document.get("usage")
    if type(plain) is dict and plain.keys() <= _PLAIN:  # what most answers carry, at a tenth of the time
        usage = Usage(_count(plain.get("prompt_tokens")), _count(plain.get("completion_tokens")))
        if usage.input_tokens:
            return _with_thoughts(usage, plain, document)
    found = (_read(raw) for raw in _usage_documents(document))
    return next((_with_thoughts(usage, plain, document) for usage in found if usage is not None), None)


def _with_thoughts(usage: Usage, raw: object, document: _Document) -> Usage:
    """Gemini's usage with its thoughts, which it bills as output and tells only in the total."""
    total = _count(_mapping(raw).get("total_tokens"))
    known = (usage.input_tokens or 0) + (usage.output_tokens or 0)
    if total is None or total <= known or usage.reasoning_tokens or not usage.input_tokens:
        return usage
    if "gemini" not in str(document.get("model")).lower():
        return usage
    return usage._replace(output_tokens=total - usage.input_tokens, reasoning_tokens=total - known)


def _usage_documents(document: _Document) -> Iterator[_Document]:
    yield _mapping(document.get("usage"))
    yield _mapping(_mapping(document.get("x_groq")).get("usage"))
    choices = document.get("choices")
    if isinstance(choices, list) and choices:
        yield _mapping(_mapping(choices[0]).get("usage"))


def _read(raw: _Document) -> Usage | None:
    if not raw:
        return None
    inputs, outputs = _details(raw, _INPUT_DETAILS), _details(raw, _OUTPUT_DETAILS)
    usage = Usage(
        input_tokens=_first(raw, "prompt_tokens", "input_tokens"),
        output_tokens=_first(raw, "completion_tokens", "output_tokens"),
        cached_tokens=_either(_first(inputs, *_CACHED_IN_DETAILS), _first(raw, *_CACHED)),
        cache_write_tokens=_either(_first(inputs, *_WRITTEN_IN_DETAILS), _first(raw, *_WRITTEN)),
        input_audio_tokens=_first(inputs, "audio_tokens"),
        reasoning_tokens=_either(_first(outputs, "reasoning_tokens"), _first(raw, "reasoning_tokens")),
        output_audio_tokens=_first(outputs, "audio_tokens"),
    )
    usage = _fitted(_with_reasoning(_with_cache(usage, raw), raw))
    return usage if usage != Usage() else None


def _with_cache(usage: Usage, raw: _Document) -> Usage:
    """The whole input, where `input_tokens` or `prompt_tokens` leaves out what the cache had."""
    cache = (usage.cached_tokens or 0) + (usage.cache_write_tokens or 0)
    if usage.input_tokens is None or not cache:
        return usage
    is_native = "cache_read_input_tokens" in raw and ("prompt_tokens" not in raw or cache > usage.input_tokens)
    total = _count(raw.get("total_tokens"))
    adds_up = total is not None and total == usage.input_tokens + cache + (usage.output_tokens or 0)
    return usage._replace(input_tokens=usage.input_tokens + cache) if is_native or adds_up else usage


def _with_reasoning(usage: Usage, raw: _Document) -> Usage:
    """The whole output, where the total says that `completion_tokens` leaves out the reasoning."""
    total, reasoning = _count(raw.get("total_tokens")), usage.reasoning_tokens
    if None in {total, reasoning, usage.input_tokens, usage.output_tokens} or not reasoning:
        return usage
    output_tokens = (usage.output_tokens or 0) + reasoning
    return usage._replace(output_tokens=output_tokens) if total == (usage.input_tokens or 0) + output_tokens else usage


def _fitted(usage: Usage) -> Usage:
    """Without parts that are larger than their whole, without overlaps, and without an input of nothing.

    Audio that a cache had counts as cached, reasoning that was spoken as reasoning.
    """
    inputs = _parts(usage, usage.input_tokens or 0, "cached_tokens", "cache_write_tokens", "input_audio_tokens")
    outputs = _parts(usage, usage.output_tokens or 0, "reasoning_tokens", "output_audio_tokens")
    fitted = usage._replace(input_tokens=usage.input_tokens or None, **inputs, **outputs)
    is_placeholder = fitted.input_tokens is None and not fitted.output_tokens
    return fitted._replace(output_tokens=None) if is_placeholder else fitted


def _parts(usage: Usage, whole: int, *names: str) -> dict[str, int | None]:
    fitting: dict[str, int | None] = {}
    rest = whole
    for name in names:
        tokens = getattr(usage, name)
        fitting[name] = None if tokens is None or tokens > whole else min(tokens, rest)
        rest -= fitting[name] or 0
    return fitting


def _details(raw: _Document, names: tuple[str, ...]) -> _Document:
    return next((details for name in names if (details := _mapping(raw.get(name)))), {})


def _first(raw: _Document, *names: str) -> int | None:
    """The first of these counts that is one."""
    return next((count for name in names if (count := _count(raw.get(name))) is not None), None)


def _either(first: int | None, second: int | None) -> int | None:
    """The larger one: some gateways fill a detail with 0 and report the number elsewhere."""
    return max((count for count in (first, second) if count is not None), default=None)


def _count(value: object) -> int | None:
    if type(value) is int:
        return value if 0 <= value <= _MOST_TOKENS else None
    if isinstance(value, float) and value.is_integer():
        return int(value) if 0 <= value <= _MOST_TOKENS else None
    return None


def _mapping(value: object) -> _Document:
    return value if isinstance(value, dict) else {}
