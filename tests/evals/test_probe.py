"""Asking an endpoint once: what is wrong with it, in words that say what to do."""

import socket
import time

import orjson
import pytest

from softlaunch.core.variant import ModelVersion
from softlaunch.evals.calls.probe import judge_answer, probe
from tests.support.endpoints import Reply, running_endpoint


def model(endpoint: str, **parts: str) -> ModelVersion:
    """A model version at an endpoint."""
    return ModelVersion.model_validate(
        {"name": "up", "provider": "test", "model": "gpt-x", "endpoint": endpoint, **parts}
    )


def error(message: str, **parts: str) -> bytes:
    """An error document as most providers write it."""
    return orjson.dumps({"error": {"message": message, **parts}})


UP = model("http://127.0.0.1:9/v1", api_key_env="UP_KEY")
WHOLE = orjson.dumps({"choices": [{"message": {"content": "Hello"}}]})


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        pytest.param(200, WHOLE, None, id="an answer"),
        pytest.param(400, error("Unsupported parameter: 'max_tokens'"), None, id="it dislikes a parameter"),
        pytest.param(401, error("Incorrect API key"), "doesn't take the key in UP_KEY (Incorrect", id="the key"),
        pytest.param(404, error("gone", code="model_not_found"), "doesn't know the model gpt-x", id="OpenAI's words"),
        pytest.param(
            404, error("The model `gpt-x` does not exist."), "doesn't know the model gpt-x", id="vLLM's words"
        ),
        pytest.param(400, error("gpt-x is not a valid model ID: unknown model"), "doesn't know", id="by 400"),
        pytest.param(404, b"<html>nginx</html>", "including /v1?", id="a wrong path"),
        pytest.param(200, b"<html>Welcome</html>", "isn't JSON", id="a web page"),
        pytest.param(200, b'{"status": "ok"}', "no chat completion", id="another service"),
        pytest.param(200, error("quota"), "answers 200 with an error (quota)", id="an error as an answer"),
        pytest.param(302, b"", "redirects to https://login.example.com", id="a redirect"),
        pytest.param(402, error("Insufficient Balance"), "no balance", id="a dead account"),
        pytest.param(429, error("quota"), "quota is used up", id="a quota"),
        pytest.param(503, b"a\x1b[31m\n b", "503, it is broken or overloaded (a [31m b)", id="broken, in colours"),
    ],
)
def test_what_an_answer_says(status: int, content: bytes, said: str | None) -> None:
    """Only what a person has to mend is a problem, and foreign words are one clean line."""
    found = judge_answer(UP, status, content, "https://login.example.com")
    assert found is None if said is None else said in str(found)


def test_an_endpoint_that_answers_is_asked_once_for_one_token() -> None:
    """It costs next to nothing."""
    with running_endpoint() as endpoint:
        (found,) = probe([model(endpoint.url)])
        assert (found.problem, sum(endpoint.asked.values())) == (None, 1)
        assert found.sentence.startswith(f"model up at {endpoint.url}: answers")


def test_a_slow_one_keeps_nobody_waiting() -> None:
    """All are asked at once, within the time for all of them."""
    with running_endpoint() as endpoint:
        endpoint.behaviour = lambda *_: Reply(delay=5)
        began = time.monotonic()
        found = probe([model(endpoint.url)] * 4, seconds=0.3)
        assert time.monotonic() - began < 3
        assert ["doesn't answer within 0.3 s" in str(one.problem) for one in found] == [True] * 4


def test_what_keeps_an_answer_from_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed port, a missing key, TLS where there is none, a service that isn't HTTP: each has its own words."""
    monkeypatch.delenv("UP_KEY", raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running_endpoint() as plain, running_endpoint() as dropping:
        dropping.behaviour = lambda *_: Reply(drop=True)
        tls = plain.url.replace("http:", "https:")
        closed = f"http://anna:secret@127.0.0.1:{port}/v1?key=secret"
        asked = probe([model(closed), UP, model(tls), model(dropping.url)])
    refused, keyless, untrusted, dropped = [one.sentence for one in asked]
    assert f"at http://127.0.0.1:{port}/v1: can't be reached: connection refused" in refused
    assert "secret" not in refused
    assert "set the variable UP_KEY" in keyless
    assert "no TLS connection" in untrusted
    assert "closes the connection without an answer" in dropped
