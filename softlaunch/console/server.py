"""The console as an ASGI application, and as a server on this machine."""

import logging
import socket
from http import HTTPStatus

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from softlaunch.console.access import NotAdmittedError
from softlaunch.console.guarding import BadFormError, Guard
from softlaunch.console.pages import asking_of, page
from softlaunch.console.routes import (
    apps,
    catalog,
    deciding,
    drift,
    evals,
    incidents,
    labelling,
    live,
    releases,
    requests,
    starting,
    trials,
    variants,
)
from softlaunch.console.state import Console
from softlaunch.core.errors import ConflictError, NotFoundError, SoftlaunchError
from softlaunch.core.logs import in_words
from softlaunch.gateway.http.connections import Connections
from softlaunch.gateway.http.protocol import http_protocol
from softlaunch.gateway.limits import Limits

_LOGGER = logging.getLogger(__name__)
_CONNECTIONS = 512
_ROUTES = (
    live,
    apps,
    starting,
    releases,
    deciding,
    incidents,
    evals,
    labelling,
    drift,
    trials,
    catalog,
    variants,
    requests,
)


def build_app(console: Console) -> FastAPI:
    """The application of a console."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.console = console
    app.add_middleware(Guard, access=console.access)
    for module in _ROUTES:
        app.include_router(module.router)
    app.add_exception_handler(SoftlaunchError, _in_words)
    app.add_exception_handler(SQLAlchemyError, _unreachable)
    app.add_exception_handler(RequestValidationError, _bad_address)
    app.add_exception_handler(HTTPException, _http)
    return app


def serve(console: Console, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM; streams end then at once, and browsers come back when there is a console again."""
    server = uvicorn.Server(
        uvicorn.Config(
            build_app(console),
            http=http_protocol(Connections(Limits(connections=_CONNECTIONS))),
            ws="none",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
    console.live.is_stopping = lambda: server.should_exit
    try:
        server.run(sockets=[listener])
    finally:
        console.background.close()


def _in_words(request: Request, error: Exception) -> Response:
    """What a person can mend, on a page; whoever isn't let in gets no page."""
    if isinstance(error, NotAdmittedError):
        return PlainTextResponse(f"{error}\n", error.status)
    if isinstance(error, NotFoundError):
        return _problem(request, HTTPStatus.NOT_FOUND, str(error))
    status = HTTPStatus.FORBIDDEN if isinstance(error, BadFormError) else HTTPStatus.UNPROCESSABLE_ENTITY
    return _problem(request, HTTPStatus.CONFLICT if isinstance(error, ConflictError) else status, str(error))


def _unreachable(request: Request, error: Exception) -> Response:  # noqa: ARG001  (Starlette's interface)
    """The ledger is away: no page can be made, not even its frame."""
    _LOGGER.warning("the console can't read the ledger: %s", in_words(error))
    text = "The ledger can't be read at this moment; reload in a few seconds. Releases continue without the console.\n"
    return PlainTextResponse(text, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"})


def _bad_address(request: Request, error: Exception) -> Response:  # noqa: ARG001  (Starlette's interface)
    return _problem(request, HTTPStatus.NOT_FOUND, "The console has no such page; start with the apps.")


def _http(request: Request, error: Exception) -> Response:
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    return _problem(request, status, "The console has no such page; start with the apps.")


def _problem(request: Request, status: HTTPStatus, message: str) -> Response:
    heading = "Not found" if status is HTTPStatus.NOT_FOUND else "That didn't work"
    texts = {"heading": heading, "message": message, "tone": "fail"}
    try:
        return page(asking_of(request), "problem.html.j2", status=status, **texts, back="/", back_text="All apps")
    except NotAdmittedError as error:
        return PlainTextResponse(f"{error}\n", error.status)
