"""Which headers pass a gateway: up to the provider and down to the client, both by a list of what may.

| up | |
| --- | --- |
| `traceparent`, `tracestate`, `baggage` | traces go on |
| `OpenAI-*`, `Anthropic-*` | organization, project, version of the API, beta features |
| `X-Request-ID`, `X-Client-Request-Id` | the client's name for its request |
| `X-Stainless-Retry-Count` | how often the client's SDK has tried already |
| `Idempotency-Key` | with the first call for a client, and no other: a fallback and a copy ask something else |

The client's own key never goes up: a model version's key and headers do, and win over the client's of the same name.

| down | |
| --- | --- |
| `x-ratelimit-*`, `ratelimit-*`, `anthropic-ratelimit-*` | what the provider's limits leave |
| `retry-after`, `retry-after-ms`, `x-should-retry` | whether and when to try again |
| `x-request-id`, `request-id`, `apim-request-id`, `x-amzn-requestid`, `x-generation-id`, `cf-ray` | its ids |
| `openai-processing-ms`, `openai-version` | how long the model took, by which API |

A provider's `x-request-id` takes the place of the gateway's, because its support asks for that one and SDKs show it;
`x-softlaunch-request-id` is always the gateway's. A value that isn't printable ASCII is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from softlaunch import __version__
from softlaunch.core.api import Api
from softlaunch.core.endpoint import model_headers
from softlaunch.core.model_headers import is_header_value
from softlaunch.core.variant import ModelVersion
from softlaunch.gateway.wire import Headers

IDEMPOTENCY_KEY = b"idempotency-key"
_UP = frozenset(
    b"traceparent tracestate baggage x-request-id x-client-request-id x-stainless-retry-count idempotency-key".split()
)
_UP_PREFIXES = (b"openai-", b"anthropic-")
_DOWN = frozenset(
    b"""retry-after retry-after-ms x-should-retry x-request-id request-id apim-request-id x-amzn-requestid
    x-generation-id cf-ray openai-processing-ms openai-version""".split()
)
_DOWN_PREFIXES = (b"x-ratelimit-", b"ratelimit", b"anthropic-ratelimit-")
_OURS = {
    "content-type": "application/json",
    "accept": "*/*",
    "accept-encoding": "identity",  # so that a stream's events aren't held back in a compressor
    "user-agent": f"softlaunch/{__version__}",
}


def request_headers(
    model: ModelVersion, client: Mapping[bytes, bytes], environment: Mapping[str, str], api: Api = Api.CHAT
) -> dict[str, str]:
    """The headers of a call to a model's API, by lower-case names as those of `client` are, the request's own.

    Raises MissingKeyError where the environment lacks what the model version names.
    """
    headers = _OURS.copy()
    for name in client:
        if name in _UP or name.startswith(_UP_PREFIXES):
            text = _text(client[name])
            if text:
                headers[name.decode("ascii", "replace")] = text
    for own, value in model_headers(model, environment, api).items():
        headers[own.lower()] = value
    return headers


def without_idempotency_key(client: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """The client's headers for a call that isn't the first one shown to it."""
    if IDEMPOTENCY_KEY not in client:
        return client
    return {name: value for name, value in client.items() if name != IDEMPOTENCY_KEY}


def without_repetition_key(sent: Mapping[str, str]) -> dict[str, str]:
    """The headers of a call for another one with another body."""
    return {name: value for name, value in sent.items() if name != IDEMPOTENCY_KEY.decode()}


def response_headers(provider: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What of an answer's headers, as they came, is passed on to the client; each name once. Raises nothing."""
    passed: dict[bytes, bytes] = {}
    for name, value in provider:
        lower = name.lower()
        if (lower in _DOWN or lower.startswith(_DOWN_PREFIXES)) and _text(value):
            passed.setdefault(lower, value.strip())
    return list(passed.items())


@dataclass(slots=True)
class Told:
    """What an answer says about itself: the id to give feedback for, who answers, and the arm where that is told.

    `settings` are the app's own of the variant that answers, as JSON in ASCII; empty where it has none.
    """

    request_id: str
    variant: str
    arm: str | None
    settings: str = ""

    def lines(self, passed: Headers) -> bytes:
        """The headers, written out; the id isn't `x-request-id` too where the provider's headers have one."""
        arm = "" if self.arm is None else f"x-softlaunch-arm: {self.arm}\r\n"
        own_id = "" if _names_request(passed) else f"x-request-id: {self.request_id}\r\n"
        told = f"x-softlaunch-request-id: {self.request_id}\r\nx-softlaunch-variant: {self.variant}\r\n{arm}{own_id}"
        if self.settings:
            told += f"x-softlaunch-settings: {self.settings}\r\n"
        return told.encode("ascii")


def _names_request(passed: Headers) -> bool:
    return bool(passed) and any(name == b"x-request-id" for name, _ in passed)


def content_type_of(provider: Iterable[tuple[bytes, bytes]]) -> bytes:
    """An answer's content type, JSON where it tells none that can be passed on. Raises nothing."""
    told = (value.strip() for name, value in provider if name.lower() == b"content-type")
    return next((value for value in told if _text(value)), b"application/json")


def _text(value: bytes) -> str:
    """A header's value as text, empty where it is none to be passed on."""
    text = value.decode("ascii", "replace").strip()
    return text if is_header_value(text) else ""
