"""The external processor: bodies become those of the variant that Envoy has chosen, as the gateway makes them."""

import os
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import orjson

from softlaunch.core.endpoint import EndpointError, way_to
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.variant import TemplateVariablesError, Variant
from softlaunch.gateway.forwarding import request_headers
from softlaunch.gateway.prompt_bodies import request_body
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError
from softlaunch.gateway.protocols.protocol import LlmProtocol
from softlaunch.gateway.protocols.registry import PROTOCOLS
from softlaunch.gateway.requests import parse
from softlaunch.gateway.table import RouteTable
from softlaunch.gateway.wire import Fault, RefusedError, error_body
from softlaunch.inbound.envoy import messages
from softlaunch.inbound.envoy.names import (
    APP_HEADER,
    ARM_HEADER,
    RELEASE_HEADER,
    REQUEST_HEADER,
    VARIANT_HEADER,
    VARIANT_OF,
)

_BY_PATH: Mapping[str, LlmProtocol] = {f"/v1{one.path}": one for one in PROTOCOLS}
_OWN = (APP_HEADER, ARM_HEADER, VARIANT_HEADER, RELEASE_HEADER, REQUEST_HEADER, *VARIANT_OF.values())
_REPLACED = ("authorization", "x-api-key", "api-key", "cookie")
"""A client's own keys, which no provider gets to see."""


class UnknownVariantError(SoftlaunchError):
    """A request is for a variant of which this process knows nothing."""


class Processor:
    """Answers Envoy's questions, one stream for each request. What it can't answer, the filter's failure mode does."""

    def __init__(self, table: RouteTable, environment: Mapping[str, str] | None = None) -> None:
        self._table = table
        self._environment = os.environ if environment is None else environment

    async def stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: ARG002
        """Let headers pass, and put the variant's body in the place of the client's."""
        headers: dict[str, bytes] = {}
        async for request in requests:
            if request.HasField("request_headers"):
                headers = {
                    one.key: one.raw_value or one.value.encode() for one in request.request_headers.headers.headers
                }
                yield messages.ProcessingResponse(request_headers=messages.HeadersResponse())
            elif request.HasField("request_body"):
                yield await self.answer(headers, request.request_body.body)

    async def answer(self, headers: Mapping[str, bytes], body: bytes) -> Any:
        """The body to send and the headers that go with it, or an error that the client is told.

        Raises UnknownVariantError.
        """
        protocol = _BY_PATH.get(headers.get(":path", b"").decode("latin-1").partition("?")[0])
        if protocol is None:
            return messages.ProcessingResponse(request_body=messages.BodyResponse())
        variant = self._variant(headers)
        try:
            request = parse(protocol, body, {name.encode(): value for name, value in headers.items()})
            content = await request_body(protocol, variant, request.body)
            told = request_headers(variant.model, request.headers, self._environment, protocol.api)
            if variant.parameters is not None:
                told.update(variant.extra_headers)
            way = urlsplit(way_to(variant.model, protocol.path).url)
            return _rewritten(orjson.dumps(content), {**told, ":authority": way.netloc, ":path": _path(way)})
        except RefusedError as error:
            return _refused(error.status, protocol.error(error.status, error.fault))
        except (TemplateVariablesError, orjson.JSONEncodeError) as error:
            return _refused(400, _document(protocol, 400, str(error), "invalid_request_error"))
        except (EndpointError, UnsuitableVariantError) as error:
            return _refused(502, _document(protocol, 502, str(error), "server_error"))

    def _variant(self, headers: Mapping[str, bytes]) -> Variant:
        digest = headers.get(VARIANT_HEADER, b"").decode("latin-1")
        served = self._table.get(headers.get(APP_HEADER, b"").decode("latin-1"))
        known = () if served is None else (served.route.stable, served.route.candidate, *served.retired.values())
        for variant in known:
            if variant is not None and variant.digest == digest:
                return variant
        remembered = self._table.remembered(digest[:12]) if digest else None
        if remembered is None or remembered.digest != digest:
            raise UnknownVariantError(
                f"variant {digest[:12]} is none of this ledger's routes; does Envoy read its file?"
            )
        return remembered


def _path(way: SplitResult) -> str:
    return way.path + (f"?{way.query}" if way.query else "")


def _document(protocol: LlmProtocol, status: int, message: str, kind: str) -> bytes:
    return protocol.error(status, Fault(message, kind, None, None)) or error_body(Fault(message, kind, None, None))


def _rewritten(content: bytes, headers: Mapping[str, str]) -> Any:
    options = [
        messages.HeaderOption(
            header=messages.Header(key=name, raw_value=value.encode()), append_action=messages.OVERWRITE
        )
        for name, value in {**headers, "content-length": str(len(content))}.items()
    ]
    gone = [name for name in (*_OWN, *_REPLACED) if name not in headers]
    common = messages.Changed(
        header_mutation=messages.HeaderMutation(set_headers=options, remove_headers=gone),
        body_mutation=messages.BodyMutation(body=content),
    )
    return messages.ProcessingResponse(request_body=messages.BodyResponse(response=common))


def _refused(status: int, document: bytes) -> Any:
    typed = messages.HeaderOption(header=messages.Header(key="content-type", raw_value=b"application/json"))
    answer = messages.ImmediateResponse(
        status=messages.HttpStatus(code=status),
        headers=messages.HeaderMutation(set_headers=[typed]),
        body=document,
    )
    return messages.ProcessingResponse(immediate_response=answer)
