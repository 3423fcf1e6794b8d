"""The signed HTTP endpoint, for those who can't use Socket Mode: Slack posts clicks to an address of ours."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson
from slack_sdk.signature import Clock, SignatureVerifier
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

PATH = "/slack/interactions"
_LOGGER = logging.getLogger(__name__)
_LARGEST = 512 * 1024


class Interactions:
    """Takes what Slack posts: signed, fresh, and each only once, however many endpoints there are."""

    def __init__(
        self,
        secret: str,
        handle: Callable[[Mapping[str, Any]], None],
        is_first: Callable[[str], bool],
        clock: Clock | None = None,
    ) -> None:
        """`handle` is called after Slack has been answered, which must be within three seconds.

        `is_first` says whether a signature was never heard before, by this endpoint or another one.
        """
        self._verifier = SignatureVerifier(secret, clock or Clock())
        self._handle = handle
        self._is_first = is_first

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        body = await _bounded(request)
        if body is None:
            return PlainTextResponse("too large", status_code=413)
        if not self._genuine(body, request.headers):
            _LOGGER.warning("refused a request that Slack didn't sign, or signed long ago")
            return PlainTextResponse("not signed by Slack", status_code=401)
        try:
            first = await run_in_threadpool(self._is_first, request.headers["x-slack-signature"])
        except SQLAlchemyError as error:
            _LOGGER.warning("refused a request: the ledger can't be reached (%s)", error.__class__.__name__)
            return PlainTextResponse("the ledger can't be reached; try again", status_code=503)
        if not first:
            _LOGGER.warning("refused a request that was sent again")
            return PlainTextResponse("sent before", status_code=409)
        payload = _payload(body)
        if payload is None:
            return PlainTextResponse("no payload", status_code=400)
        return Response(background=BackgroundTask(self._handle, payload))

    def _genuine(self, body: bytes, headers: Mapping[str, str]) -> bool:
        try:
            return self._verifier.is_valid_request(body, dict(headers))
        except (
            ValueError,
            TypeError,
        ):  # a timestamp that is no number, a body that is no text, a signature not in ASCII
            return False


def build_endpoint(interactions: Interactions) -> Starlette:
    """The application: one path for Slack, one to see that it is up."""
    return Starlette(
        routes=[
            Route(PATH, interactions.__call__, methods=["POST"]),
            Route("/healthz", _alive, methods=["GET"]),
        ]
    )


async def _alive(request: Request) -> Response:  # noqa: ARG001  (Starlette's signature)
    return PlainTextResponse(f"ok {time.time():.0f}")


async def _bounded(request: Request) -> bytes | None:
    """The body, or None when it is larger than Slack's ever are."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST:
            return None
    return bytes(body)


def _payload(body: bytes) -> Mapping[str, Any] | None:
    try:
        payload = orjson.loads(parse_qs(body.decode())["payload"][0])
    except (KeyError, ValueError):
        return None
    return payload if isinstance(payload, dict) else None
