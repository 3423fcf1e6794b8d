"""One app as the application sees it: who gets which variant, and what becomes of the calls."""

import os
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from softlaunch.client import evaluation
from softlaunch.client.call import Call, Variant
from softlaunch.client.drawn import CANDIDATE, STABLE
from softlaunch.client.errors import NoVariantError
from softlaunch.client.exporting import Exporter
from softlaunch.client.known import Current, KnownApp
from softlaunch.core.request_ids import sealed_id_for

if TYPE_CHECKING:
    from uuid import UUID

    from softlaunch.client.copying import Copying, Replay

_NOBODY: Mapping[str, str] = MappingProxyType({})


class Home(Protocol):
    """The client that an app belongs to."""

    url: str
    key: bytes
    exporter: Exporter | None

    def awake(self) -> None:
        """Start again what a fork of the process has lost."""

    def take(self, call: Call, record: dict[str, Any]) -> None:
        """A call is over."""


class App:
    """An app. `variant` asks nobody and waits for nothing: it looks at what the client's thread has heard."""

    def __init__(self, client: Home, known: KnownApp, default: Current | None = None) -> None:
        self.name = known.name
        self._client = client
        self._known = known
        self._default = default
        self._copying: Copying | None = None

    @property
    def candidate_allowed(self) -> bool:
        """Whether a candidate may be served now: a release is under way, and its lease holds."""
        current = self._known.current
        return current is not None and current.route.is_live and current.lease.holds()

    @property
    def unit_source(self) -> tuple[str, str]:
        """Where a request's unit is looked for first by the policy, and the name of the header that may have it."""
        current = self._known.current or self._default
        return ("user", "x-user-id") if current is None else (current.route.source, current.route.header)

    @property
    def problem(self) -> str:
        """Why its configuration couldn't be asked for the last time; empty where it could."""
        return self._known.problem

    def variant(
        self,
        user: "str | int | UUID | bytes | None" = None,
        *,
        attributes: Mapping[str, str] = _NOBODY,
        conversation: str | None = None,
    ) -> Variant:
        """The variant for a user: the same one in every process, and in every way of connecting an app.

        A number or a UUID names whom its text names in a request.

        `attributes` stand for the headers that a policy's `only` may name, `conversation` for the conversation where
        units are conversations or are drawn afresh in each. Who is named by nobody is a unit of its own, and may meet
        another arm with the next call. Raises NoVariantError where nobody has said yet what the app serves.
        """
        self._client.awake()
        current = self._known.current or self._default
        if current is None:
            raise NoVariantError(self._why_nothing())
        route, lease = current
        named = evaluation.unit_of(route, user, conversation)
        unit = named or f"nobody-{os.urandom(8).hex()}"
        candidate = route.candidate
        if candidate is None or not lease.holds():
            return Variant(self, route, route.stable, STABLE, unit)
        if route.only is not None and not evaluation.is_inside(route, unit, attributes):
            return Variant(self, route, route.stable, STABLE, unit)
        occasion = evaluation.occasion_of(route, conversation, time.time()) if route.redraws and named else None
        on_candidate = evaluation.falls_on_candidate(route, unit, occasion)
        served, arm = (candidate, CANDIDATE) if on_candidate else (route.stable, STABLE)
        variant = Variant(self, route, served, arm, unit, in_force=True)
        if occasion is not None:
            variant.conversation = conversation
        return variant

    def shadow(self, replay: "Replay", *, allowed: bool | None = None) -> None:
        """Let the copies be made that a route asks for: `replay(variant, request)` asks that variant the same.

        A shadow stage copies some requests to the candidate, and at 100 % some go to stable. `request` is what
        `config.call(request)` was given. Copies are made behind the answer, in threads of their own, a few at once;
        where too many wait, some aren't made and are counted. Left out, `allowed` is what the policy says: copies are
        made where texts may be kept.
        """
        from softlaunch.client.copying import Copying

        self._copying = Copying(replay, allowed=allowed)

    @property
    def copies_left_out(self) -> int:
        """How many copies weren't made because too many were under way."""
        return 0 if self._copying is None else self._copying.left_out

    def begin(self, variant: Variant, request: Any = None) -> Call:
        """A call to a variant; see `Variant.call`."""
        exporter = self._client.exporter
        key = self._client.key if variant.route.keyed else b""
        call = Call(self, variant, sealed_id_for(self.name, variant.route.salt, key), request)
        if exporter is not None:
            exporter.begin(call)
        return call

    def finish(self, call: Call, record: dict[str, Any]) -> None:
        """A call is over: send its record, and make the copies that its route asks for."""
        if self._default is None or call.variant.route is not self._default.route:
            self._client.take(call, record)
        if self._copying is not None and not call.is_copy:
            self._copying.consider(call)

    def close(self) -> None:
        """Make no more copies."""
        if self._copying is not None:
            self._copying.close()

    def after_fork(self) -> None:
        """Be as a fork of the process has to be."""
        if self._copying is not None:
            self._copying.forget()

    def _why_nothing(self) -> str:
        why = self._known.problem or f"{self._client.url} hasn't answered yet"
        return (
            f"nothing is known of app {self.name}: {why}. Nor is there a copy of an earlier answer on this machine; "
            "start the server, or give client.app() a default"
        )
