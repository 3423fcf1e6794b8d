"""OTLP over HTTP: what exporters send, and what they are told."""

import gzip
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from sqlalchemy import text
from sqlmodel import select

from softlaunch.inbound.otlp.receiver import Allowance
from softlaunch.store.database import Database
from softlaunch.store.tables import RequestRow, ScoreRow
from tests.support.otlp import evaluated, exported, logged, record_split, running_receiver, span

_BINARY = {"content-type": "application/x-protobuf"}
_JSON = {"content-type": "application/json"}


@pytest.fixture
def url(database: Database) -> Iterator[str]:
    """A receiver for an app with a split."""
    record_split(database, since=time.time() - 60)
    with running_receiver(database.url.render_as_string(hide_password=False)) as address:
        yield address


@pytest.fixture(scope="module")
def idle_url(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A receiver that has nothing to write, for all tests of what it refuses."""
    ledger = shutil.copy(migrated_file, tmp_path_factory.mktemp("idle") / "ledger.db")
    with running_receiver(f"sqlite:///{ledger}") as address:
        yield address


def count(database: Database, table: Any = RequestRow) -> int:
    """Rows of the log, or of scores."""
    with database.read() as session:
        return len(session.exec(select(table)).all())


def test_an_export_in_binary_is_taken(database: Database, url: str) -> None:
    """With gzip as exporters offer it; what else is in it is no fault of theirs."""
    request = exported(span(time.time() - 3), span(time.time() - 3, gen_ai__operation__name="execute_tool"))
    body = gzip.compress(request.SerializeToString())
    answer = httpx.post(f"{url}/v1/traces", content=body, headers={**_BINARY, "content-encoding": "gzip"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-protobuf")
    assert not ExportTraceServiceResponse.FromString(answer.content).HasField("partial_success")
    assert count(database) == 1


def test_an_export_in_json_is_taken(database: Database, url: str) -> None:
    """Its ids are in hexadecimal, as OTLP has them and protobuf hasn't."""
    one = span(time.time() - 3)
    document = MessageToDict(exported(one))
    (found,) = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    found |= {"traceId": one.trace_id.hex(), "spanId": one.span_id.hex(), "unknown": [1]}
    answer = httpx.post(f"{url}/v1/traces", json=document)
    assert (answer.status_code, answer.json()) == (200, {})
    with database.read() as session:
        (row,) = session.exec(select(RequestRow)).all()
    assert row.request_id.endswith(f"-{one.trace_id.hex()[16:]}{one.span_id.hex()}")


def test_what_can_not_be_used_is_told(database: Database, url: str) -> None:
    """How many spans, and what to do about them: a partial success, which nobody sends again."""
    request = exported(span(time.time() - 3, softlaunch__unit=None), span(time.time() - 3))
    answer = httpx.post(f"{url}/v1/traces", content=request.SerializeToString(), headers=_BINARY)
    said = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, said.rejected_spans, count(database)) == (200, 1, 1)
    assert said.error_message == "1 lack unit: set softlaunch.unit to whom the arm was drawn by"
    counted = httpx.get(f"{url}/metrics").text
    assert 'softlaunch_otlp_unattributed_total{app="support-bot",lacks="unit"} 1.0' in counted
    assert "softlaunch_otlp_calls_total 1.0" in counted


def test_evaluations_come_as_logs(database: Database, url: str) -> None:
    """Beside what else an app logs."""
    request = logged(
        evaluated(span(1.0), gen_ai__evaluation__score__value=0.5), evaluated(gen_ai__evaluation__name="x")
    )
    answer = httpx.post(f"{url}/v1/logs", content=request.SerializeToString(), headers=_BINARY)
    said = ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert (said.rejected_log_records, count(database, ScoreRow)) == (1, 1)


def test_metrics_are_not_read_and_that_is_told(idle_url: str) -> None:
    """An exporter learns it at its first export."""
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add(name="gen_ai.client.token.usage")
    answer = httpx.post(f"{idle_url}/v1/metrics", content=request.SerializeToString(), headers=_BINARY)
    said = ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, said.rejected_data_points) == (200, 1)
    assert "metrics aren't read" in said.error_message


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"\xff\xff", _BINARY, 400, id="no protobuf"),
        pytest.param(b"{", _JSON, 400, id="no JSON"),
        pytest.param(b'{"resourceSpans": 7}', _JSON, 400, id="another document"),
        pytest.param(b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}', _JSON, 400, id="ids"),
        pytest.param(b"[" * 5000, _JSON, 400, id="too deep"),
        pytest.param(b"", {"content-type": "text/plain"}, 415, id="another content type"),
        pytest.param(b"x", {**_BINARY, "content-encoding": "gzip"}, 400, id="no gzip"),
        pytest.param(gzip.compress(bytes(9_000_000)), {**_BINARY, "content-encoding": "gzip"}, 413, id="a bomb"),
    ],
)
def test_what_is_no_export_is_refused(idle_url: str, body: bytes, headers: dict[str, str], status: int) -> None:
    """With a status that no exporter tries again, and words."""
    answer = httpx.post(f"{idle_url}/v1/traces", content=body, headers=headers)
    assert answer.status_code == status
    is_json = headers == _JSON
    said = orjson.loads(answer.content)["message"] if is_json else Status.FromString(answer.content).message
    assert said


def test_a_ledger_that_is_away_is_waited_for(database: Database, url: str) -> None:
    """Exporters keep what they have and come again; nothing is lost, and nothing counted twice."""
    body = exported(span(time.time() - 3)).SerializeToString()
    with database.begin() as session:
        session.execute(text("ALTER TABLE received_spans RENAME TO away"))
    answer = httpx.post(f"{url}/v1/traces", content=body, headers=_BINARY)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    with database.begin() as session:
        session.execute(text("ALTER TABLE away RENAME TO received_spans"))
    assert httpx.post(f"{url}/v1/traces", content=body, headers=_BINARY).status_code == 200
    assert count(database) == 1


def test_only_who_has_the_token_may_export(database: Database) -> None:
    """Where one is set."""
    record_split(database, since=time.time() - 60)
    body = exported(span(time.time() - 3)).SerializeToString()
    with running_receiver(database.url.render_as_string(hide_password=False), token="secret") as url:
        for said, status in (
            ({}, 401),
            ({"authorization": "Bearer wrong"}, 401),
            ({"authorization": "Bearer secret"}, 200),
        ):
            assert httpx.post(f"{url}/v1/traces", content=body, headers={**_BINARY, **said}).status_code == status
        assert httpx.get(f"{url}/healthz").json()["status"] == "ok"
    assert count(database) == 1


def test_more_than_is_taken_in_a_second_is_asked_to_wait(database: Database) -> None:
    """By 429 with the seconds to wait, which exporters keep to."""
    record_split(database, since=time.time() - 60)
    body = exported(*(span(time.time() - 3) for _ in range(30))).SerializeToString()
    with running_receiver(database.url.render_as_string(hide_password=False), spans_per_second=1.0) as url:
        assert httpx.post(f"{url}/v1/traces", content=body, headers=_BINARY).status_code == 200
        answer = httpx.post(f"{url}/v1/traces", content=body, headers=_BINARY)
    assert answer.status_code == 429
    assert 20 < int(answer.headers["retry-after"]) <= 28


def test_an_allowance_fills_by_itself() -> None:
    """Up to what comes in two seconds; one export may overdraw it."""
    now = 0.0
    allowance = Allowance(10.0, lambda: now)
    assert [allowance.take(count) for count in (20, 1)] == [0.0, 1.0]
    now = 0.5
    assert [allowance.take(count) for count in (45, 1)] == [0.0, 4.0]
    now = 100.0
    assert allowance.take(20) == 0.0
    assert allowance.take(1) == 1.0
