"""A gateway that is told to stop serves on while load balancers learn of it, and sends its clients away."""

import http.client
import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytest
import uvicorn

from softlaunch.gateway.server import GatewayOptions, build_server
from softlaunch.policy.route import Serving
from softlaunch.store.migrate import open_database
from tests.gateway.worlds import record, variant
from tests.support.servers import FakeModels, wait_until

_LONG = 600.0
_JSON = {"content-type": "application/json"}


@dataclass
class Stopping:
    """A gateway in a thread, which can be sent signals as a process is."""

    server: uvicorn.Server
    thread: threading.Thread
    port: int

    def signal(self, number: int = signal.SIGTERM) -> None:
        """What the process's handler of signals does."""
        self.server.handle_exit(number, None)

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is kept."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    @property
    def health(self) -> tuple[int, str]:
        """Status and word of its health."""
        with closing(self.connect()) as connection:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())["status"]


@contextmanager
def _gateway(ledger_url: str, models: FakeModels, seconds: float = _LONG) -> Iterator[Stopping]:
    """A gateway with an app that drains for so long; it is stopped afterwards."""
    with closing(open_database(ledger_url)) as database:
        record(database, variant("stable", models.endpoint), None, Serving(salt="pepper"))
        server, listener = build_server(database, GatewayOptions(port=0, log_level="error", drain_seconds=seconds))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        stopping = Stopping(server, thread, listener.getsockname()[1])
        try:
            wait_until(lambda: server.started, "the gateway starts")
            wait_until(lambda: stopping.health == (200, "ok"), "the gateway has read its routes")
            yield stopping
        finally:
            server.should_exit = True
            thread.join()


def _ask(connection: http.client.HTTPConnection, *, stream: bool = False) -> tuple[int, str, bytes]:
    """Status, `connection` header and body of a question on this connection."""
    question = {"model": "support-bot", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    connection.request("POST", "/v1/chat/completions", json.dumps(question), _JSON)
    answer = connection.getresponse()
    return answer.status, answer.headers.get("connection", "keep-alive"), answer.read()


def test_a_draining_gateway_serves_whoever_comes(ledger_url: str, models: FakeModels) -> None:
    """It says that it stops, answers on kept and on fresh connections, and each answer ends its connection."""
    with _gateway(ledger_url, models) as gateway, closing(gateway.connect()) as kept:
        assert _ask(kept)[:2] == (200, "keep-alive")
        gateway.signal()
        wait_until(lambda: gateway.health == (503, "stopping"), "it says that it stops")
        assert _ask(kept)[:2] == (200, "close")
        with closing(gateway.connect()) as fresh:
            assert _ask(fresh)[:2] == (200, "close")


def test_an_answer_under_way_sends_its_client_away(ledger_url: str, models: FakeModels) -> None:
    """A request that came before the signal and is answered after it is the last one of its connection."""
    models.faults["stable"] = "slow"
    with (
        _gateway(ledger_url, models) as gateway,
        closing(gateway.connect()) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        answered = pool.submit(_ask, connection)
        wait_until(lambda: models.under_way["stable"] == 1, "the model is asked")
        gateway.signal()
        assert answered.result()[:2] == (200, "close")


def test_a_stream_that_has_begun_stays_whole(ledger_url: str, models: FakeModels) -> None:
    """It goes on through the drain and beyond its end; only then is the gateway gone."""
    models.faults["stable"] = "pings"
    with (
        _gateway(ledger_url, models, 0.3) as gateway,
        closing(gateway.connect()) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        answered = pool.submit(_ask, connection, stream=True)
        wait_until(lambda: models.under_way["stable"] == 1, "the stream has begun")
        gateway.signal()
        status, _, body = answered.result()
        assert (status, body.endswith(b"data: [DONE]\n\n")) == (200, True)
        gateway.thread.join(10)
        assert not gateway.thread.is_alive()


@pytest.mark.parametrize(
    ("seconds", "signals"),
    [
        pytest.param(0.0, [signal.SIGTERM], id="nothing to wait for"),
        pytest.param(_LONG, [signal.SIGINT], id="Ctrl-C"),
        pytest.param(_LONG, [signal.SIGTERM, signal.SIGTERM], id="told twice"),
        pytest.param(0.2, [signal.SIGTERM], id="the time is over"),
    ],
)
def test_a_gateway_stops_in_time(ledger_url: str, models: FakeModels, seconds: float, signals: list[int]) -> None:
    """Who is in a hurry waits for no drain, and a drain has an end."""
    with _gateway(ledger_url, models, seconds) as gateway:
        for number in signals:
            gateway.signal(number)
        gateway.thread.join(10)
        assert not gateway.thread.is_alive()


def test_requests_behind_each_other_are_all_answered(ledger_url: str, models: FakeModels) -> None:
    """Of several requests that came on one connection at once, the last one's answer ends it, and none is lost."""
    models.faults["stable"] = "slow"
    question = json.dumps({"model": "support-bot", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    request = head + b"content-length: %d\r\n\r\n" % len(question) + question
    with _gateway(ledger_url, models) as gateway, closing(gateway.connect()) as connection:
        connection.connect()
        connection.sock.sendall(request * 2)
        wait_until(lambda: models.under_way["stable"] == 1, "the model is asked")
        gateway.signal()
        said = b"".join(iter(lambda: connection.sock.recv(65536), b""))
    assert said.count(b"HTTP/1.1 200 OK") == 2
    assert said.lower().count(b"connection: close") == 1


def test_a_kept_connection_is_given_time_to_leave(ledger_url: str, models: FakeModels) -> None:
    """Whose stream had begun before the signal wasn't told to leave: the next request, late as it is, is served."""
    models.faults["stable"] = "pauses"
    with (
        _gateway(ledger_url, models, 1.0) as gateway,
        closing(gateway.connect()) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        answered = pool.submit(_ask, connection, stream=True)
        wait_until(lambda: models.under_way["stable"] == 1, "the stream has begun")
        time.sleep(0.3)
        gateway.signal()
        assert answered.result()[:2] == (200, "keep-alive")  # after the drain's end
        time.sleep(0.3)
        assert _ask(connection)[:2] == (200, "close")
