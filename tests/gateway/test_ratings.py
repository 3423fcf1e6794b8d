"""Which ratings are taken: of answered requests, once, in time, and from the key that asked."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import update

from softlaunch.core.request_ids import app_of, asked_at, request_id_for
from softlaunch.gateway.protocols.chat.protocol import ChatCompletions
from softlaunch.gateway.request_seals import is_sealed, key_of, seal
from softlaunch.gateway.requests import AppRequest
from softlaunch.store.tables import RequestRow
from tests.gateway.worlds import APP, QUICK, World, running_world
from tests.support.servers import FakeModels, running_gateway, wait_until

KEYS = ("first-key", "second-key")


def ask(world: World, key: str = "", **fields: object) -> str:
    """A request's id by its answer."""
    body = {"model": APP, "messages": [{"role": "user", "content": "Hi"}], **fields}
    response = world.client.post("/v1/chat/completions", json=body, headers=bearer(key))
    return response.headers["x-softlaunch-request-id"]


def rate(world: World, request_id: str, key: str = "", url: str = "", **given: object) -> tuple[int, str]:
    """Status and code of a rating, thumbs down unless something else is given."""
    body = {"request_id": request_id, **(given or {"thumbs": "down"})}
    response = httpx.post(f"{url or world.url}/v1/feedback", json=body, headers=bearer(key), timeout=30, verify=False)
    return response.status_code, response.json().get("error", {"code": "accepted"})["code"]


def bearer(key: str) -> dict[str, str]:
    """The header of a key, none without one."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def test_only_what_was_asked_can_be_rated(world: World) -> None:
    """Ids that no gateway gave out are refused, however they look; a real one is taken right behind its answer."""
    real = ask(world)
    assert rate(world, real) == (202, "accepted")
    last = "0" if real[-1] != "0" else "1"
    invented = [
        f"{APP}-{'0' * 32}",
        f"{APP}-{'f' * 27}",
        real[:-1] + last,
        f"{APP}-12",
        real[:-10],
        f"nobody-{real[-32:]}",
    ]
    assert {rate(world, one) for one in invented} == {(404, "request_not_found")}
    assert world.ask_database("select count(*) from feedback")[0][0] <= 1


@pytest.mark.long
def test_many_invented_users_rate_nothing(world: World) -> None:
    """130 ratings of requests that never were leave no trace."""
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda n: rate(world, f"{APP}-{n:032x}")[0], range(130)))
    assert set(found) == {404}
    assert world.ask_database("select count(*) from feedback")[0][0] == 0


def test_the_first_rating_of_a_kind_counts(world: World) -> None:
    """A second one is refused, at once and later, and also when both come at the same moment."""
    request_id = ask(world)
    with ThreadPoolExecutor(8) as threads:
        found = sorted(threads.map(lambda n: rate(world, request_id, thumbs="up" if n else "down"), range(8)))
    assert found == [(202, "accepted"), *[(409, "already_rated")] * 7]
    assert rate(world, request_id, stars=4) == (202, "accepted")
    assert rate(world, request_id, scores={"quality": 0.5}) == (202, "accepted")
    assert rate(world, request_id, scores={"hallucination": 0.5, "quality": 1}) == (409, "already_rated")
    assert rate(world, request_id, scores={"hallucination": 0.5}) == (202, "accepted")
    wait_until(lambda: world.ask_database("select count(*) from scores")[0][0] == 2, "both scores are written")
    assert world.ask_database("select count(*) from feedback")[0][0] == 2


@pytest.mark.parametrize("fault", ["500", "400", "drop", "html"])
def test_a_failed_request_has_nothing_to_rate(world: World, fault: str) -> None:
    """Neither ratings nor scores of what nobody read."""
    world.models.faults["stable"] = fault
    request_id = ask(world)
    assert rate(world, request_id) == (409, "request_failed")
    assert rate(world, request_id, scores={"quality": 0.0}) == (409, "request_failed")


def test_who_was_answered_by_stable_in_the_candidates_place_may_rate(world: World) -> None:
    """The candidate failed, and its user has an answer all the same."""
    world.models.faults["candidate"] = "500"
    with world.watched():
        world.split(100)
        assert rate(world, ask(world, user="ann")) == (202, "accepted")
    assert world.rows(1, fell_back=True)


def test_ratings_end_with_their_window(ledger_url: str, models: FakeModels) -> None:
    """A request that began too long ago is rated no more."""
    with running_world(ledger_url, models, rating_window_seconds=0.8) as world:
        request_id = ask(world)
        assert rate(world, request_id) == (202, "accepted")
        time.sleep(0.8)
        assert rate(world, request_id, stars=5) == (410, "request_too_old")


def test_the_key_that_asked_rates(ledger_url: str, models: FakeModels) -> None:
    """Another client's requests are none of one's business."""
    with running_world(ledger_url, models, client_keys=KEYS) as world:
        request_id = ask(world, KEYS[0])
        assert rate(world, request_id, KEYS[1]) == (404, "request_not_found")
        assert rate(world, request_id)[0] == 401
        assert rate(world, request_id, KEYS[0]) == (202, "accepted")


def test_keys_for_ratings_rate_alone(ledger_url: str, models: FakeModels) -> None:
    """With keys of their own, ratings come from nobody who may only chat, and such a key may not chat."""
    with running_world(ledger_url, models, client_keys=KEYS, feedback_keys=["judge"]) as world:
        ids = [ask(world, key) for key in KEYS]
        assert [rate(world, one, key)[0] for one, key in zip(ids, KEYS, strict=True)] == [401, 401]
        assert [rate(world, one, "judge") for one in ids] == [(202, "accepted")] * 2
        refused = world.client.get("/v1/models", headers=bearer("judge"))
    assert refused.status_code == 401


def test_gateways_on_one_ledger_know_each_others_requests(ledger_url: str, world: World) -> None:
    """A rating may reach another gateway than the one that answered, and counts once for all of them."""
    request_id = ask(world)
    with running_gateway(ledger_url, limits=QUICK) as other:
        assert rate(world, request_id, url=other) == (202, "accepted")
        wait_until(lambda: world.ask_database("select count(*) from feedback")[0][0] == 1, "the rating is written")
        assert rate(world, request_id) == (409, "already_rated")


def test_a_request_whose_row_was_lost_is_not_rated(world: World) -> None:
    """What can't be checked is to be tried again."""
    request_id = ask(world)
    world.rows(1)
    with world.database.begin() as session:
        session.execute(update(RequestRow).values(request_id="another"))
    assert rate(world, request_id) == (503, "feedback_not_checked")


def test_seals_hold_for_their_app_and_key() -> None:
    """Nothing of an id can be changed, and its beginning is its time."""
    before = time.time()
    request = AppRequest(ChatCompletions(), request_id_for("bot"), "bot", {}, {}, 0)
    seal(request, "salt", b"key")
    request_id = request.request_id
    assert app_of(request_id) == "bot"
    assert len(request_id) == len("bot-") + 32
    assert before - 0.01 <= (asked_at(request_id) or 0) <= time.time() + 0.01
    assert is_sealed(request_id, "salt", [b"other", b"key"])
    assert not is_sealed(request_id, "salt", [b"", b"other"])
    assert not is_sealed(request_id, "pepper", [b"key"])
    assert not is_sealed("bat-" + request_id[4:], "salt", [b"key"])


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        pytest.param({b"authorization": b"Bearer one"}, b"one", id="bearer"),
        pytest.param({b"authorization": b"bearer  two"}, b"two", id="two spaces"),
        pytest.param({b"api-key": b"two"}, b"two", id="api-key"),
        pytest.param({b"x-api-key": b"one"}, b"one", id="x-api-key"),
        pytest.param({b"authorization": b"Bearer three", b"api-key": b"one"}, b"one", id="the one that is known"),
        pytest.param({b"authorization": b"Bearer \xff\xfe"}, b"", id="bytes"),
        pytest.param({}, b"", id="none"),
    ],
)
def test_the_key_of_a_request(headers: dict[bytes, bytes], key: bytes) -> None:
    """The known key that it carries, wherever clients put it."""
    assert key_of(headers, (b"one", b"two")) == key
