"""How many tokens an answer took, as providers tell it."""

from typing import Any

import pytest

from softlaunch.core.usage import Usage, read_usage

BASE = {"prompt_tokens": 1000, "completion_tokens": 100}


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        pytest.param(BASE, Usage(1000, 100), id="nothing but the two"),
        pytest.param(
            {**BASE, "prompt_tokens_details": {"cached_tokens": 900}, "completion_tokens_details": None},
            Usage(1000, 100, cached_tokens=900),
            id="OpenAI's cache",
        ),
        pytest.param(
            {
                **BASE,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 700},
                "completion_tokens_details": {"reasoning_tokens": 60, "audio_tokens": 30},
            },
            Usage(1000, 100, 0, None, 700, 60, 30),
            id="OpenAI's audio and reasoning",
        ),
        pytest.param(
            {**BASE, "prompt_cache_hit_tokens": 640, "prompt_cache_miss_tokens": 360},
            Usage(1000, 100, cached_tokens=640),
            id="DeepSeek",
        ),
        pytest.param({**BASE, "cached_tokens": 512}, Usage(1000, 100, cached_tokens=512), id="Moonshot"),
        pytest.param({**BASE, "num_cached_tokens": 512}, Usage(1000, 100, cached_tokens=512), id="Mistral"),
        pytest.param(
            {**BASE, "prompt_tokens_details": {"cached_tokens": 0}, "cached_tokens": 512},
            Usage(1000, 100, cached_tokens=512),
            id="a detail of zero, and the number elsewhere",
        ),
        pytest.param(
            {**BASE, "cache_read_input_tokens": 600, "cache_creation_input_tokens": 300, "total_tokens": 1100},
            Usage(1000, 100, 600, 300),
            id="Anthropic's names, the cache within the input",
        ),
        pytest.param(
            {
                "input_tokens": 100,
                "output_tokens": 100,
                "cache_read_input_tokens": 600,
                "cache_creation_input_tokens": 300,
            },
            Usage(1000, 100, 600, 300),
            id="Anthropic's own form, the cache beside the input",
        ),
        pytest.param(
            {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 1100, "cache_read_input_tokens": 900},
            Usage(1000, 100, 900),
            id="the total says that the cache is beside the input",
        ),
        pytest.param(
            {
                "prompt_tokens": 1000,
                "completion_tokens": 40,
                "total_tokens": 1100,
                "completion_tokens_details": {"reasoning_tokens": 60},
            },
            Usage(1000, 100, reasoning_tokens=60),
            id="xAI: the total says that the reasoning is beside the output",
        ),
        pytest.param({"prompt_tokens": 1000.0, "completion_tokens": 100.0}, Usage(1000, 100), id="whole floats"),
        pytest.param({**BASE, "total_tokens": 5}, Usage(1000, 100), id="a total that doesn't add up"),
        pytest.param(
            {**BASE, "prompt_tokens_details": {"cached_tokens": 1001}},
            Usage(1000, 100),
            id="more cached than there was",
        ),
        pytest.param(
            {**BASE, "prompt_tokens_details": {"cached_tokens": 900, "audio_tokens": 300}},
            Usage(1000, 100, cached_tokens=900, input_audio_tokens=100),
            id="audio that was cached counts as cached",
        ),
        pytest.param(
            {"prompt_tokens": -5, "completion_tokens": 100}, Usage(output_tokens=100), id="a negative count is unknown"
        ),
        pytest.param({"prompt_tokens": "1000", "completion_tokens": True}, None, id="neither texts nor truths"),
        pytest.param({"prompt_tokens": 2**40, "completion_tokens": 1.5}, None, id="impossible numbers"),
        pytest.param({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None, id="zeros for unknown"),
        pytest.param({"prompt_tokens": 1000, "completion_tokens": 0}, Usage(1000, 0), id="an empty answer"),
        pytest.param(
            {**BASE, "prompt_tokens_details": [1], "completion_tokens_details": 7}, Usage(1000, 100), id="odd"
        ),
        pytest.param({}, None, id="empty"),
        pytest.param(None, None, id="null"),
        pytest.param([1, 2], None, id="a list"),
    ],
)
def test_read_usage(told: Any, usage: Usage | None) -> None:
    """What a provider tells in its own way is the same usage; what it doesn't tell is unknown, never zero."""
    assert read_usage({"usage": told}) == usage


@pytest.mark.parametrize(
    ("told", "model", "usage"),
    [
        pytest.param(
            {**BASE, "total_tokens": 1600}, "gemini-2.5-pro", Usage(1000, 600, reasoning_tokens=500), id="thoughts"
        ),
        pytest.param(
            {"prompt_tokens": 1000, "total_tokens": 1500},
            "models/gemini-3-flash",
            Usage(1000, 500, reasoning_tokens=500),
            id="nothing but thoughts",
        ),
        pytest.param({**BASE, "total_tokens": 1100}, "gemini-2.5-pro", Usage(1000, 100), id="none"),
        pytest.param({**BASE, "total_tokens": 1600}, "sonar", Usage(1000, 100), id="another's total"),
    ],
)
def test_geminis_thoughts(told: Any, model: str, usage: Usage) -> None:
    """What Gemini thought stands in its total alone, and is paid as output."""
    assert read_usage({"usage": told, "model": model}) == usage


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param({"usage": None, "x_groq": {"id": "r", "usage": BASE}}, id="Groq's streams"),
        pytest.param({"choices": [{"index": 0, "delta": {}, "usage": BASE}]}, id="Moonshot's streams"),
        pytest.param({"choices": [], "usage": BASE, "x_groq": 7}, id="the usual place"),
    ],
)
def test_usage_stands_in_several_places(chunk: dict[str, Any]) -> None:
    """Streams tell it in their last chunk, each provider in its own corner."""
    assert read_usage(chunk) == Usage(1000, 100)


def test_a_later_chunk_adds_to_what_is_known() -> None:
    """Running totals replace each other, and a chunk that tells nothing takes nothing back."""
    usage = Usage(1000).updated(Usage(output_tokens=3)).updated(None).updated(Usage(1000, 100, cached_tokens=5))
    assert usage == Usage(1000, 100, cached_tokens=5)
