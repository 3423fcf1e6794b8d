"""Parameters: what they may hold, how chat completions get them, and that variants without them are what they were."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from softlaunch.core.chat_parameters import put_in
from softlaunch.core.json_values import merged
from softlaunch.core.parameters import LONGEST_SETTINGS, Parameters
from softlaunch.core.variant import ModelVersion, Variant, differences
from tests.support.builders import make_variant

FIND = {"name": "find_order", "description": "Finds an order.", "parameters": {"type": "object"}, "strict": True}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def of(**fields: Any) -> Parameters:
    """Parameters `support@1.0.0`."""
    return Parameters.model_validate({"name": "support", "version": "1.0.0", **fields})


def model(name: str) -> ModelVersion:
    """A model version of this name."""
    return ModelVersion(name=name, provider="rehearsal", model=name, endpoint="http://127.0.0.1:9/v1")


def with_parts(*fallbacks: str, **fields: Any) -> Variant:
    """The usual variant with parameters and fallbacks."""
    plain = make_variant()
    return Variant(
        prompt=plain.prompt,
        model=plain.model,
        parameters=of(**fields) if fields else None,
        fallbacks=tuple(model(name) for name in fallbacks),
    )


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(with_parts(tools=[FIND]), id="tools"),
        pytest.param(with_parts(tools=[FIND], client_tools="drop", tool_choice="find_order"), id="rules of tools"),
        pytest.param(with_parts(response_format={"name": "city", "schema": SCHEMA}), id="format"),
        pytest.param(with_parts(reasoning_effort="low", verbosity="high"), id="effort"),
        pytest.param(with_parts(extra_body={"safety": [None, 1, 1.5, "ü"]}, extra_headers={"x-team": "a"}), id="extra"),
        pytest.param(with_parts(settings={"top_k": 5}), id="settings"),
        pytest.param(with_parts("spare", "last"), id="fallbacks"),
    ],
)
def test_every_part_is_in_the_digest_and_survives_a_round_trip(variant: Variant) -> None:
    """What was recorded and read again is the same, and none of it hides behind the digest of a plain variant."""
    again = Variant.model_validate(orjson.loads(orjson.dumps(variant.model_dump(mode="json"))))
    assert again == variant
    assert again.digest == variant.digest != make_variant().digest


def test_a_variant_without_them_has_neither_in_its_content() -> None:
    """Their keys are left out, so that digests of before hold; the pinned ones are in `test_variant`."""
    assert set(make_variant().model_dump()) == {"prompt", "model", "sampling"}
    assert set(of(settings={"a": 1}).model_dump()) == {"name", "version", "settings"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"extra_body": {"model": "x"}}, "the gateway decides it", id="the model in the body"),
        pytest.param({"extra_body": {"stream": True}}, "the gateway decides it; leave it out", id="stream"),
        pytest.param({"extra_body": {"tools": []}}, "write it beside extra_body, as tools", id="tools in the body"),
        pytest.param({"extra_body": {"top_p": 1}}, "under 'sampling' of the variant", id="sampling in the body"),
        pytest.param({"extra_body": {"a": float("nan")}}, "a number that JSON has", id="no number"),
        pytest.param({"extra_body": {"a": {1: 2}}}, "expected a text; put it in quotes", id="a key that is a number"),
        pytest.param({"extra_body": {"a": 1 << 70}}, "more than 64 bits", id="a large number"),
        pytest.param({"extra_headers": {"Authorization": "Bearer x"}}, "belongs to one model", id="a key"),
        pytest.param({"extra_headers": {"x-a": {"env": "A"}}}, "belongs to one model", id="from the environment"),
        pytest.param({"extra_headers": {"x-a": "a\nb"}}, "printable ASCII", id="a line break"),
        pytest.param({"extra_headers": {"Host": "a"}}, "belongs to the connection", id="of the connection"),
        pytest.param({"settings": {"text": "x" * LONGEST_SETTINGS}}, "at most 4096 bytes", id="long settings"),
        pytest.param({"settings": {"text": "ü" * 700}}, "these have 4211", id="settings of escapes"),
        pytest.param({"tools": [{"type": "function", "function": FIND}]}, "leave 'type' out", id="chat's own shape"),
        pytest.param({"tools": [{"description": "x"}]}, "the function's name", id="a function without a name"),
        pytest.param({"tools": [{"name": "f", "input_schema": {}}]}, "unknown key; known here: name", id="Anthropic's"),
        pytest.param({"tools": [FIND, FIND]}, "a tool 'find_order' already", id="a tool twice"),
        pytest.param({"tools": [FIND], "tool_choice": "find"}, "auto, required, none, find_order", id="choice"),
        pytest.param({"tool_choice": 3}, "expected auto, required, none", id="choice of a number"),
        pytest.param({"response_format": "json"}, "expected json_object", id="no format"),
        pytest.param({"response_format": {"name": "a b", "schema": {}}}, "a name of letters", id="format name"),
        pytest.param({"response_format": {"type": "json_schema"}}, "unknown key", id="chat's own format"),
        pytest.param({"response_format": {"name": "a", "schema": 1}}, "expected a JSON schema", id="no schema"),
        pytest.param({"reasoning_effort": "Very high"}, "pattern", id="effort"),
        pytest.param({"extra_body": {"a": "x" * 300_000}}, "at most 256 KiB", id="all too long"),
    ],
)
def test_what_cannot_be_sent_is_refused_when_it_is_read(fields: dict[str, Any], said: str) -> None:
    """The message says what to do."""
    with pytest.raises(ValidationError, match=said):
        of(**fields)


def test_json_is_bounded_in_depth() -> None:
    """What is nested without end is refused, not walked."""
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(ValidationError, match="nested deeper than 32"):
        of(extra_body=deep)


def test_settings_are_one_line_of_ascii() -> None:
    """A header takes no other."""
    assert of(settings={"top_k": 5, "index": "Bücher\n"}).settings_header == '{"index":"B\\u00fccher\\n","top_k":5}'
    assert of().settings_header == ""


CLIENTS_TOOLS = [
    {"type": "function", "function": {"name": "find_order", "description": "The client's."}},
    {"type": "function", "function": {"name": "other"}},
    "nonsense",
]


@pytest.mark.parametrize(
    ("rule", "sent"),
    [
        pytest.param("keep", [*CLIENTS_TOOLS[1:], {"type": "function", "function": FIND}], id="keep"),
        pytest.param("drop", [{"type": "function", "function": FIND}], id="drop"),
    ],
)
def test_tools_go_beside_the_clients_or_in_their_place(rule: str, sent: list[Any]) -> None:
    """Of two with one name the variant's is sent; the client's request stays as it is."""
    asked = {"tools": list(CLIENTS_TOOLS), "tool_choice": "auto", "user": "ann"}
    body = put_in(asked, of(tools=[FIND], client_tools=rule))
    assert body["tools"] == sent
    assert body.get("tool_choice") == (None if rule == "drop" else "auto")
    assert asked["tools"] == CLIENTS_TOOLS


def test_chat_completions_get_everything_under_their_names() -> None:
    """Functions wrapped, a chosen function by its name, tools of the dialect as they are."""
    parameters = of(
        tools=[FIND, {"type": "web_search"}],
        tool_choice="find_order",
        response_format={"name": "city", "schema": SCHEMA, "strict": True},
        reasoning_effort="low",
        verbosity="high",
        extra_body={"safety": {"level": 2}, "service_tier": None},
    )
    asked = {"service_tier": "flex", "safety": {"kind": "a"}, "verbosity": "low", "seed": 1}
    assert put_in(asked, parameters) == {
        "safety": {"kind": "a", "level": 2},
        "seed": 1,
        "tools": [{"type": "function", "function": FIND}, {"type": "web_search"}],
        "tool_choice": {"type": "function", "function": {"name": "find_order"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "city", "schema": SCHEMA, "strict": True},
        },
        "reasoning_effort": "low",
        "verbosity": "high",
    }
    assert put_in({}, of(response_format="json_object"))["response_format"] == {"type": "json_object"}


def test_a_body_has_prompt_and_parameters() -> None:
    """Evals and the gateway send chat completions by one function."""
    variant = with_parts(tools=[FIND], reasoning_effort="low")
    body = variant.request_body({"messages": [{"role": "user", "content": "Hi"}], "variables": {}})
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (body["model"], body["reasoning_effort"], len(body["tools"])) == ("steady", "low", 1)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=12,
)
_OBJECTS = st.dictionaries(st.text(max_size=2), _JSON, max_size=3)


@given(_OBJECTS, _OBJECTS)
def test_a_merge_patch_merges_once_and_for_all(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """Doing it again changes nothing, neither side is changed, and what the patch doesn't name stays."""
    before = orjson.dumps([target, patch])
    found = merged(target, patch)
    assert merged(found, patch) == found
    assert orjson.dumps([target, patch]) == before
    assert all(found[key] == value for key, value in target.items() if key not in patch)
    assert all((key in found) == (value is not None) for key, value in patch.items())


def test_fallbacks_are_other_models() -> None:
    """Asking the same one again is no fallback."""
    with pytest.raises(ValidationError, match="model spare is named twice"):
        with_parts("spare", "spare")
    with pytest.raises(ValidationError, match="model steady is named twice"):
        with_parts("steady")
    with pytest.raises(ValidationError, match="at most 5"):
        with_parts(*"abcdef")


def test_a_variant_on_its_fallbacks_differs_in_the_model_alone() -> None:
    """The same prompt, sampling and parameters go to each."""
    variant = with_parts("spare", "last", reasoning_effort="low")
    assert [one.model.name for one in variant.in_place] == ["spare", "last"]
    assert all(one.prompt is variant.prompt and one.parameters is variant.parameters for one in variant.in_place)
    assert not any(one.fallbacks for one in variant.in_place)
    assert len({variant.digest, *(one.digest for one in variant.in_place)}) == 3


def test_labels_and_differences_name_the_new_parts() -> None:
    """People see by name what a release changes."""
    before, after = with_parts(reasoning_effort="low"), with_parts("spare")
    assert before.label == "support@1.0.0 on steady, with support@1.0.0"
    assert with_parts("spare", "last").label == "support@1.0.0 on steady, falling back to spare and last"
    assert differences(before, after) == ("support@1.0.0, fallbacks none", "no parameters, fallbacks spare")
