"""The benchmark of the gateway counts what was answered, and its table says what was counted."""

import math
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest

from benchmarks.gateway import processes, tables
from benchmarks.gateway.answers import Answer
from benchmarks.gateway.idle import Idle, idle_connections
from benchmarks.gateway.load import Load, Target, does_answer, generate
from benchmarks.gateway.peers import Direct
from benchmarks.gateway.provider import streamed
from benchmarks.gateway.report import Round, Row, table
from benchmarks.gateway.requests import RequestKind, chat, completions, conversation, embeddings, messages, responses
from benchmarks.gateway.tables import Table
from tests.support.paths import ROOT

EVENTS = 8
WHOLE = (responses(), messages(), embeddings(), completions())
TABLES = (tables.USUAL, tables.STREAMS, tables.BODIES, tables.PROTOCOLS, tables.idle(10), tables.processes(2))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The benchmark's provider as it runs, streaming chats."""
    folder = tmp_path_factory.mktemp("provider")
    port, core = processes.free_port(), min(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "benchmarks.gateway.provider", str(EVENTS), str(port)]
    process = processes.start(command, folder, [core], {"PYTHONPATH": str(ROOT)})
    target = Target(port, "/v1", "m")
    try:
        processes.wait_for(lambda: does_answer(target, responses()), process, folder, 30)
        assert processes.peak_mb(process) > 1
        yield target
    finally:
        processes.stop(process)


def _round(per_second: int, p50_ms: float, **more: float) -> Round:
    return replace(Round(Load(per_second, 0, 1.0, 9.0, 9.0), Load(10, 0, 1.0, p50_ms, p50_ms * 2)), **more)  # type: ignore[arg-type]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_medians_of_what_a_gateway_adds_in_each_round() -> None:
    """Latency is compared within a round; memory is the most of all rounds, and errors are added up."""
    direct = [_round(50_000, p50) for p50 in (0.1, 1.1, 0.1)]
    own = [
        _round(4_000, 0.4, cpu_us=200.0, peak_mb=90.0),
        _round(5_000, 1.5, cpu_us=220.0, peak_mb=110.0, lost=2),
        _round(9_000, 0.6, cpu_us=150.0, peak_mb=110.4),
    ]
    own[0] = replace(own[0], busy=replace(own[0].busy, errors=1), alone=replace(own[0].alone, errors=1))
    rows = [Row("direct, 4 kB", "the provider itself", direct, direct), Row("ours", "log on", own, direct)]
    heads, _, first, second, missing, _, base = table(rows, {"other": "not installed"}).splitlines()
    assert _cells(heads)[1:4] == ["req/s at 32", "added p50 ms", "added p99 ms"]
    assert _cells(first) == ["direct, 4 kB", "50,000", "-", "-", "-", "-", "0", "the provider itself"]
    assert _cells(second) == ["ours", "5,000", "0.40", "0.80", "200", "110", "4", "log on"]
    assert _cells(missing) == ["other", "not available", "", "", "", "", "", "not installed"]
    assert base == "Direct, 4 kB, one at a time: p50 0.100 ms, p99 0.200 ms."


def test_a_gateway_that_answers_nothing_has_no_latency() -> None:
    """A round without an answer is shown as one, and isn't left out of the median."""
    none = Round(Load(0, 32, 1.0, math.nan, math.nan), Load(0, 32, 1.0, math.nan, math.nan))
    direct = [_round(50_000, 0.1), _round(50_000, 0.1)]
    row = Row("ours", "", [_round(4_000, 0.4), none], direct)
    assert row.cells == ["ours", "2,000", "-", "-", "-", "-", "64", ""]


@pytest.mark.parametrize("size", tables.BODY_BYTES)
def test_a_conversation_has_the_size_that_its_row_names(size: int) -> None:
    """Within a fiftieth, in turns that begin and end with the user."""
    body = conversation(size).body("m")
    turns = orjson.loads(body)["messages"]
    assert len(body) == pytest.approx(size, rel=0.02)
    assert turns[0]["role"] == turns[-1]["role"] == "user"


@pytest.mark.parametrize(
    "kind",
    [chat(), conversation(4000), *WHOLE],
    ids=lambda kind: kind.path,
)
def test_requests_differ_in_their_user(kind: RequestKind) -> None:
    """Each is a whole request, of the user of its number."""
    requests = Target(80, "/v1", "m").requests(kind)
    head, _, body = requests.of_user(42).partition(b"\r\n\r\n")
    asked = orjson.loads(body)
    assert head.startswith(f"POST /v1{kind.path} HTTP/1.1\r\n".encode())
    assert head.endswith(f"Content-Length: {len(body)}".encode())
    assert asked.get("user", asked.get("metadata", {}).get("user_id")) == "user-0000042"
    assert requests.of_user(7) == requests.of_user(42).replace(b"0000042", b"0000007")


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_stream_is_read_however_it_is_cut(step: int) -> None:
    """It begins with its first event and is whole at its end, not before."""
    stream = b"".join(streamed(EVENTS))
    answer = Answer(EVENTS)
    for at in range(0, len(stream), step):
        assert not answer.is_whole
        answer.add(stream[at : at + step])
        assert answer.has_begun == (b"data:" in stream[: at + step])
    assert answer.is_whole
    assert answer.is_good


def _answered(stream: bytes) -> Answer:
    answer = Answer(EVENTS)
    answer.add(stream)
    return answer


def test_a_stream_with_events_missing_is_an_error() -> None:
    """So is one without its end, and one that doesn't say 200; an event that two chunks share is there."""
    parts = streamed(EVENTS)
    assert not _answered(b"".join([parts[0], *parts[3:]])).is_good
    assert not _answered(b"".join(parts).replace(b"[DONE]", b"[OVER]")).is_good
    assert not _answered(b"".join(parts).replace(b"200 OK", b"502 No")).is_good
    shared = [part.replace(b"e\r\ndata: [DONE]\n\n", b"2\r\nda\r\nc\r\nta: [DONE]\n\n") for part in parts]
    assert shared != parts
    assert _answered(b"".join(shared)).is_good


@pytest.mark.parametrize("kind", WHOLE, ids=lambda kind: kind.path)
def test_the_provider_answers_each_protocol_whole(provider: Target, kind: RequestKind) -> None:
    """Every answer is good."""
    found = generate(provider, kind, 2, 0.1)
    assert found.answers > 0
    assert found.errors == 0
    assert 0 < found.p50_ms <= found.p99_ms


def test_the_provider_streams_chats(provider: Target) -> None:
    """Every stream has all events; its latency is that of the first, before the pause behind it."""
    found = generate(provider, chat(stream=True), 2, 0.2, EVENTS)
    assert found.answers > 0
    assert found.errors == 0


def test_requests_to_a_path_that_is_not_there_are_errors(provider: Target) -> None:
    """Answers that don't say 200 are counted as both."""
    found = generate(replace(provider, base="/v2"), responses(), 1, 0.1)
    assert 0 < found.answers == found.errors


def test_idle_connections_stay_open(provider: Target) -> None:
    """Each has had an answer, and the provider keeps them."""
    with idle_connections(provider, responses(), 5) as idle:
        assert idle.closed() == 0


def test_idle_connections_that_the_other_side_closes_are_counted() -> None:
    """One of two is gone."""
    (here, there), (kept, other) = socket.socketpair(), socket.socketpair()
    with here, kept, other:
        there.close()
        assert Idle([here, kept]).closed() == 1


@pytest.mark.parametrize("asked", TABLES)
def test_each_table_begins_with_the_direct_call(asked: Table) -> None:
    """What gateways add is against it, case by case."""
    assert asked.peers[0] is Direct
    assert len({case.label for case in asked.cases}) == len(asked.cases)
