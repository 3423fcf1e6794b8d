"""What the log and the metrics say of answers whose texts nobody keeps."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from softlaunch.core.answer_checks import (
    FORM_UNKNOWN,
    MALFORMED_OUTPUT,
    OTHER_LANGUAGE,
    REFUSED,
    REPETITIVE,
    TRUNCATED,
)
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.openings import Opening
from softlaunch.gateway.answer_checks import AnswerChecks, named_classifier
from softlaunch.gateway.calls import Answer, Call
from softlaunch.gateway.checks.form import Form
from softlaunch.gateway.checks.said import Said
from softlaunch.gateway.deadlines import TimeLimits
from softlaunch.gateway.protocols.chat.protocol import ChatCompletions
from softlaunch.gateway.protocols.messages.protocol import Messages
from softlaunch.gateway.protocols.protocol import StreamLimits
from softlaunch.gateway.protocols.responses.protocol import Responses
from softlaunch.gateway.requests import AppRequest
from tests.gateway.worlds import World, variant

PARCEL = "Your parcel left our warehouse on Monday, and it should be with you within three days."
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
TOOLS = [{"type": "function", "function": {"name": "find", "parameters": PERSON}}]


def called(name: str, arguments: str) -> dict[str, Any]:
    """The message of a call."""
    return {"tool_calls": [{"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}]}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("message", "asked", "checks"),
    [
        pytest.param({"content": PARCEL}, {}, 0, id="an answer"),
        pytest.param({"content": "I'm sorry, but I can't help with that."}, {}, REFUSED, id="a refusal in words"),
        pytest.param({"refusal": "I'm sorry."}, {}, REFUSED, id="a refusal in the API's own field"),
        pytest.param({"content": PARCEL[:40], "finish_reason": "length"}, {}, TRUNCATED, id="cut short"),
        pytest.param(
            {"content": PARCEL + " That is all." * 40, "finish_reason": "length"},
            {},
            TRUNCATED | REPETITIVE,
            id="a loop",
        ),
        pytest.param(
            {"content": "Ihr Paket wurde am Montag verschickt und kommt in drei Tagen bei Ihnen an, wie gewohnt."},
            {},
            OTHER_LANGUAGE,
            id="another language",
        ),
        pytest.param({"content": '{"name": "Ann"}'}, {"response_format": FORMAT}, 0, id="JSON that fits"),
        pytest.param({"content": '{"name": 7}'}, {"response_format": FORMAT}, MALFORMED_OUTPUT, id="JSON that doesn't"),
        pytest.param({"content": "Ann"}, {"response_format": FORMAT}, MALFORMED_OUTPUT, id="no JSON"),
        pytest.param({"content": '{"name": 7}'}, {"response_format": {"type": "json_object"}}, 0, id="any JSON"),
        pytest.param(
            {"content": "{}"},
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "http://example.com"}}}},
            FORM_UNKNOWN,
            id="a schema that can't be used",
        ),
        pytest.param(called("find", '{"name": "Ann"}'), {"tools": TOOLS}, 0, id="a call that fits"),
        pytest.param(called("find", '{"name": 7}'), {"tools": TOOLS}, MALFORMED_OUTPUT, id="arguments that don't"),
        pytest.param(called("find", '{"name"'), {"tools": TOOLS}, MALFORMED_OUTPUT, id="arguments that are no JSON"),
        pytest.param(called("delete", "{}"), {"tools": TOOLS}, MALFORMED_OUTPUT, id="a tool that wasn't offered"),
    ],
)
def test_an_answer_is_logged_with_what_was_told_of_it(
    world: World, message: dict[str, Any], asked: dict[str, Any], checks: int, *, stream: bool
) -> None:
    """Whole or streamed, and without its text."""
    world.models.messages["stable"] = message
    question = [{"role": "user", "content": "Where is my parcel, and when will it be here with me?"}]
    row = world.row_of(world.ask("ann", messages=question, stream=stream, **asked))
    assert (row.checks, row.answer_size) == (checks, len(message.get("content", "")))
    assert world.ask_database("select count(*) from texts")[0][0] == 0


def test_what_brought_no_answer_is_not_checked(world: World) -> None:
    """Nothing is told of a failure."""
    world.models.faults["stable"] = "500"
    row = world.row_of(world.ask("ann"))
    assert (row.checks, row.answer_size) == (None, None)


def test_one_answer_for_many_questions_is_told(world: World) -> None:
    """From the fourth question on."""
    world.models.messages["stable"] = {"content": PARCEL}
    for number in range(5):
        assert world.ask("ann", messages=[{"role": "user", "content": f"Question {number}?"}]).is_success
    assert [row.checks for row in world.rows(5)] == [0, 0, 0, REPETITIVE, REPETITIVE]


def test_copies_are_checked_like_what_users_see(world: World) -> None:
    """By what the other arm said."""
    world.models.messages["candidate"] = {"content": "I can't help with that."}
    world.models.messages["stable"] = {"content": PARCEL}
    with world.watched():
        world.split(0, shadow_percent=100)
        world.ask("ann")
        (copy,) = world.rows(1, mirrored=True)
        (shown,) = world.rows(1, mirrored=False)
    assert (copy.checks, shown.checks) == (REFUSED, 0)


def test_findings_are_counted_for_prometheus(world: World) -> None:
    """By app, arm and check, with how many answers were checked and how long they were."""
    world.models.messages["stable"] = {"content": "I can't help with that."}
    assert world.ask("ann").is_success
    said = world.client.get("/metrics").text
    assert 'softlaunch_checked_answers_total{app="support-bot",arm="stable"} 1.0' in said
    assert 'softlaunch_check_findings_total{app="support-bot",arm="stable",check="refused"} 1.0' in said
    assert 'softlaunch_check_findings_total{app="support-bot",arm="stable",check="repetitive"} 0.0' in said
    assert 'softlaunch_answer_characters_total{app="support-bot",arm="stable"} 23.0' in said


NONSENSE: tuple[object, ...] = (
    None,
    7,
    "text",
    [],
    [7, None],
    {},
    {"type": 7},
    [{"name": 7}],
    {"json_schema": []},
    {"format": "x"},
)


@pytest.mark.parametrize("protocol", [ChatCompletions(), Messages(), Responses()])
def test_nonsense_asks_for_no_form(protocol: ChatCompletions | Messages | Responses) -> None:
    """The endpoint says what is wrong with it; the gateway goes on."""
    for value in NONSENSE:
        names = ("tools", "functions", "response_format", "output_config", "output_format", "text")
        assert protocol.form(dict.fromkeys(names, value)).schema is None


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        pytest.param(ChatCompletions(), {"tools": TOOLS, "response_format": FORMAT}, id="chat"),
        pytest.param(
            Messages(),
            {
                "tools": [{"name": "find", "input_schema": PERSON}],
                "output_config": {"format": {"type": "json_schema", "schema": PERSON}},
            },
            id="messages",
        ),
        pytest.param(
            Responses(),
            {
                "tools": [{"type": "function", "name": "find", "parameters": PERSON}],
                "text": {"format": {"type": "json_schema", "name": "person", "schema": PERSON}},
            },
            id="responses",
        ),
    ],
)
def test_each_api_says_what_form_is_asked_for(
    protocol: ChatCompletions | Messages | Responses, body: dict[str, Any]
) -> None:
    """In words of its own."""
    asked: Form = protocol.form(orjson.loads(orjson.dumps(body)))
    assert (asked.schema, asked.tools) == (PERSON, {"find": PERSON})


def never_refuses(opening: Opening) -> bool:
    """Somebody's own classifier."""
    return "banana" in opening.text


def test_the_classifier_of_refusals_can_be_replaced() -> None:
    """By the setting's function; what can't be used is refused when the gateway starts."""
    checks = AnswerChecks(named_classifier(f"{__name__}:never_refuses"))
    answer = Answer(ChatCompletions(), said=Said.whole("I can't help with that."))
    other = Answer(ChatCompletions(), said=Said.whole("Banana."))
    request = AppRequest(ChatCompletions(), "r", "app", {"messages": []}, {}, 0)
    assert (checks.of(request, "v", answer), checks.of(request, "v", other)) == (0, REFUSED)
    checks.close()


@pytest.mark.parametrize("name", ["nowhere:function", "json:nothing", "json", "math:floor"])
def test_a_classifier_that_cannot_be_used_is_refused(name: str) -> None:
    """With the setting to correct."""
    with pytest.raises(SoftlaunchError, match="SOFTLAUNCH_REFUSALS is"):
        named_classifier(name)


def of_messages(name: str, given: dict[str, Any]) -> tuple[bytes, bytes]:
    """A call of a tool by Anthropic's Messages: whole, and as a stream."""
    block = {"type": "tool_use", "id": "t", "name": name, "input": given}
    whole = {"id": "m", "type": "message", "model": "m", "content": [block], "stop_reason": "tool_use", "usage": {}}
    text = orjson.dumps(given).decode()
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**whole, "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}}
            for piece in (text[:4], text[4:])
        ),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    return orjson.dumps(whole), b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)


def of_responses(name: str, given: dict[str, Any]) -> tuple[bytes, bytes]:
    """The same by OpenAI's Responses."""
    item = {"type": "function_call", "call_id": "c", "name": name, "arguments": orjson.dumps(given).decode()}
    whole = {"id": "r", "object": "response", "model": "m", "status": "completed", "output": [item]}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return orjson.dumps(whole), b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("protocol", "answer_of", "tool"),
    [
        pytest.param(Messages(), of_messages, {"name": "find", "input_schema": PERSON}, id="messages"),
        pytest.param(
            Responses(), of_responses, {"type": "function", "name": "find", "parameters": PERSON}, id="responses"
        ),
    ],
)
def test_calls_are_read_by_every_api(
    protocol: Messages | Responses,
    answer_of: Callable[[str, dict[str, Any]], tuple[bytes, bytes]],
    tool: dict[str, Any],
    *,
    stream: bool,
) -> None:
    """Which tool they name, and with what, against what the sent body offers."""
    body = {"tools": [tool], "stream": stream}

    def said(name: str, given: dict[str, Any]) -> Said:
        whole, events = answer_of(name, given)
        answer, call = Answer(protocol), Call(protocol, variant("m", "http://x/v1"), body, TimeLimits(1, 1, 1, 1))
        if stream:
            reader = protocol.stream(answer.facts, body, StreamLimits(1 << 20))
            reader.feed(events)
            answer.hear(reader.heard.said(), reader.seen, call)
        else:
            answer.read_whole(protocol.read(whole, answer.facts, body), call)
        assert answer.said is not None
        return answer.said

    right = said("find", {"name": "Ann"})
    assert (right.is_off_form, [(schema, orjson.loads(text)) for schema, text in right.documents]) == (
        False,
        [(PERSON, {"name": "Ann"})],
    )
    assert said("delete", {}).is_off_form
