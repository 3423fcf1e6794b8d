"""Bodies that nobody sends by accident: nested, huge and broken values in every place that the gateway looks at."""

import pytest

from tests.gateway.http_messages import CHAT, MESSAGES, RESPONSES
from tests.gateway.worlds import APP, World

EMBEDDINGS = "/v1/embeddings"
NESTED = [b"[" * depth + b"]" * depth for depth in (200, 240, 255, 600, 980, 1010, 1023, 5000)]
ODD = [b'{"a":' * 900 + b"1" + b"}" * 900, b"1" * 5000, b'"\\ud800"', b'"\xed\xa0\x80"', b"-" * 10, b'"' + b"\\" * 99]


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(b'{"model":"support-bot","messages":[{"role":"user","content":%b}]}', id="content"),
        pytest.param(b'{"model":"support-bot","messages":[{"content":"x"}],"user":%b}', id="user"),
        pytest.param(b'{"model":"support-bot","messages":[{"role":%b}],"x":1}', id="role"),
        pytest.param(b'{"model":%b,"messages":[{}]}', id="model"),
        pytest.param(b'{"model":"support-bot","input":[{"role":"user","content":%b}]}', id="content of an input"),
        pytest.param(b'{"model":"support-bot","input":%b,"text":%b}', id="input"),
        pytest.param(b'{"model":"support-bot","previous_response_id":%b,"conversation":%b}', id="thread"),
        pytest.param(b'{"model":"support-bot","system":%b,"messages":[{"role":"user","content":%b}]}', id="system"),
        pytest.param(b'{"model":"support-bot","prompt":%b,"n":%b}', id="prompt"),
        pytest.param(b'{"model":"support-bot","prompt":["x",%b],"stream_options":%b}', id="prompts"),
        pytest.param(b'{"model":"support-bot","dimensions":%b,"input":%b}', id="input of embeddings"),
        pytest.param(b'{"model":"support-bot","dimensions":1,"input":[[%b]],"metadata":%b}', id="inputs of embeddings"),
        pytest.param(b'{"request_id":"support-bot-12","scores":%b}', id="scores"),
    ],
)
def test_nothing_in_a_body_is_an_internal_error(world: World, template: bytes) -> None:
    """Nested, huge and broken values are answered or refused."""
    paths = {
        b'"request_id"': "/v1/feedback",
        b'"dimensions"': EMBEDDINGS,
        b'"prompt"': f"/openai/deployments/{APP}/completions",
        b'"input"': RESPONSES,
        b'"conversation"': RESPONSES,
        b'"system"': MESSAGES,
    }
    path = next((one for field, one in paths.items() if field in template), CHAT)
    bodies = (template.replace(b"%b", content) for content in NESTED + ODD)
    statuses = {world.client.post(path, content=body).status_code for body in bodies}
    made_nothing = {502} if path in {EMBEDDINGS, paths[b'"prompt"']} else set()  # this provider only chats
    assert statuses <= {200, 400, 404} | made_nothing
