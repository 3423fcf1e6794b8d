"""Envoy's services by their names: which function answers which call, and which messages go to and fro."""

from collections.abc import Callable
from typing import Any

import grpc

from softlaunch.inbound.envoy import messages

Answering = Callable[..., Any]


def runtime_service(stream: Answering) -> Any:
    """Layers of the runtime."""
    kinds = messages.DiscoveryRequest, messages.DiscoveryResponse
    return _service("envoy.service.runtime.v3.RuntimeDiscoveryService", "StreamRuntime", stream, kinds)


def log_service(stream: Answering) -> Any:
    """Access logs."""
    name = "envoy.service.accesslog.v3.AccessLogService"
    handler = grpc.stream_unary_rpc_method_handler(
        stream, messages.LogMessage.FromString, messages.LogResponse.SerializeToString
    )
    return grpc.method_handlers_generic_handler(name, {"StreamAccessLogs": handler})


def processor_service(stream: Answering) -> Any:
    """Bodies."""
    kinds = messages.ProcessingRequest, messages.ProcessingResponse
    return _service("envoy.service.ext_proc.v3.ExternalProcessor", "Process", stream, kinds)


def _service(name: str, method: str, stream: Answering, kinds: tuple[Any, Any]) -> Any:
    handler = grpc.stream_stream_rpc_method_handler(stream, kinds[0].FromString, kinds[1].SerializeToString)
    return grpc.method_handlers_generic_handler(name, {method: handler})
