"""Variants: identity, rendering, and the body that is sent for a client's request."""

import json
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from softlaunch.core.variant import (
    ModelVersion,
    PromptMessage,
    PromptVersion,
    Sampling,
    TemplateVariablesError,
    Variant,
    differences,
)
from tests.support.builders import make_variant

QUESTION = {"role": "user", "content": "Where is my parcel?"}


def prompt(*contents: str, **fields: Any) -> PromptVersion:
    """A prompt of system messages."""
    messages = tuple(PromptMessage(role="system", content=content) for content in contents)
    return PromptVersion.model_validate({"name": "support", "version": "1.0.0", "messages": messages, **fields})


def test_the_digest_survives_a_round_trip_through_json() -> None:
    """What was recorded and read again is the same variant."""
    variant = make_variant(input_usd_per_million=1, output_usd_per_million=2.5)
    again = Variant.model_validate(json.loads(json.dumps(variant.model_dump(mode="json"))))
    assert again == variant
    assert again.digest == variant.digest
    assert len(variant.digest) == 64
    assert variant.digest.startswith(variant.short)


def test_the_digest_does_not_depend_on_the_order_of_a_mapping() -> None:
    """Two files that list the same defaults in another order are the same prompt."""
    one = prompt("{{ a }}{{ b }}", defaults={"a": "1", "b": "2"})
    other = prompt("{{ a }}{{ b }}", defaults={"b": "2", "a": "1"})
    assert one.digest == other.digest


def test_the_digest_does_not_depend_on_how_a_number_is_written() -> None:
    """A temperature of 1 is a temperature of 1.0."""
    assert Sampling(temperature=1).digest == Sampling.model_validate({"temperature": 1.0}).digest


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(make_variant("1.0.1"), id="prompt version"),
        pytest.param(make_variant(prompt="You help a lot."), id="prompt text"),
        pytest.param(make_variant(model="steady-2"), id="model id"),
        pytest.param(make_variant(endpoint="http://127.0.0.1:10/v1"), id="endpoint"),
        pytest.param(make_variant().model_copy(update={"sampling": Sampling(temperature=0)}), id="sampling"),
    ],
)
def test_any_change_is_another_variant(changed: Variant) -> None:
    """Nothing that changes answers can hide behind an old digest."""
    assert Variant.model_validate(changed.model_dump()).digest != make_variant().digest


def test_the_label_names_what_people_know() -> None:
    """Prompt, model, and the sampling parameters that are set."""
    variant = Variant(prompt=make_variant().prompt, model=make_variant().model, sampling=Sampling(temperature=0.2))
    assert variant.label == "support@1.0.0 on steady, temperature 0.2"


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        pytest.param(PromptMessage, {"role": "oracle", "content": ""}, "role", id="unknown role"),
        pytest.param(Sampling, {"temprature": 1}, "Extra inputs", id="misspelt parameter"),
        pytest.param(Sampling, {"max_tokens": 1, "max_completion_tokens": 1}, "not both", id="two limits"),
        pytest.param(Sampling, {"temperature": 3}, "less than or equal to 2", id="too hot"),
        pytest.param(
            ModelVersion,
            {"name": "m", "provider": "p", "model": "m", "endpoint": "localhost:1"},
            "pattern",
            id="endpoint without scheme",
        ),
        pytest.param(
            PromptVersion, {"name": "Support", "version": "1.0.0", "messages": []}, "is not a name", id="capital letter"
        ),
        pytest.param(
            PromptVersion, {"name": "s", "version": "1.0", "messages": []}, "such as 1.4.0", id="two-part version"
        ),
        pytest.param(
            PromptVersion,
            {"name": "s", "version": "1.0.0", "messages": [{"role": "system", "content": "{{ open"}]},
            "no valid template",
            id="broken template",
        ),
    ],
)
def test_impossible_content_is_refused(kind: type[Any], content: dict[str, Any], said: str) -> None:
    """A mistake shows when the content is read, and says what is wrong."""
    with pytest.raises(ValidationError, match=said):
        kind.model_validate(content)


def test_a_prompt_goes_before_the_clients_messages() -> None:
    """The rendered messages come first, as one system message; the client's follow unchanged."""
    rendered = prompt("You are {{ name }}.", "Be brief.").render([QUESTION], {"name": "Ada"})
    assert rendered == [{"role": "system", "content": "You are Ada.\n\nBe brief."}, QUESTION]


@pytest.mark.parametrize(
    ("rule", "contents"),
    [
        pytest.param("merge", ["You are kind.\n\nBe {{ brief }}."], id="merge"),
        pytest.param("keep", ["You are kind.", "Be {{ brief }}."], id="keep"),
        pytest.param("replace", ["You are kind."], id="replace"),
    ],
)
def test_a_prompt_says_what_becomes_of_the_clients_system_messages(rule: str, contents: list[str]) -> None:
    """And what a client writes is never a template."""
    theirs = {"role": "system", "content": "Be {{ brief }}."}
    rendered = prompt("You are kind.", system=rule).render([theirs, QUESTION], {})
    assert [message["content"] for message in rendered] == [*contents, QUESTION["content"]]


def test_fields_that_came_later_leave_digests_alone() -> None:
    """What was recorded before they were there is the same content still."""
    message = PromptMessage(role="system", content="You help {{ name }}.")
    variant = Variant(
        prompt=PromptVersion(
            name="support",
            version="1.4.0",
            messages=(message,),
            defaults={"name": "Ann"},
            author="a@example.com",
            created=date(2026, 3, 2),
            purpose="first",
        ),
        model=ModelVersion(
            name="gpt",
            provider="openai",
            model="gpt-4o-2024-08-06",
            endpoint="https://api.openai.com/v1",
            api_key_env="OPENAI_API_KEY",
            input_usd_per_million=2.5,
            output_usd_per_million=10,
        ),
        sampling=Sampling(temperature=0.2, max_tokens=100),
    )
    assert variant.digest == "2a27d0021acef4161afc3f95052c2c7c41b80cb5475197cba98a6d34c6055e16"
    assert variant.prompt.digest == "ca57b3b59e6275aef70ed22b985978d7be7900f511afde5226250ca50fe62c1e"
    assert variant.model.digest == "1fb071df789104820adaccb499f9b60fc6065ff7ddcc0e117e4ede1504118e8b"
    assert variant.sampling.digest == "ab0e215aef34cd25da6ae0e9cfebf3e0019c01e0cf40f318fb5aa5eabb695b2e"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"headers": {"x-team": "a", "api-key": {"env": "KEY"}}}, id="headers"),
        pytest.param({"stream_usage": "never"}, id="stream_usage"),
        pytest.param({"cached_input_usd_per_million": 0}, id="a price of nothing"),
        pytest.param({"cache_write_usd_per_million": 3.75}, id="a price for what is written"),
    ],
)
def test_what_a_model_says_survives_a_round_trip(fields: dict[str, Any]) -> None:
    """Fields that are used are part of the content, and are read again as they were."""
    variant = make_variant(**fields)
    again = Variant.model_validate(json.loads(json.dumps(variant.model_dump(mode="json"))))
    assert again == variant
    assert again.digest == variant.digest != make_variant().digest


@pytest.mark.parametrize(
    ("sampling", "request_limits", "sent"),
    [
        pytest.param({"max_tokens": 100}, {"max_completion_tokens": 50}, {"max_tokens": 100}, id="the variant's"),
        pytest.param({"max_tokens": 100}, {"max_tokens": 50}, {"max_tokens": 100}, id="the variant's, spelt alike"),
        pytest.param(
            {"max_completion_tokens": 9}, {"max_tokens": 50}, {"max_completion_tokens": 9}, id="the other way"
        ),
        pytest.param(
            {"max_tokens": 100}, {"max_tokens": 1, "max_completion_tokens": 2}, {"max_tokens": 100}, id="both"
        ),
        pytest.param({}, {"max_tokens": 50}, {"max_tokens": 50}, id="the client's old one"),
        pytest.param({}, {"max_completion_tokens": 50}, {"max_completion_tokens": 50}, id="the client's new one"),
        pytest.param({}, {"max_tokens": 1, "max_completion_tokens": 2}, {"max_completion_tokens": 2}, id="two of it"),
        pytest.param({}, {"max_tokens": 7, "max_completion_tokens": None}, {"max_tokens": 7}, id="a null beside one"),
        pytest.param({}, {"max_tokens": None, "max_completion_tokens": 7}, {"max_completion_tokens": 7}, id="the same"),
        pytest.param({}, {}, {}, id="none"),
    ],
)
def test_one_limit_of_the_length_goes_out(
    sampling: dict[str, Any], request_limits: dict[str, Any], sent: dict[str, Any]
) -> None:
    """Endpoints refuse the two spellings together."""
    variant = Variant(prompt=prompt(), model=make_variant().model, sampling=Sampling(**sampling))
    body = variant.request_body({"messages": [], **request_limits})
    assert {key: value for key, value in body.items() if key.startswith("max_")} == sent


def test_defaults_fill_what_a_request_leaves_out() -> None:
    """A request's variable beats the default."""
    greeting = prompt("{{ tone }} {{ name }}", defaults={"tone": "kind", "name": "you"})
    assert greeting.render([], {"name": "Ada"})[0]["content"] == "kind Ada"


def test_missing_variables_are_named() -> None:
    """Who forgot variables is told which, all at once."""
    with pytest.raises(TemplateVariablesError, match=r"support@1\.0\.0 needs a value for: city, name"):
        prompt("{{ name }} in {{ city }} {{ tone }}", defaults={"tone": "kind"}).render([], {})


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("{{ name.__class__ }}", id="a class"),
        pytest.param("{{ name.__class__.__mro__[1].__subclasses__() }}", id="every class"),
        pytest.param("{{ ''['__class__'] }}", id="by subscript"),
        pytest.param("{{ name|attr('__class__') }}", id="by filter"),
        pytest.param("{{ '{0.__class__}'.format(name) }}", id="by format"),
        pytest.param("{{ self.__init__.__globals__ }}", id="globals"),
        pytest.param("{{ 1 // 0 }}", id="an expression that fails"),
    ],
)
def test_templates_can_not_leave_their_sandbox(template: str) -> None:
    """A template reaches the variables' text and nothing behind it; whatever it raises is said as one error."""
    with pytest.raises(TemplateVariablesError, match="can't be rendered"):
        prompt(template, defaults={"name": "Ada"}).render([], {})


def test_variables_are_text_and_never_templates() -> None:
    """What a user writes is not rendered a second time."""
    assert prompt("{{ name }}").render([], {"name": "{{ 7 * 7 }}"})[0]["content"] == "{{ 7 * 7 }}"


def test_the_body_keeps_what_the_client_asked_for() -> None:
    """Tools, response format and streaming pass through; model and messages are the variant's; variables stay here."""
    tools = [{"type": "function", "function": {"name": "look_up"}}]
    request = {
        "model": "support-bot",
        "messages": [QUESTION],
        "tools": tools,
        "response_format": {"type": "json_object"},
        "stream": True,
        "variables": {"name": "Ada"},
    }
    variant = Variant(prompt=prompt("I am {{ name }}."), model=make_variant().model)
    assert variant.request_body(request) == {
        "model": "steady",
        "messages": [{"role": "system", "content": "I am Ada."}, QUESTION],
        "tools": tools,
        "response_format": {"type": "json_object"},
        "stream": True,
    }
    assert request["model"] == "support-bot"


def test_the_variants_sampling_beats_the_clients() -> None:
    """What is released is what runs; parameters that the variant leaves open are the client's."""
    variant = Variant(prompt=prompt(), model=make_variant().model, sampling=Sampling(temperature=0, stop=("END",)))
    body = variant.request_body({"messages": [], "temperature": 1.5, "top_p": 0.5, "variables": None})
    assert body == {"model": "steady", "messages": [], "temperature": 0, "stop": ["END"], "top_p": 0.5}


@pytest.mark.parametrize(
    ("after", "shown"),
    [
        pytest.param(make_variant("1.1.0"), ("1.0.0", "1.1.0"), id="prompt version"),
        pytest.param(make_variant(name="quick"), ("steady", "quick"), id="model"),
        pytest.param(
            make_variant("1.1.0", name="quick"),
            ("support@1.0.0, steady", "support@1.1.0, quick"),
            id="prompt and model",
        ),
        pytest.param(
            make_variant().model_copy(update={"sampling": Sampling(temperature=0)}),
            ("sampling of the endpoint", "temperature 0.0"),
            id="sampling",
        ),
        pytest.param(
            make_variant(endpoint="http://127.0.0.1:10/v1"),
            (make_variant().short, make_variant(endpoint="http://127.0.0.1:10/v1").short),
            id="what has no name",
        ),
        pytest.param(make_variant(), (make_variant().label, make_variant().label), id="nothing"),
    ],
)
def test_a_difference_is_told_in_few_words(after: Variant, shown: tuple[str, str]) -> None:
    """Only what differs is named, on both sides."""
    assert differences(make_variant(), after) == shown
