"""Requests of wrapped clients: made into those of a variant, and their answers read as gateways read them.

Loaded by the wrappers of packages that load far more than this does: the protocols are the gateway's own, so that the
same request is asked in the same words, and the same answer counts as the same outcome.
"""

import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from softlaunch.client.app import App
from softlaunch.client.call import Call, Variant
from softlaunch.client.drawn import CANDIDATE
from softlaunch.client.errors import ClientError
from softlaunch.client.outcomes import outcome_of_error
from softlaunch.core.api import Api
from softlaunch.core.endpoint import model_headers
from softlaunch.core.odd_json import written
from softlaunch.core.prompt_templates import WHOLE_WORK
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.variant import StreamUsage
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, ReportedError
from softlaunch.gateway.protocols.protocol import LlmProtocol
from softlaunch.gateway.protocols.registry import PROTOCOLS
from softlaunch.gateway.refusals import classify

_OPTIONS = ("extra_headers", "extra_query", "timeout")
_LEFT_OUT = frozenset({"NotGiven", "Omit"})
_CARRIERS = ("authorization", "api-key", "x-api-key")
_MOST_CLIENTS = 64
_PROTOCOLS: Mapping[Api, LlmProtocol] = {one.api: one for one in PROTOCOLS if one.is_judged}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the application wrote it: its body, and what goes to the package rather than to the model."""

    protocol: LlmProtocol
    body: Mapping[str, Any]
    options: Mapping[str, Any]

    @property
    def streamed(self) -> bool:
        """Whether the answer comes piece by piece."""
        return self.body.get("stream") is True

    @property
    def hides_usage(self) -> bool:
        """Whether the usage at a stream's end was asked for by us alone."""
        options = self.body.get("stream_options")
        asked = isinstance(options, Mapping) and options.get("include_usage")
        return self.streamed and self.protocol.asks_for_usage and not asked


class Wrapping:
    """What a wrapped client does with each request of an app.

    `strips` is the end of endpoints that the package's base URLs go without. `follows_endpoint`: ask the endpoint that
    the variant names; else the client's own is asked, whatever the variant says.
    """

    def __init__(self, app: App, *, strips: str = "", follows_endpoint: bool = True, falls_back: bool = True) -> None:
        self.app = app
        self._strips = strips
        self._follows_endpoint = follows_endpoint
        self._falls_back = falls_back
        self._clients: dict[tuple[int, str, str], tuple[Any, Any]] = {}

    def read(self, api: Api, given: Mapping[str, Any]) -> Asked:
        """A request by the arguments that the package's own method takes."""
        said = {name: value for name, value in given.items() if type(value).__name__ not in _LEFT_OUT}
        options = {name: said.pop(name) for name in _OPTIONS if name in said}
        extra = said.pop("extra_body", None)
        return Asked(_PROTOCOLS[api], plain({**said, **(extra if isinstance(extra, Mapping) else {})}), options)

    def variant(self, asked: Asked) -> Variant:
        """The variant for whom the request names: by the policy's own source first, then as gateways look for one."""
        headers = {str(name): str(value) for name, value in (asked.options.get("extra_headers") or {}).items()}
        named = asked.body.get("conversation")
        conversation = named.get("id") if isinstance(named, Mapping) else named
        return self.app.variant(
            _unit_of(asked.body, headers, self.app.unit_source),
            attributes=headers,
            conversation=conversation if isinstance(conversation, str) else None,
        )

    def fallback(self, call: Call, outcome: RequestOutcome) -> Variant | None:
        """Stable's variant, where a candidate's failure is answered by it; None where the failure is shown."""
        is_ours = call.variant.arm == CANDIDATE and outcome is not RequestOutcome.CLIENT_GONE
        return call.variant.stable() if self._falls_back and is_ours and not call.has_begun else None

    def arguments(self, variant: Variant, asked: Asked, method: Callable[..., Any]) -> dict[str, Any]:
        """What the package's method is called with. Raises SoftlaunchError for what can't be asked of the variant."""
        whole = variant.served.whole
        body = asked.protocol.request_body(whole, asked.body, WHOLE_WORK)
        if asked.hides_usage and whole.model.stream_usage is not StreamUsage.NEVER:
            body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        known = _named(method)
        extra = {name: body.pop(name) for name in list(body) if name not in known}
        own = {name: value for name, value in self._headers(variant, asked).items() if name.lower() not in _CARRIERS}
        headers = {**(asked.options.get("extra_headers") or {}), **own, **whole.extra_headers}
        return {
            **body,
            **asked.options,
            **({"extra_body": extra} if extra else {}),
            **({"extra_headers": headers} if headers else {}),
        }

    def client(self, client: Any, variant: Variant, asked: Asked) -> Any:
        """The package's client for the variant's endpoint, with that one's key: the client's own goes nowhere else."""
        endpoint = variant.endpoint.rstrip("/")
        base = endpoint.removesuffix(self._strips) if self._strips else endpoint
        if not self._follows_endpoint or base == str(client.base_url).rstrip("/"):
            return client
        carried = {name.lower(): value for name, value in self._headers(variant, asked).items()}
        key = next((carried[name].rpartition(" ")[2] for name in _CARRIERS if name in carried), "none")
        known = self._clients.get((id(client), base, key))
        if known is None:
            if len(self._clients) >= _MOST_CLIENTS:
                self._clients.clear()
            known = client, client.with_options(base_url=base, api_key=key)
            self._clients[id(client), base, key] = known
        return known[1]

    def _headers(self, variant: Variant, asked: Asked) -> Mapping[str, str]:
        if not self._follows_endpoint:
            return {}
        return model_headers(variant.served.whole.model, os.environ, asked.protocol.api)


class WholeReading:
    """Reads a whole answer into its call's record."""

    def __init__(self, call: Call, asked: Asked) -> None:
        self._call = call
        self._asked = asked

    def take(self, answer: Any) -> None:
        """The package's answer; what it means is what it means to a gateway."""
        facts, asked = Facts(), read_by(self._asked, self._call.variant)
        try:
            whole = self._asked.protocol.read(written(document_of(answer)), facts, asked)
        except MalformedAnswerError:
            self._call.failed(RequestOutcome.MALFORMED, 200)
        except ReportedError as reported:
            self._call.failed(classify(200, reported.error).outcome, 200)
        else:
            self._call.answered(facts.usage, whole.finish_reason, outcome=whole.outcome)
            self._call.about(facts.resolved_model, facts.fingerprint)
        remember(answer, self._call.id)
        self._call.finish()


_IDS: dict[int, tuple["weakref.ref[Any]", str]] = {}


def remember(answer: Any, call_id: str) -> None:
    """Let an answer's call be found by it for as long as the application keeps it."""
    key = id(answer)
    _IDS[key] = weakref.ref(answer, lambda _: _IDS.pop(key, None)), call_id


def id_of(answer: Any) -> str:
    """The id of the call that an answer of a wrapped client, or its stream, came by: for `Client.feedback`.

    Raises ClientError for what is none.
    """
    found = _IDS.get(id(answer))
    if found is None or found[0]() is not answer:
        raise ClientError("this is no answer of a wrapped client; give the very object that create() returned")
    return found[1]


def read_by(asked: Asked, variant: Variant) -> Mapping[str, Any]:
    """The body that an answer is read by: the client's, with what the variant's parameters set in it."""
    parameters = variant.served.whole.parameters
    return asked.body if parameters is None else asked.protocol.with_parameters(asked.body, parameters)


def plain(value: Any) -> Any:
    """JSON as it is sent: the packages' objects, such as an answer's message that goes into the next request."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items() if type(one).__name__ not in _LEFT_OUT}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if hasattr(value, "to_dict") or hasattr(value, "model_dump"):
        return document_of(value)
    if isinstance(value, Iterable):
        return [plain(one) for one in value]
    raise ClientError(f"a request of a wrapped client holds a {type(value).__name__}, which is no JSON")


def document_of(answer: Any) -> Any:
    """What an answer, or a piece of one, holds."""
    method = getattr(answer, "to_dict", None)
    return method(mode="json") if method is not None else answer.model_dump(mode="json", exclude_unset=True)


def _unit_of(body: Mapping[str, Any], headers: Mapping[str, str], source: tuple[str, str]) -> str | None:
    """Whom a request names, where the policy's source (its name, and the header's) says so, or in gateways' order."""
    metadata = body.get("metadata")
    said = metadata if isinstance(metadata, Mapping) else {}
    first, header = source
    found: dict[str, Any] = {
        "user": body.get("user"),
        "header": next((value for name, value in headers.items() if name.lower() == header.lower()), None),
        "safety_identifier": body.get("safety_identifier"),
        "metadata.user_id": said.get("user_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
    }
    order: Sequence[Any] = ({**found, "metadata.session_id": said.get("session_id")}.get(first), *found.values())
    return next((value for value in order if isinstance(value, str) and value.strip()), None)


def _named(method: Callable[..., Any]) -> frozenset[str]:
    """The arguments that a method names."""
    kinds = {Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD}
    return frozenset(one.name for one in signature(method).parameters.values() if one.kind in kinds)


def failed_by(call: Call, error: BaseException) -> RequestOutcome:
    """Note that a request failed by what the package raised."""
    outcome, status = outcome_of_error(error, began=call.has_begun)
    call.failed(outcome, status)
    return outcome
