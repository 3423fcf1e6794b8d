"""Where records and feedback go: to the server, in batches, confirmed and sent again until they are there."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from softlaunch.client.outbox import RefusedBatchError
from softlaunch.client.pieces import FEEDBACK
from softlaunch.client.wire import Answered, Server, UnreachableError

if TYPE_CHECKING:
    from softlaunch.client.call import Call

_LOGGER = logging.getLogger(__name__)
_SECONDS = 10.0
_LATER = frozenset({408, 425, 429})
_KEYS = frozenset({401, 403})
_AGAIN = "_again"
_MOST_AGAIN = 60


class Exporter(Protocol):
    """Takes calls in the place of the server's log, such as `softlaunch.client.otlp.Spans`."""

    def begin(self, call: "Call") -> None:
        """A call begins; its id may be changed now, and not later."""

    def end(self, call: "Call", record: Mapping[str, Any]) -> None:
        """A call is over; may be called by any thread, and must not wait."""


class Posting:
    """Posts pieces to a server; what it takes none of, and why, is told once for each reason."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._warned: set[str] = set()

    def __call__(
        self, kind: str, documents: Sequence[dict[str, Any]], lost: Sequence[dict[str, Any]]
    ) -> Sequence[dict[str, Any]]:
        """Send pieces; see `outbox.Post`."""
        if kind == FEEDBACK:
            return self._feedback(documents)
        body = {"records": documents, **({"lost": list(lost)} if lost else {})}
        answer = self._post("/softlaunch/v1/records", body)
        for refused in answer.get("refused", ()):
            self._warn(f"a record is refused: {refused.get('why', 'no reason given')}")
        return ()

    def _feedback(self, documents: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        """Feedback may come before the row that it is about: it is sent again for a while."""
        pieces = [{name: value for name, value in one.items() if name != _AGAIN} for one in documents]
        answer = self._post("/v1/feedback", {"feedback": pieces})
        again = []
        for refused in answer.get("refused", ()):
            document = documents[refused["at"]]
            tries = int(document.get(_AGAIN, 0)) + 1
            if refused.get("status") == 503 and tries <= _MOST_AGAIN:
                again.append({**document, _AGAIN: tries})
            else:
                self._warn(f"feedback is refused: {refused.get('message', refused.get('code'))}")
        return again

    def _post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = self._server.post(path, json.dumps(body, separators=(",", ":")).encode(), _SECONDS)
        if answer.status in {200, 202}:
            said = _document(answer)
            return said if isinstance(said, dict) else {}
        what = f"{self._server.url}{path} answers {answer.status}"
        if answer.status in _KEYS:
            raise UnreachableError(f"{what}; give the client one of the server's client keys")
        if answer.status >= 500 or answer.status in _LATER:
            raise UnreachableError(what)
        raise RefusedBatchError(f"{what}: {answer.body[:500].decode(errors='replace')}")

    def _warn(self, message: str) -> None:
        if message not in self._warned and len(self._warned) < 100:
            self._warned.add(message)
            _LOGGER.warning(message)


def _document(answer: Answered) -> object:
    try:
        found: object = json.loads(answer.body)
    except ValueError:
        raise UnreachableError("the server's answer is no JSON; check the address") from None
    return found


def feedback_of(request_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A piece of feedback as the server's `/v1/feedback` takes it. Raises ValueError unless exactly one is given."""
    kinds = {"thumbs", "stars", "scores", "metrics"}
    said = {kind: value for kind, value in given.items() if value is not None}
    if len(said) != 1 or not said.keys() <= kinds:
        raise ValueError(f"give exactly one of {', '.join(sorted(kinds))}; got {', '.join(sorted(said)) or 'none'}")
    return {"request_id": request_id, **said}
