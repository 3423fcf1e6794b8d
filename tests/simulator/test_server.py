"""The provider over HTTP, asked by real clients."""

import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionStreamOptionsParam

from softlaunch.simulator.cases import Case
from tests.support.providers import RunningProvider, quick_profile, running_provider

CASES = [Case(id="1", question="When do you close?", expected="16:00", answer="We close at 16:00 on Saturdays.")]
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "When do you close?"}]
BODY = {"model": "m", "messages": QUESTION}


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningProvider]:
    """A provider of one quick model that knows one question."""
    with running_provider(CASES, [quick_profile("m", model="m-2026-01-01"), quick_profile("other")]) as running:
        yield running


@pytest.fixture
def http(provider: RunningProvider) -> Iterator[httpx.Client]:
    """A plain client; faults are cleared afterwards."""
    with httpx.Client(base_url=provider.origin, timeout=10) as client:
        yield client
    provider.provider.clear()


def test_the_official_client_gets_a_whole_answer(provider: RunningProvider) -> None:
    """Model, fingerprint, usage and text are where the client looks for them."""
    with closing(openai.OpenAI(base_url=provider.endpoint, api_key="any")) as client:
        answer = client.chat.completions.create(model="m", messages=QUESTION)
    assert answer.choices[0].message.content == "We close at 16:00 on Saturdays."
    assert (answer.model, answer.choices[0].finish_reason) == ("m-2026-01-01", "stop")
    assert answer.system_fingerprint is not None
    assert answer.system_fingerprint.startswith("fp_")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


@pytest.mark.parametrize("include_usage", [True, False], ids=["usage asked for", "no usage"])
def test_the_official_client_reads_a_stream(provider: RunningProvider, *, include_usage: bool) -> None:
    """The pieces make the same text, and usage comes last and only if asked for."""
    options: ChatCompletionStreamOptionsParam | openai.Omit = {"include_usage": True} if include_usage else openai.omit
    with closing(openai.OpenAI(base_url=provider.endpoint, api_key="any")) as client:
        chunks = list(client.chat.completions.create(model="m", messages=QUESTION, stream=True, stream_options=options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "We close at 16:00 on Saturdays."
    assert (chunks[-1].usage is not None) == include_usage
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


def test_models_are_listed_by_name_and_resolved_id(http: httpx.Client) -> None:
    """Whatever is listed can be asked for."""
    listed = [model["id"] for model in http.get("/v1/models").json()["data"]]
    assert listed == ["m", "m-2026-01-01", "other"]
    for name in (*listed, "vendor/m"):
        assert http.post("/v1/chat/completions", json=BODY | {"model": name}).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        pytest.param(b"{", 400, "no valid JSON", id="no JSON"),
        pytest.param(b"[]", 400, "'model'", id="no object"),
        pytest.param(b'{"model": "m", "messages": []}', 400, "'messages'", id="no messages"),
        pytest.param(b'{"model": "m", "messages": [{}], "max_tokens": -1}', 400, "'max_tokens'", id="a silly limit"),
        pytest.param(b'{"model": "gone", "messages": [{}]}', 404, "it has m,", id="an unknown model"),
    ],
)
def test_bad_requests_are_answered_as_openai_does(http: httpx.Client, content: bytes, status: int, said: str) -> None:
    """An error object with a message that says what to change."""
    response = http.post("/v1/chat/completions", content=content)
    assert response.status_code == status
    assert said in response.json()["error"]["message"]


def test_a_key_is_asked_for_where_one_is_set() -> None:
    """Only the models are behind the key; faults are for whoever rehearses."""
    with (
        running_provider(profiles=[quick_profile("m")], api_key="secret") as running,
        httpx.Client(base_url=running.origin) as client,
    ):
        assert client.post("/v1/chat/completions", json=BODY).status_code == 401
        odd = client.post("/v1/chat/completions", json=BODY, headers={b"Authorization": b"Bearer \xff\xfe"})
        assert odd.status_code == 401
        allowed = client.post("/v1/chat/completions", json=BODY, headers={"Authorization": "Bearer secret"})
        assert allowed.status_code == 200
        assert client.get("/rehearsal/stats").status_code == 200


def test_errors_on_command_hit_the_named_model_until_they_are_cleared(http: httpx.Client) -> None:
    """A burst has the ordered status, spares other models, and ends when it is told to."""
    assert http.post("/rehearsal/faults", json={"model": "m", "kind": "errors", "status": 429}).status_code == 200
    failed = http.post("/v1/chat/completions", json=BODY)
    assert (failed.status_code, failed.json()["error"]["type"]) == (429, "rate_limit_error")
    assert http.post("/v1/chat/completions", json=BODY | {"model": "other"}).status_code == 200
    assert http.delete("/rehearsal/faults").json() == {"cleared": 1}
    assert http.post("/v1/chat/completions", json=BODY).status_code == 200


def test_a_spike_makes_answers_slower(http: httpx.Client) -> None:
    """The latency is multiplied by the ordered factor."""
    http.post("/rehearsal/faults", json={"model": "m", "kind": "spike", "factor": 60})
    began = time.monotonic()
    assert http.post("/v1/chat/completions", json=BODY).status_code == 200
    assert time.monotonic() - began > 0.15


def test_a_hang_drops_the_connection_when_it_ends(http: httpx.Client) -> None:
    """Nothing comes back while it lasts, and no answer after it."""
    http.post("/rehearsal/faults", json={"kind": "hang", "seconds": 0.3})
    began = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/v1/chat/completions", json=BODY)
    assert time.monotonic() - began > 0.2


def test_clearing_a_hang_lets_go_of_who_waits(provider: RunningProvider, http: httpx.Client) -> None:
    """A test needn't wait for a hang that has no end."""
    with httpx.Client(base_url=provider.origin, timeout=0.2) as impatient:
        http.post("/rehearsal/faults", json={"kind": "hang"})
        with pytest.raises(httpx.ReadTimeout):
            impatient.post("/v1/chat/completions", json=BODY)
    http.delete("/rehearsal/faults")
    assert http.post("/v1/chat/completions", json=BODY).status_code == 200


def test_malformed_json_is_no_json(http: httpx.Client) -> None:
    """The status is 200, and the body can't be read."""
    http.post("/rehearsal/faults", json={"kind": "malformed_json"})
    response = http.post("/v1/chat/completions", json=BODY)
    assert response.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid"):
        response.json()


def test_a_malformed_stream_breaks_off_in_the_middle(http: httpx.Client) -> None:
    """Some of the text comes, then an event that is no JSON, and no end."""
    http.post("/rehearsal/faults", json={"kind": "malformed_stream"})
    content = http.post("/v1/chat/completions", json=BODY | {"stream": True}).content
    assert content.startswith(b"data: {")
    assert content.endswith(b'"cont\n\n')
    assert b"[DONE]" not in content


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_cut_drops_the_connection_in_the_middle(http: httpx.Client, *, stream: bool) -> None:
    """The client sees that the answer is incomplete."""
    http.post("/rehearsal/faults", json={"kind": "cut"})
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/v1/chat/completions", json=BODY | {"stream": stream})


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        pytest.param({"kind": "earthquake"}, 400, "kind", id="an unknown kind"),
        pytest.param({"kind": "spike", "status": 500}, 400, "belongs to the kind errors", id="a foreign parameter"),
        pytest.param({"kind": "spike", "faktor": 5}, 400, "faktor", id="a typo"),
        pytest.param({"kind": "spike", "model": "gone"}, 404, "gone", id="an unknown model"),
        pytest.param({"kind": "spike", "model": ["m"]}, 400, "'model'", id="a list of models"),
        pytest.param([], 400, "object", id="no object"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(http: httpx.Client, body: object, status: int, said: str) -> None:
    """Nothing begins, and the message names the key."""
    response = http.post("/rehearsal/faults", json=body)
    assert (response.status_code, said in response.json()["error"]["message"]) == (status, True)
    assert http.get("/rehearsal/stats").json()["faults"] == []


def test_stats_count_what_was_answered() -> None:
    """Requests, right answers, refusals and faults are counted by model."""
    with (
        running_provider(CASES, [quick_profile("m")]) as running,
        httpx.Client(base_url=running.origin) as client,
    ):
        client.post("/v1/chat/completions", json=BODY)
        client.post("/v1/chat/completions", json=BODY | {"messages": [{"role": "user", "content": "Who?"}]})
        client.post("/rehearsal/faults", json={"kind": "errors", "status": 503})
        client.post("/v1/chat/completions", json=BODY)
        stats = client.get("/rehearsal/stats").json()
    counted = stats["models"]["m"]
    assert (counted["requests"], counted["right"], counted["unknown"], counted["in_flight"]) == (3, 1, 1, 0)
    assert (counted["refused"], counted["faults"]) == ({"503": 1}, {"errors": 1})
    assert [fault["kind"] for fault in stats["faults"]] == ["errors"]
