"""Traffic against a small gateway of our own: arrivals, users, ratings and counts."""

import asyncio
import itertools
import random
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from softlaunch.core.errors import SoftlaunchError
from softlaunch.simulator.arrivals import ArrivalsError, read_gaps, replayed_gaps, shaped_gaps
from softlaunch.simulator.cases import Case
from softlaunch.simulator.tally import Tally
from softlaunch.simulator.traffic import Traffic, TrafficPlan, drive
from softlaunch.simulator.users import Crowd, Person, RatingKind, rate

CASES = [Case(id=str(n), question=f"q{n}", expected="right") for n in range(5)]
STREAM = (
    b'data: {"choices": [{"delta": {"content": "right"}}]}\n\ndata: {"choices": [], "usage": {}}\n\ndata: [DONE]\n\n'
)
BROKEN_STREAM = STREAM.removesuffix(b"data: [DONE]\n\n")


class FakeGateway:
    """Speaks the gateway's protocol: every fifth user is on the candidate, which is always wrong."""

    def __init__(self, answer: str = "right", wait_s: float = 0.0, status: int = 200, stream: bytes = STREAM) -> None:
        self.answer, self.wait_s, self.status, self.stream = answer, wait_s, status, stream
        self.bodies: list[dict[str, Any]] = []
        self.ratings: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()

    async def chat(self, request: web.Request) -> web.Response:
        """An answer with the gateway's three headers."""
        body = await request.json()
        self.bodies.append(body)
        number = len(self.bodies)
        self.keys.add(request.headers.get("Authorization"))
        await asyncio.sleep(self.wait_s)
        candidate = int(body["user"].rsplit("-")[-1]) % 5 == 0
        headers = {
            "x-softlaunch-request-id": f"r{number}",
            "x-softlaunch-arm": "candidate" if candidate else "stable",
            "x-softlaunch-variant": "c" * 12 if candidate else "5" * 12,
        }
        if self.status != 200:
            return web.json_response({"error": {}}, status=self.status, headers=headers)
        if body.get("stream"):
            return web.Response(body=self.stream, headers=headers, content_type="text/event-stream")
        message = {"content": "wrong" if candidate else self.answer}
        return web.json_response({"choices": [{"message": message}]}, headers=headers)

    async def feedback(self, request: web.Request) -> web.Response:
        """Take a rating."""
        self.ratings.append(await request.json())
        return web.json_response({}, status=202)


@asynccontextmanager
async def listening(gateway: FakeGateway) -> AsyncIterator[str]:
    """The gateway's URL while it listens on a free port."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", gateway.chat)
    app.router.add_post("/v1/feedback", gateway.feedback)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("/")).rstrip("/")


def played(gateway: FakeGateway, **options: Any) -> Tally:
    """Drive a fifth of a second of traffic against a gateway."""
    usual: dict[str, Any] = {"rate_rps": 500, "duration_s": 0.2, "users": 40, "stream_share": 0}
    plan = TrafficPlan("", "shop", **(usual | options))

    async def run() -> Tally:
        async with listening(gateway) as url:
            return await drive(replace(plan, gateway=url), CASES)

    return asyncio.run(run())


def test_what_users_met_is_counted_by_arm_and_variant() -> None:
    """The summary agrees with what the gateway saw."""
    gateway = FakeGateway()
    summary = played(gateway, rated_share=0).summary()
    on_candidate = {body["user"] for body in gateway.bodies if int(body["user"].rsplit("-")[-1]) % 5 == 0}
    assert summary["requests"] == len(gateway.bodies) == sum(summary["variants"].values())
    assert summary["users"] == len({body["user"] for body in gateway.bodies})
    assert summary["users_answered_by_candidate"] == len(on_candidate)
    assert summary["arms"]["stable"]["right_share"] == 1.0
    assert summary["arms"]["candidate"]["right_share"] == 0.0
    assert summary["failures"] == summary["not_sent"] == summary["ratings"] == 0
    assert {body["model"] for body in gateway.bodies} == {"shop"}


@pytest.mark.parametrize("kind", [RatingKind.THUMBS, RatingKind.STARS])
def test_ratings_name_the_request_and_follow_its_quality(kind: RatingKind) -> None:
    """Users of the arm that is right are happier."""
    gateway = FakeGateway()
    summary = played(gateway, ratings=kind, rated_share=1.0).summary()
    key = "thumbs" if kind is RatingKind.THUMBS else "stars"
    assert all(set(rating) == {"request_id", key} for rating in gateway.ratings)
    assert len({rating["request_id"] for rating in gateway.ratings}) == summary["ratings"] == summary["requests"]
    assert summary["arms"]["stable"]["satisfaction"] > summary["arms"]["candidate"]["satisfaction"] + 0.2


@pytest.mark.parametrize(
    ("gateway", "options", "failure"),
    [
        pytest.param(FakeGateway(status=503), {}, "http 503", id="an error"),
        pytest.param(FakeGateway(wait_s=5), {"timeout_s": 0.1}, "timeout", id="too slow"),
        pytest.param(
            FakeGateway(stream=BROKEN_STREAM), {"stream_share": 1}, "broken answer", id="a stream without end"
        ),
    ],
)
def test_failures_are_counted_by_kind_and_never_rated(
    gateway: FakeGateway, options: dict[str, Any], failure: str
) -> None:
    """A user without an answer is a failure, not a bad rating."""
    tally = played(gateway, rated_share=1.0, **options)
    assert set().union(*(arm.failures for arm in tally.arms.values())) == {failure}
    assert tally.failures == tally.requests > 0
    assert tally.users_answered_by("candidate") == 0
    assert gateway.ratings == []


def test_a_gateway_that_is_down_is_a_failure_of_every_request() -> None:
    """Traffic goes on, and says what happened."""
    tally = asyncio.run(drive(TrafficPlan("http://127.0.0.1:9", "shop", rate_rps=200, duration_s=0.1), CASES))
    assert tally.arms["unknown"].failures["connection"] == tally.requests > 0


def test_streams_are_read_to_their_end() -> None:
    """Streamed answers are judged like whole ones."""
    gateway = FakeGateway()
    tally = played(gateway, stream_share=1)
    assert all(body["stream_options"] == {"include_usage": True} for body in gateway.bodies)
    assert sum(arm.right for arm in tally.arms.values()) == tally.requests > 0


def test_the_load_does_not_wait_for_a_slow_gateway() -> None:
    """Requests overlap, and those beyond the bound are counted as not sent."""
    gateway = FakeGateway(wait_s=0.5)
    tally = played(gateway, max_in_flight=20)
    assert len(gateway.bodies) == tally.requests == 20
    assert tally.not_sent > 20


def test_the_key_is_presented() -> None:
    """A gateway with client keys can be rehearsed."""
    from pydantic import SecretStr

    gateway = FakeGateway()
    played(gateway, api_key=SecretStr("k"))
    assert gateway.keys == {"Bearer k"}


def test_traffic_without_an_end_stops_when_told_from_another_thread() -> None:
    """Everything under way is finished and counted."""
    gateway = FakeGateway(wait_s=0.05)

    async def run() -> Tally:
        async with listening(gateway) as url:
            traffic = Traffic(TrafficPlan(url, "shop", rate_rps=200), CASES)
            stopper = threading.Timer(0.3, traffic.stop)
            stopper.start()
            return await traffic.run()

    tally = asyncio.run(run())
    assert tally.requests == len(gateway.bodies) > 0
    assert tally.in_flight == 0


def test_arrivals_have_the_rate_and_are_burstier_than_chance() -> None:
    """The mean gap is that of the rate, and its coefficient of variation exceeds a Poisson process's 1."""
    gaps = list(itertools.islice(shaped_gaps(50, random.Random(1)), 20_000))
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert 1 / mean == pytest.approx(50, rel=0.08)
    assert variance**0.5 / mean > 1.2


@pytest.mark.parametrize(
    ("rows", "gaps"),
    [
        pytest.param(
            ["2023-11-16 18:15:46.6805900", "2023-11-16 18:15:47.1805900"], [0.5], id="Azure's seven decimals"
        ),
        pytest.param(["2023-11-16T18:15:46Z", "2023-11-16T18:15:45Z"], [1.0], id="out of order"),
        pytest.param(["10", "12.5", "13"], [2.5, 0.5], id="seconds"),
    ],
)
def test_a_trace_s_gaps_are_read_in_the_order_of_time(tmp_path: Path, rows: list[str], gaps: list[float]) -> None:
    """Timestamps and seconds are both understood."""
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(["TIMESTAMP,ContextTokens", *(f"{row},1" for row in rows)]))
    assert read_gaps(path) == pytest.approx(gaps)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("when\n1\n", "no TIMESTAMP; the columns are when", id="another column"),
        pytest.param("TIMESTAMP\nnoon\n", "'noon'", id="no time"),
        pytest.param("TIMESTAMP\n1\n", "at least two", id="one arrival"),
    ],
)
def test_a_trace_that_can_not_be_replayed_says_why(tmp_path: Path, content: str, said: str) -> None:
    """File and row are in the message."""
    (tmp_path / "trace.csv").write_text(content)
    with pytest.raises(ArrivalsError, match=said):
        read_gaps(tmp_path / "trace.csv")


def test_replayed_gaps_are_stretched_to_the_rate() -> None:
    """The shape stays, the mean becomes the rate's, and the trace repeats."""
    assert list(itertools.islice(replayed_gaps((1.0, 3.0), 5), 4)) == pytest.approx([0.1, 0.3, 0.1, 0.3])


@pytest.mark.realdata
def test_a_production_trace_can_be_replayed(realdata: Path) -> None:
    """An hour of Azure's chat service has its 19,366 arrivals."""
    gaps = read_gaps(realdata / "azure-trace" / "AzureLLMInferenceTrace_conv.csv")
    assert len(gaps) == 19_365
    assert min(gaps) >= 0


def test_some_users_ask_far_more_than_others() -> None:
    """The busiest tenth asks more than a third of all questions, and nearly everybody asks."""
    rng = random.Random(1)
    crowd = Crowd(500, rng)
    asked = sorted(crowd.someone(rng).user for _ in range(20_000))
    counts = sorted((len(list(group)) for _, group in itertools.groupby(asked)), reverse=True)
    assert sum(counts[:50]) > 20_000 / 3
    assert len(counts) > 480


@pytest.mark.parametrize("kind", [RatingKind.THUMBS, RatingKind.STARS])
def test_ratings_fall_with_wrong_answers_and_with_waiting(kind: RatingKind) -> None:
    """Right and quick is better than right and slow, and that better than wrong and slow."""

    def mean(latency_s: float, *, right: bool) -> float:
        rng = random.Random(1)
        person = Person("u", 0.0)
        ratings = [rate(person, kind, latency_s, 6.0, rng, right=right) for _ in range(2000)]
        return sum(rating.satisfaction for rating in ratings if rating is not None) / len(ratings)

    quick, slow, wrong = mean(1.5, right=True), mean(6.0, right=True), mean(6.0, right=False)
    assert quick > slow + 0.2 > wrong + 0.2
    assert quick > 0.7


@pytest.mark.parametrize(
    "options", [{"rate_rps": 0}, {"users": 0}, {"rated_share": 1.5}, {"stream_share": -0.1}, {"timeout_s": 0}]
)
def test_a_plan_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    """The message names the value and what was expected."""
    with pytest.raises(SoftlaunchError, match=next(iter(options))):
        TrafficPlan("http://127.0.0.1:1", "shop", **({"rate_rps": 1} | options))
