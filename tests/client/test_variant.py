"""What an application gets: a variant for a user, without waiting for anybody."""

import asyncio
import threading
from uuid import UUID

import pytest

from softlaunch.client import ClientError, NoVariantError
from softlaunch.core.variant import TemplateVariablesError
from tests.client.conftest import MakeClient
from tests.support.config_server import APP, ConfigServer, content, described, route
from tests.support.servers import wait_until


def test_a_variant_says_what_to_ask(make_client: MakeClient) -> None:
    """Model, endpoint, parameters and prompt are those that the server described."""
    config = make_client().app(APP).variant(user="ann")
    assert (config.model, config.provider, config.endpoint) == ("stable", "rehearsal", "http://127.0.0.1:1/v1")
    assert (config.arm, config.label, config.digest, config.release_id) == ("stable", "stable", "stable-digest", None)
    assert dict(config.parameters) == {"temperature": 0.2}
    assert config.prompt.label == "support@1.0.0"


def test_a_prompt_is_rendered_by_the_gateways_rules(server: ConfigServer, make_client: MakeClient) -> None:
    """Defaults fill in, a missing variable is an error that names it, and expressions run in the sandbox."""
    prompt = make_client().app(APP).variant(user="ann").prompt
    assert prompt.render() == [{"role": "system", "content": "You help everybody."}]
    assert prompt.system(name="Ann") == "You help Ann."
    server.say(stable=described("stable", prompt="{{ shop.upper() }}"))
    app = make_client().app(APP)
    assert app.variant(user="ann").prompt.system(shop="inn") == "INN"
    with pytest.raises(TemplateVariablesError, match="shop"):
        app.variant(user="ann").prompt.render()


def test_a_whole_body_is_the_gateways(make_client: MakeClient) -> None:
    """The body of a chat completion has the variant's model, prompt and parameters, and the rest of the request."""
    request = {"messages": [{"role": "user", "content": "Hi"}], "variables": {"name": "Ann"}, "n": 2}
    assert make_client().app(APP).variant(user="ann").chat_body(request) == {
        "model": "stable",
        "messages": [{"role": "system", "content": "You help Ann."}, {"role": "user", "content": "Hi"}],
        "temperature": 0.2,
        "n": 2,
    }


def test_a_variant_is_fixed(make_client: MakeClient) -> None:
    """Nobody changes what was decided for a user."""
    config = make_client().app(APP).variant(user="ann")
    with pytest.raises(AttributeError):
        config.model = "another"  # type: ignore[misc]


def test_a_candidate_needs_its_lease(server: ConfigServer, make_client: MakeClient) -> None:
    """At 100 % everybody gets the candidate while somebody watches, and stable otherwise."""
    server.apps = {APP: route(100.0, lease_seconds=1.0)}
    app = make_client().app(APP)
    assert app.variant(user="ann").arm == "stable"
    server.lease_left = 1.0
    wait_until(lambda: app.variant(user="ann").arm == "candidate", "the candidate is served")
    assert app.variant(user="ann").weight_percent == 100.0
    server.lease_left = 0.0
    wait_until(lambda: app.variant(user="ann").arm == "stable", "stable is served again")
    assert app.variant(user="ann").weight_percent == 0.0


def test_a_change_is_followed_at_once(server: ConfigServer, make_client: MakeClient) -> None:
    """A release that begins, and its end, are heard by the question that waits."""
    app = make_client().app(APP)
    server.lease_left = 10.0
    server.say(weight_percent=100.0)
    wait_until(lambda: app.variant(user="ann").arm == "candidate", "the candidate is served", 1.0)
    server.say()
    wait_until(lambda: app.variant(user="ann").arm == "stable", "it is over", 1.0)


def test_a_limited_stage(server: ConfigServer, make_client: MakeClient) -> None:
    """Only who has the attribute's value, under any spelling of its name, meets the candidate."""
    server.apps, server.lease_left = {APP: route(100.0, only={"header": "X-Team", "values": ["inside"]})}, 10.0
    app = make_client().app(APP)
    arms = [app.variant(user="ann", attributes=said).arm for said in ({"x-team": " inside "}, {"x-team": "out"}, {})]
    assert arms == ["candidate", "stable", "stable"]
    server.say(weight_percent=100.0, only={"header": "", "values": ["ann"]})
    wait_until(lambda: app.variant(user="ann").arm == "candidate", "the stage is limited by name")
    assert app.variant(user="bob").arm == "stable"


def test_who_is_nobody_is_drawn_anew(server: ConfigServer, make_client: MakeClient) -> None:
    """Calls that name no user are units of their own."""
    server.apps, server.lease_left = {APP: route(50.0)}, 10.0
    app = make_client().app(APP)
    assert {app.variant().arm for _ in range(64)} == {"stable", "candidate"}


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        pytest.param({"salt": None}, "salt isn't a text", id="no salt"),
        pytest.param({"weight_percent": "5"}, "weight_percent isn't a number", id="a weight in words"),
        pytest.param({"stable": {"label": "x"}}, r"stable\.content isn't an object", id="no content"),
    ],
)
def test_what_cant_be_read_is_said(
    server: ConfigServer, make_client: MakeClient, broken: dict[str, object], words: str
) -> None:
    """An app whose configuration makes no sense has no variant, and the error says what is wrong."""
    server.apps = {APP: {**route(), **broken}}
    with pytest.raises(NoVariantError, match=words):
        make_client().app(APP)


def test_a_route_that_breaks_leaves_what_was_known(server: ConfigServer, make_client: MakeClient) -> None:
    """What can't be read doesn't replace what could."""
    app = make_client().app(APP)
    server.apps, server._version = {APP: {"revision": 2}}, 1
    wait_until(lambda: app.problem != "", "the trouble is known")
    assert app.variant(user="ann").model == "stable"


def test_another_split_is_left_alone(server: ConfigServer, make_client: MakeClient) -> None:
    """A server of another time, which splits otherwise, gets stable served."""
    server.apps, server.lease_left = {APP: route(100.0, split="another")}, 10.0
    assert make_client().app(APP).variant(user="ann").arm == "stable"


def test_an_unknown_app_is_said_with_those_that_there_are(make_client: MakeClient) -> None:
    """Asking for an app that isn't served names the server."""
    with pytest.raises(NoVariantError, match="serves no app nobody"):
        make_client().app("nobody")


def test_without_server_there_is_the_default(make_client: MakeClient) -> None:
    """Neither server nor copy: what the application brought serves, and its calls aren't recorded."""
    client = make_client("http://127.0.0.1:1")
    app = client.app(APP, default=content("mine"))
    with app.variant(user="ann").call() as call:
        call.answered()
    assert (app.variant(user="ann").model, client.waiting) == ("mine", 0)
    with pytest.raises(NoVariantError, match="can't be reached"):
        client.app("another")


@pytest.mark.parametrize("url", ["127.0.0.1:8800", "ftp://x", "http://"])
def test_an_address_that_is_none(make_client: MakeClient, url: str) -> None:
    """A wrong address is said at once."""
    with pytest.raises(ClientError, match="no address"):
        make_client(url)


def test_a_refused_key_is_said(server: ConfigServer, make_client: MakeClient) -> None:
    """401 names the key as what to mend."""
    server.status = 401
    with pytest.raises(NoVariantError, match="client keys"):
        make_client().app(APP)


def test_many_threads_and_a_second_app(server: ConfigServer, make_client: MakeClient) -> None:
    """Whoever asks from whichever thread gets the same side, while routes change and apps are added."""
    server.apps, server.lease_left = {APP: route(50.0), "other": route()}, 10.0
    client, seen = make_client(), set()
    app = client.app(APP)
    expected = [app.variant(user=f"u{number}").arm for number in range(50)]

    def ask() -> None:
        for _ in range(20):
            seen.add(tuple(app.variant(user=f"u{number}").arm for number in range(50)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert client.app("other").variant(user="ann").model == "stable"
    for thread in threads:
        thread.join()
    assert seen == {tuple(expected)}


@pytest.mark.parametrize(
    ("user", "unit"), [(42, "42"), (UUID(int=7), "00000000-0000-0000-0000-000000000007"), (b"Jos\xc3\xa9", "José")]
)
def test_a_user_that_is_no_text(user: int | UUID | bytes, unit: str, make_client: MakeClient) -> None:
    """An application's ids are numbers and UUIDs, too: their texts name the same users as in a request."""
    assert make_client().app(APP).variant(user=user).unit == unit


def test_an_event_loop_isnt_held_up(server: ConfigServer, make_client: MakeClient) -> None:
    """An app is found without blocking, and everything else never waits."""

    async def use() -> None:
        async with make_client() as client:
            app = await client.async_app(APP)
            async with app.variant(user="ann").call() as call:
                call.answered()

    asyncio.run(use())
    assert [record["outcome"] for record in server.records] == ["answered"]
