"""A place that OpenTelemetry's exporters send to, and what has come."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from softlaunch.inbound.otlp.messages import Encoding, Signal, answer


class Collector(ThreadingHTTPServer):
    """Takes every export."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exports)
        self.spans: list[Any] = []
        self.metrics: dict[str, Any] = {}
        self.service = ""
        self.headers: list[str | None] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def named(self, span: Any) -> dict[str, Any]:
        """A span's attributes."""
        return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


class _Exports(BaseHTTPRequestHandler):
    server: Collector

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Take spans or metrics."""
        body = self.rfile.read(int(self.headers["content-length"]))
        body = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
        self.server.headers.append(self.headers["x-tenant"])
        if self.path == "/v1/traces":
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {one.key: one.value.string_value for one in group.resource.attributes}
                self.server.service = names["service.name"]
                self.server.spans += [span for scope in group.scope_spans for span in scope.spans]
        else:
            for measured in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                found = [metric for scope in measured.scope_metrics for metric in scope.metrics]
                self.server.metrics |= {metric.name: metric for metric in found}
        said = answer(Signal.TRACES, Encoding.BINARY)
        self.send_response(200)
        self.send_header("content-type", Encoding.BINARY)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)


@contextmanager
def running_collector() -> Iterator[Collector]:
    """One that runs while the block works."""
    collector = Collector()
    thread = threading.Thread(target=collector.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
