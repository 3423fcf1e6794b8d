"""The external processor: bodies as the gateway makes them, behind a real Envoy and alone."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from softlaunch.core.clock import utc_now
from softlaunch.gateway.table import RouteTable
from softlaunch.inbound.envoy.names import APP_HEADER, VARIANT_HEADER
from softlaunch.inbound.envoy.processor import Processor, UnknownVariantError
from softlaunch.ledger.splits import Split, set_split
from softlaunch.store.database import Database
from tests.support.builders import APP, CANDIDATE, STABLE
from tests.support.envoy import needs_envoy, record_routed, routed_app, routed_policy, seconds_until, watched
from tests.support.prometheus import free_port

PATH = "/v1/chat/completions"
ASKED = orjson.dumps({"model": APP, "messages": [{"role": "user", "content": "how are you?"}]})


@pytest.fixture
def processor(database: Database) -> Processor:
    """One on an app with a candidate."""
    record_routed(database, routed_policy("http://127.0.0.1:1", "http://127.0.0.1:2", router={"rewrite": True}))
    with database.begin() as session:
        half = Split(CANDIDATE.digest, 50.0, release_id=f"{APP}-1", stage=1)
        set_split(session, APP, STABLE.digest, half, 1, utc_now())
    table = RouteTable(database)
    table.refresh()
    return Processor(table, {})


def answered(processor: Processor, digest: str, body: bytes = ASKED, path: str = PATH) -> Any:
    """What it says to a body."""
    headers = {":path": path.encode(), APP_HEADER: APP.encode(), VARIANT_HEADER: digest.encode()}
    return asyncio.run(processor.answer({**headers, "authorization": b"Bearer client"}, body))


@pytest.mark.parametrize("variant", [pytest.param(STABLE, id="stable"), pytest.param(CANDIDATE, id="candidate")])
def test_a_body_becomes_the_variants(processor: Processor, variant: Any) -> None:
    """Its prompt and its model, the endpoint's path, and nothing of the client's key or of ours."""
    changed = answered(processor, variant.digest).request_body.response
    sent = orjson.loads(changed.body_mutation.body)
    assert sent["model"] == "steady"
    assert [message["content"] for message in sent["messages"]] == [variant.prompt.messages[0].content, "how are you?"]
    told = {one.header.key: one.header.raw_value.decode() for one in changed.header_mutation.set_headers}
    assert (told[":authority"], told[":path"]) == ("127.0.0.1:9", PATH)
    assert told["content-length"] == str(len(changed.body_mutation.body))
    assert {"authorization", VARIANT_HEADER} <= {*changed.header_mutation.remove_headers}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b'{"model": "support-bot"}', id="no messages"),
        pytest.param(b'{"messages": []}', id="no app"),
    ],
)
def test_a_bad_request_is_refused_in_words(processor: Processor, body: bytes) -> None:
    """The client learns what is wrong, as from a gateway."""
    refused = answered(processor, STABLE.digest, body).immediate_response
    assert refused.status.code == 400
    assert orjson.loads(refused.body)["error"]["message"]


def test_an_unknown_variant_is_left_to_the_filter(processor: Processor) -> None:
    """Nobody guesses: the filter's own failure mode decides."""
    with pytest.raises(UnknownVariantError):
        answered(processor, "0" * 64)


def test_other_paths_pass(processor: Processor) -> None:
    """What is no API of models goes on as it is."""
    assert not answered(processor, STABLE.digest, path="/healthz").request_body.HasField("response")


@needs_envoy
@pytest.mark.long
@pytest.mark.timeout(200)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_envoy_sends_each_arm_its_own_body(database: Database, tmp_path: Path) -> None:
    """Stable's prompt to stable, the candidate's to the candidate, and its copy to the shadow.

    Without a processor stable gets what the client sent, and a candidate nothing.
    """

    def prompts(one: Any) -> list[str]:
        return [orjson.loads(body)["messages"][0]["content"] for body in one.bodies if body]

    with routed_app(database, tmp_path, {"router": {"rewrite": True}}) as routed, watched(routed):
        asked = f"{routed.url.rstrip('/')}{PATH}"
        routed.split(0.0, lease=30.0, shadow_percent=100.0)

        def copied() -> bool:
            assert httpx.post(asked, content=ASKED, headers={"x-user-id": "anna"}).text == "stable"
            return bool(prompts(routed.candidate))

        seconds_until(copied)
        assert set(prompts(routed.stable)) == {"You help."}
        assert set(prompts(routed.candidate)) == {"You help kindly."}
        routed.split(100.0, lease=30.0)
        seconds_until(lambda: httpx.post(asked, content=ASKED, headers={"x-user-id": "anna"}).text == "candidate")
        refused = httpx.post(asked, content=b"{", headers={"x-user-id": "anna"})
        assert refused.status_code == 400
        routed.control.kill()
        assert httpx.post(asked, content=ASKED, headers={"x-user-id": "anna"}).status_code >= 500
    assert routed.stable.seen[-1]["host"] == "127.0.0.1:9"


@needs_envoy
@pytest.mark.long
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_processor_that_is_not_there_fails_nobody(database: Database, tmp_path: Path) -> None:
    """One of two is gone: bodies go to the other one, for both arms."""
    gone = [("127.0.0.1", free_port())]
    with routed_app(database, tmp_path, {"router": {"rewrite": True}}, gone) as routed, watched(routed):
        routed.split(50.0, lease=30.0)
        asked = f"{routed.url}v1/chat/completions"
        seconds_until(lambda: routed.candidates() > 0, 60)
        answers = [
            httpx.post(asked, content=ASKED, headers={"x-user-id": f"user-{number}"}).status_code
            for number in range(60)
        ]
        sent = [orjson.loads(body) for body in (*routed.stable.bodies, *routed.candidate.bodies) if body]
    assert {*answers} == {200}
    assert {body["model"] for body in sent} == {"steady"}
    assert len(sent) == 60
