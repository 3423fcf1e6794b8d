"""OpenFeature's remote evaluation protocol (OFREP 0.3): a flag is an app, and its value the variant to use."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from softlaunch.core.request_ids import request_id_for, seal_of
from softlaunch.core.variant import TemplateVariablesError
from softlaunch.gateway.configuration.changes import Changes, etag_of, matches, wanted
from softlaunch.gateway.configuration.contents import Contents
from softlaunch.gateway.configuration.evaluation import FLAG_SET, Asked, Evaluation, evaluate, why_not_evaluated
from softlaunch.gateway.configuration.events import EVENT_STREAM, event, listening_token
from softlaunch.gateway.configuration.exchange import Exchange, Headers, query_of, send_json
from softlaunch.gateway.configuration.faults import FlagFault, OfrepError
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.prompt_bodies import prompt_messages
from softlaunch.gateway.request_seals import key_of
from softlaunch.gateway.requests import retry_after
from softlaunch.gateway.table import AppRoute, RouteTable
from softlaunch.gateway.wire import JSON, clipped
from softlaunch.policy.route import Arm

EVENTS = "/ofrep/v1/events"
VARIABLES = "variables"
"""The attribute whose values the prompt is rendered with."""
_BEHIND_SECONDS = 1.0
"""How long a server that hasn't seen yet what another one told of waits for it."""
_SIGN_OF_LIFE_SECONDS = 15.0
_INACTIVITY_SECONDS = 120


@dataclass(slots=True)
class Ofrep:
    """Answers OFREP's paths.

    `keys` are those that clients present; `longest_seconds` bounds how long a value is kept.
    """

    table: RouteTable
    changes: Changes
    contents: Contents
    exchange: Exchange
    keys: tuple[bytes, ...] = ()
    are_backends: bool = False
    longest_seconds: float = 60.0
    wall_clock: Callable[[], float] = time.time
    evaluated: Counter[tuple[str, Arm]] = field(default_factory=Counter)
    """How many values were handed out, by app and arm."""
    _under_way: int = 0

    async def single(self, app: str, headers: Headers, cycle: HttpCycle) -> None:
        """Evaluate one flag."""
        self._check_room()
        self._under_way += 1
        try:
            with await self.exchange.read(cycle, headers) as body:
                asked = read_asked(body)
                answer = await self._flag(self._route_of(app), asked, key_of(headers, self.keys), is_single=True)
            await send_json(cycle, answer)
        finally:
            self._under_way -= 1

    async def bulk(self, headers: Headers, cycle: HttpCycle) -> None:
        """Evaluate every flag for one context; 304 where the client has just that."""
        self._check_room()
        self._under_way += 1
        try:
            with await self.exchange.read(cycle, headers) as body:
                asked = read_asked(body)
                await self._catch_up(cycle)
                flags = [await self._attempt(one, asked) for one in wanted(self.table.all(), None)]
        finally:
            self._under_way -= 1
        etag = etag_of(self.table.ledger_id, (), [_lasting(flag) for flag in flags])
        found = [flag["metadata"]["cacheSeconds"] for flag in flags if "value" in flag]
        kept = min(found, default=self.longest_seconds)
        lines = [(b"etag", etag.encode()), (b"cache-control", f"private, max-age={int(kept)}".encode())]
        if matches(etag, headers.get(b"if-none-match", b"")):
            await cycle.respond(304, lines, b"")
            return
        streams = [
            {
                "type": "sse",
                "endpoint": {"requestUri": EVENTS + self._token(headers)},
                "inactivityDelaySec": _INACTIVITY_SECONDS,
            }
        ]
        content = {"flags": flags, "eventStreams": streams, "metadata": {"cacheSeconds": round(kept, 3)}}
        await cycle.respond(200, [*JSON, *lines], orjson.dumps(content))

    async def listen(self, headers: Headers, cycle: HttpCycle) -> None:
        """Tell at each change that flags are to be evaluated again."""
        known = headers.get(b"last-event-id", b"").decode("latin-1")
        with self.exchange.place():
            await cycle.start(200, EVENT_STREAM)
            while not cycle.gone:
                state = self.changes.state()
                etag = self._configuration()
                if known and etag != known:
                    told = {"type": "refetchEvaluation", "etag": etag, "lastModified": int(self.wall_clock())}
                    await cycle.write(event("message", orjson.dumps(told), etag))
                else:
                    await cycle.write(b": alive\n\n")
                known = etag
                if self.changes.is_stopping():
                    break
                await self.changes.wait(cycle, None, state, _SIGN_OF_LIFE_SECONDS)
            await cycle.write(b"", more=False)

    def _check_room(self) -> None:
        if self._under_way >= self.exchange.limits.requests:
            raise OfrepError(429, FlagFault.GENERAL, "too many evaluations are under way", headers=retry_after(1))

    def _configuration(self) -> str:
        """What names all that evaluations rest on, whoever asks: routes, and whether candidates may be shown."""
        state = self.changes.state()
        return etag_of(self.table.ledger_id, state, [one.is_allowed for one in state])

    async def _catch_up(self, cycle: HttpCycle) -> None:
        """Wait a moment where the client was told of a change by another server, and this one is behind."""
        told = query_of(cycle).get("flagConfigEtag", [""])[-1]
        if told and told.strip('"') != self._configuration().strip('"'):
            await self.changes.wait(cycle, None, self.changes.state(), _BEHIND_SECONDS)

    def _token(self, headers: Headers) -> str:
        key = key_of(headers, self.keys)
        return f"?token={listening_token(key, self.wall_clock())}" if key else ""

    def _route_of(self, app: str) -> AppRoute:
        found = self.table.get(app)
        if found is not None:
            return found
        if not self.table.has_been_read:
            text = "the routes haven't been read yet; check the ledger's database"
            raise OfrepError(503, FlagFault.GENERAL, text, app, retry_after(1))
        known = ", ".join(sorted(self.table.all())) or "none: start one with `softlaunch init`"
        raise OfrepError(404, FlagFault.FLAG_NOT_FOUND, f"there is no app {clipped(app)!r}; known apps: {known}", app)

    async def _attempt(self, app_route: AppRoute, asked: Asked) -> dict[str, Any]:
        try:
            return await self._flag(app_route, asked, b"", is_single=False)
        except OfrepError as error:
            return error.content

    async def _flag(self, app_route: AppRoute, asked: Asked, key: bytes, *, is_single: bool) -> dict[str, Any]:
        """A flag's evaluation; a single one has the id of a request, to record and rate it by. Raises OfrepError."""
        route = app_route.route
        why = why_not_evaluated(route, are_backends=self.are_backends)
        if why:
            raise OfrepError(400, FlagFault.GENERAL, why, route.app)
        request_id = request_id_for(route.app)
        found = evaluate(app_route, asked, request_id, self.wall_clock(), self.longest_seconds)
        variant = found.choice.variant
        value: Any = self.contents.json(variant)
        variables = asked.attributes.get(VARIABLES)
        if variables is not None:
            value = await self._rendered(found, variables)
        self.evaluated[route.app, found.choice.arm] += 1
        metadata = _metadata(found, asked)
        if is_single:
            metadata["requestId"] = request_id + seal_of(request_id, route.serving.salt, key)
            metadata["copies"] = ",".join(found.choice.copies)
        return {
            "key": route.app,
            "value": value,
            "reason": found.reason,
            "variant": variant.short,
            "metadata": metadata,
        }

    async def _rendered(self, found: Evaluation, variables: object) -> dict[str, Any]:
        variant, app = found.choice.variant, found.route.app
        if not isinstance(variables, Mapping):
            raise OfrepError(400, FlagFault.INVALID_CONTEXT, "'variables' must be an object", app)
        try:
            messages = await prompt_messages(variant, variables)
        except TemplateVariablesError as error:
            raise OfrepError(400, FlagFault.INVALID_CONTEXT, str(error), app) from error
        return {**orjson.loads(self.contents.written(variant)), "messages": messages}


def read_asked(body: Mapping[str, Any]) -> Asked:
    """The context of a request. Raises OfrepError: TARGETING_KEY_MISSING or INVALID_CONTEXT."""
    context = body.get("context")
    if context is None:
        context = {}
    if not isinstance(context, dict):
        raise OfrepError(400, FlagFault.INVALID_CONTEXT, "'context' must be an object")
    unit = context.get("targetingKey")
    if unit is None or unit == "":
        text = "send a 'targetingKey' in the context: whom the variant is for, as the app's policy names units"
        raise OfrepError(400, FlagFault.TARGETING_KEY_MISSING, text)
    if not isinstance(unit, str) or not unit.strip():
        raise OfrepError(400, FlagFault.INVALID_CONTEXT, "'targetingKey' must be a text that isn't blank")
    return Asked(unit, {name: value for name, value in context.items() if name != "targetingKey"})


def _metadata(found: Evaluation, asked: Asked) -> dict[str, Any]:
    """What goes with a value; OpenFeature takes texts, numbers and truth values alone.

    `contextId`, `version` and `flagSetId` are what its hooks for telemetry put onto spans.
    """
    route, choice = found.route, found.choice
    release = {} if route.release_id is None else {"releaseId": route.release_id, "stage": route.stage}
    return {
        **release,
        "app": route.app,
        "arm": choice.arm,
        "label": choice.variant.label,
        "digest": choice.variant.digest,
        "revision": route.revision,
        "contextId": asked.unit,
        "version": str(route.revision),
        "flagSetId": FLAG_SET,
        "weightPercent": found.weight_percent,
        "cacheSeconds": round(found.keep_seconds, 3),
    }


def _lasting(flag: Mapping[str, Any]) -> object:
    """What of a flag's evaluation is the same until something changes, as it decides about the ETag."""
    if "value" not in flag:
        return sorted(flag.items())
    metadata = {name: value for name, value in flag["metadata"].items() if name != "cacheSeconds"}
    messages = flag["value"].get("messages") if isinstance(flag["value"], dict) else None
    return flag["key"], flag["variant"], flag["reason"], sorted(metadata.items()), messages
