"""Asking an endpoint once whether it answers, and saying in plain words what is wrong where it doesn't."""

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import aiohttp
import orjson
from yarl import URL

from softlaunch.core.api import Api
from softlaunch.core.endpoint import EndpointError, MissingKeyError
from softlaunch.core.model_headers import FromEnvironment
from softlaunch.core.variant import ModelVersion
from softlaunch.evals.calls.endpoint import Target

PROBE_SECONDS = 4.0
_QUESTION = "Say hello."
_MOST_BYTES = 65_536
_MOST_WORDS = 160
_BASE = "is the endpoint its base URL, up to and including /v1?"
_UNKNOWN_MODEL = re.compile(
    r"model\b.*(not exist|not found|unknown|unsupported|not supported|invalid|no such)"
    r"|(unknown|invalid|no such|not found|unsupported).*\bmodel|model_not_found|deploymentnotfound",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Probed:
    """How a model's endpoint took one tiny request; `problem` is None where it answered as one should."""

    model: str
    endpoint: str
    problem: str | None
    seconds: float
    asked: bool = True
    """False where nothing was sent, because this machine lacks the key."""

    @property
    def sentence(self) -> str:
        """For people."""
        return f"model {self.model} at {self.endpoint}: {self.problem or f'answers, in {self.seconds:.1f} s'}"


def probe(models: Sequence[ModelVersion], seconds: float = PROBE_SECONDS) -> tuple[Probed, ...]:
    """Ask each model's endpoint once, all at once, for one token; takes at most about so many seconds altogether."""
    return asyncio.run(_ask_all(models, seconds)) if models else ()


async def _ask_all(models: Sequence[ModelVersion], seconds: float) -> tuple[Probed, ...]:
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        return tuple(await asyncio.gather(*(_ask(session, model, seconds) for model in models)))


async def _ask(session: aiohttp.ClientSession, model: ModelVersion, seconds: float) -> Probed:
    began = perf_counter()
    try:
        problem = await _post(session, model)
    except MissingKeyError as error:
        problem = f"its key is missing: set the variable {error.variable} where gateways, evals and this command run"
        return Probed(model.name, shown_endpoint(model), problem, 0.0, asked=False)
    except EndpointError as error:
        return Probed(model.name, shown_endpoint(model), str(error), 0.0, asked=False)
    except TimeoutError:
        problem = f"doesn't answer within {seconds:g} s; it is slow, stuck, or behind a firewall"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        problem = _describe_failure(error)
    return Probed(model.name, shown_endpoint(model), problem, perf_counter() - began)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an API is asked for next to nothing, and the list that an answer of it has."""

    api: Api
    body: Mapping[str, Any]
    answer: str
    name: str


_MESSAGES = [{"role": "user", "content": _QUESTION}]
_KINDS = {
    kind.api: kind
    for kind in (
        _Kind(Api.CHAT, {"messages": _MESSAGES, "max_tokens": 1}, "choices", "chat completion"),
        _Kind(Api.MESSAGES, {"messages": _MESSAGES, "max_tokens": 1}, "content", "message"),
        _Kind(Api.RESPONSES, {"input": _QUESTION, "store": False}, "output", "response"),
        _Kind(Api.COMPLETIONS, {"prompt": _QUESTION, "max_tokens": 1}, "choices", "completion"),
        _Kind(Api.EMBEDDINGS, {"input": _QUESTION}, "data", "embedding"),
    )
}


def _kind_of(model: ModelVersion) -> _Kind:
    return next(kind for api, kind in _KINDS.items() if api in model.served_apis)


async def _post(session: aiohttp.ClientSession, model: ModelVersion) -> str | None:
    asked = _kind_of(model)
    target = Target.of(model, api=asked.api)
    body = {"model": model.model, **asked.body}
    posted = session.post(
        target.way.url,
        data=orjson.dumps(body),
        headers=target.headers,
        allow_redirects=False,
        proxy=target.way.proxy,
    )
    async with posted as response:
        content = await response.content.read(_MOST_BYTES)
        return judge_answer(model, response.status, content, response.headers.get("Location", ""))


def shown_endpoint(model: ModelVersion) -> str:
    """A model's endpoint for people: without what may be a secret in it."""
    try:
        url = URL(model.endpoint)
        return str(url.with_user(None).with_query(None)) if url.host else model.endpoint
    except ValueError:
        return "an address that is none"


def judge_answer(model: ModelVersion, status: int, content: bytes, location: str = "") -> str | None:
    """What is wrong with an endpoint that answered so; None where nothing is.

    A refusal of the request that isn't about the model is an answer too: not every model takes `max_tokens`.
    """
    document = _parse(content)
    words = _words(document, content)
    quoted = f" ({words})" if words else ""
    match status:
        case _ if 200 <= status < 300:
            problem = _judge_document(document, quoted, _kind_of(model))
        case _ if 300 <= status < 400:
            problem = f"redirects to {_cut(location) or 'somewhere'}; name that address"
        case 401 | 403:
            named = [
                model.api_key_env,
                *(one.env for one in model.headers.values() if isinstance(one, FromEnvironment)),
            ]
            known = ", ".join(name for name in named if name)
            key = f"the key in {known}" if known else "a request without a key; name api_key_env"
            problem = f"answers {status}, it doesn't take {key}{quoted}"
        case 404 | 400 | 422 if _UNKNOWN_MODEL.search(words) or (status == 404 and document and not words):
            problem = f"answers {status}, it doesn't know the model {model.model}{quoted}"
        case 404:
            problem = f"answers 404: no model {model.model}, or no {_kind_of(model).name}s there; {_BASE}{quoted}"
        case 400 | 422 if document is not None:
            problem = None
        case _:
            problem = _judge_failure(status, quoted)
    return problem


def _judge_document(document: Any, quoted: str, asked: _Kind) -> str | None:
    if document is None:
        return f"answers with something that isn't JSON; {_BASE}{quoted}"
    if isinstance(document, dict) and isinstance(document.get(asked.answer), list):
        return None
    if isinstance(document, dict) and document.get("error"):
        return f"answers 200 with an error{quoted}"
    return f"answers with JSON that is no {asked.name}; {_BASE}"


def _judge_failure(status: int, quoted: str) -> str:
    known = {
        402: "the account has no balance",
        405: f"it takes no such requests; {_BASE}",
        408: "it was too slow for itself",
        429: "the rate limit or the quota is used up",
    }
    why = known.get(status, "it is broken or overloaded" if status >= 500 else f"it refuses the request; {_BASE}")
    return f"answers {status}, {why}{quoted}"


def _describe_failure(error: Exception) -> str:
    """What kept an answer from coming, in words."""
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return f"no TLS connection: {_cut(str(error))}; check http or https, the host's name, and its certificate"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "can't be reached: no such host; check its name and your DNS"
    if isinstance(error, aiohttp.ClientConnectorError):
        refused = isinstance(error.os_error, ConnectionRefusedError)
        why = "connection refused, nothing listens there" if refused else _cut(str(error.os_error))
        return f"can't be reached: {why}; check host and port, and whether it runs"
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError):
        return "closes the connection without an answer"
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return "is no address that can be asked; expected something like https://host/v1"
    return f"gives no answer that is HTTP ({type(error).__name__})"


def _parse(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except ValueError:
        return None


def _words(document: Any, content: bytes) -> str:
    """The endpoint's own message for an error; of what isn't JSON its beginning."""
    if document is None:
        return _cut(content.decode(errors="replace"))
    error = document.get("error", document) if isinstance(document, dict) else document
    if isinstance(error, dict):
        error = " ".join(str(error[key]) for key in ("code", "message", "detail") if error.get(key))
    return _cut(error) if isinstance(error, str) else ""


def _cut(text: str) -> str:
    """One short line without control characters: it comes from outside."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text[: 4 * _MOST_WORDS]).split())
    return line if len(line) <= _MOST_WORDS else line[:_MOST_WORDS] + " …"
