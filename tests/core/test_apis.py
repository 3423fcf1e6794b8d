"""Which APIs a model version serves."""

from typing import Any

import pytest

from softlaunch.core.api import Api
from softlaunch.core.prices import cost_usd, is_priced
from softlaunch.core.usage import Usage
from softlaunch.core.variant import ModelVersion

MODEL = {"name": "m", "provider": "rehearsal", "model": "m", "endpoint": "http://127.0.0.1:1/v1"}
OPENAIS = {Api.CHAT, Api.RESPONSES, Api.EMBEDDINGS, Api.COMPLETIONS}


@pytest.mark.parametrize(
    ("fields", "served"),
    [
        pytest.param({}, set(Api), id="of a provider that isn't known, what is asked for"),
        pytest.param({"provider": "openai"}, OPENAIS, id="OpenAI's"),
        pytest.param({"provider": "azure"}, OPENAIS, id="Azure's"),
        pytest.param({"provider": "anthropic"}, {Api.MESSAGES, Api.CHAT}, id="Anthropic's, with its layer for chats"),
        pytest.param({"provider": "anthropic", "apis": ["messages"]}, {Api.MESSAGES}, id="its own word"),
    ],
)
def test_what_a_model_serves(fields: dict[str, Any], served: set[Api]) -> None:
    """By its own word, or as its provider does."""
    assert ModelVersion.model_validate({**MODEL, **fields}).served_apis == served


def test_a_model_without_apis_keeps_its_digest() -> None:
    """What was recorded before them stays what it was."""
    assert "apis" not in ModelVersion.model_validate(MODEL).model_dump(mode="json")
    named = ModelVersion.model_validate({**MODEL, "apis": ["chat"]})
    assert named.model_dump(mode="json")["apis"] == ["chat"]
    assert named.digest != ModelVersion.model_validate(MODEL).digest


@pytest.mark.parametrize("apis", [[], ["telepathy"]])
def test_apis_that_there_are_not(apis: list[str]) -> None:
    """Are refused."""
    with pytest.raises(ValueError, match="apis"):
        ModelVersion.model_validate({**MODEL, "apis": apis})


def test_embeddings_are_priced_by_their_input() -> None:
    """Nothing is put out that could have a price."""
    own = ModelVersion.model_validate({**MODEL, "apis": ["embeddings"], "input_usd_per_million": 2})
    assert is_priced(own)
    assert cost_usd(own, Usage(1000, 0)) == pytest.approx(0.002)
    chat = own.model_copy(update={"apis": None})
    assert not is_priced(chat)
    assert cost_usd(chat, Usage(1000, 1)) is None
    published = ModelVersion.model_validate({**MODEL, "provider": "openai", "model": "text-embedding-3-small"})
    assert cost_usd(published, Usage(1_000_000, 0)) == pytest.approx(0.02)
