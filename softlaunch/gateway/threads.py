"""Threads: answers that a provider keeps, and that the next request continues by their id.

What is kept is kept by one provider, for one account. So an answer's id goes to the client with the variant that gave
it: `<id>_sl<12 digits of the variant><10 of seal>-<app>`. Whichever gateway gets the next request knows by that where
it belongs, without a look-up, and nobody can make up another place. The seal is that of request ids. Behind the digits
stands `x1` where the variant's first fallback model has it, `x2` where its second has.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from softlaunch.core.request_ids import seal_of
from softlaunch.core.variant import Variant
from softlaunch.gateway.pins import Pins
from softlaunch.gateway.request_seals import is_sealed_by
from softlaunch.gateway.table import AppRoute, RouteTable
from softlaunch.gateway.wire import RefusedError
from softlaunch.policy.units import OldThreads

_MARKED = re.compile(
    r"(?P<own>.{1,200})_sl(?P<short>[0-9a-f]{12}(?:x[1-9])?)(?P<seal>[0-9a-f]{10})-(?P<app>[a-z0-9][a-z0-9._-]{0,62})"
)
_LOOK_UP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Mark:
    """What a client's id of an answer says: the provider's own id, and who gave the answer."""

    own: str
    short: str
    app: str
    seal: str


@dataclass(frozen=True, slots=True)
class Pinned:
    """The variant that a request must be answered by, and the provider's own id of what it continues.

    `place` is that of the fallback model that has it, counted from 1; 0 is the variant's own model.
    """

    variant: Variant
    own: str
    place: int = 0

    @property
    def asked(self) -> Variant:
        """The variant on the model that has it."""
        return self.variant.at(self.place)


@dataclass(frozen=True, slots=True)
class Marking:
    """How ids are written into the answers to one request: each provider's id becomes one for clients.

    `ids` are the provider's, and what clients know them as. An answer that its provider doesn't keep keeps its id.
    """

    app: str
    salt: str
    key: bytes
    short: str
    ids: Mapping[str, str]
    keeps: bool = True

    def of(self, variant: Variant, place: int = 0) -> "Marking":
        """The same for another variant's answer, or that of its fallback model of this place."""
        return replace(self, short=f"{variant.short}x{place}" if place else variant.short)

    def apply(self, content: bytes, answer_id: str | None) -> bytes:
        """Whole documents or events with the ids that clients know."""
        if answer_id is not None and self.keeps:
            content = _renamed(content, answer_id, marked(answer_id, self.short, self.app, self.salt, self.key))
        for own, known in self.ids.items():
            content = _renamed(content, own, known)
        return content


def _renamed(content: bytes, own: str, known: str) -> bytes:
    return content.replace(f'"{own}"'.encode(), f'"{known}"'.encode())


def marked(own: str, short: str, app: str, salt: str, key: bytes) -> str:
    """An answer's id for the client that asked with this key."""
    bare = f"{own}_sl{short}"
    return f"{bare}{seal_of(f'{bare}-{app}', salt, key)}-{app}"


def mark_of(known: str) -> Mark | None:
    """What an id says, None where no gateway wrote it; its seal isn't checked here."""
    found = _MARKED.fullmatch(known)
    return None if found is None else Mark(found["own"], found["short"], found["app"], found["seal"])


class Threads:
    """Finds the variants that threads belong to."""

    def __init__(self, table: RouteTable) -> None:
        self._table = table

    @property
    def pins(self) -> Pins:
        """Where conversations began that only their policy keeps in one place."""
        return self._table.pins

    async def find(self, known: str, app_route: AppRoute, key: bytes, *, for_reading: bool = False) -> Pinned:
        """Where a request belongs that continues the answer with this id.

        One that the gateway never gave is stable's. Raises RefusedError: 404 for an id with a broken seal or an unknown
        variant, 409 where the variant doesn't serve any more and the policy ends its threads, unless it is only read.
        """
        mark, route = mark_of(known), app_route.route
        if mark is None:
            return Pinned(route.stable, known)
        sealed = is_sealed_by(mark.seal, f"{mark.own}_sl{mark.short}-{mark.app}", route.serving.salt, key)
        short, _, place = mark.short.partition("x")
        variant = await self._variant(short, app_route) if sealed and mark.app == route.app else None
        if variant is None or int(place or 0) > len(variant.fallbacks):
            raise unknown_thread(known)
        serves = variant is route.stable or (variant is route.candidate and app_route.candidate_allowed())
        if not (serves or for_reading) and route.serving.unit.threads is OldThreads.END:
            text = "the variant that this conversation began on doesn't serve any more; begin a new one"
            raise RefusedError(409, text, param="previous_response_id", code="thread_ended")
        return Pinned(variant, mark.own, int(place or 0))

    async def _variant(self, short: str, app_route: AppRoute) -> Variant | None:
        """In force, or looked up beside the loop: only threads of variants that serve no more wait for the ledger."""
        route = app_route.route
        for variant in filter(None, (route.stable, route.candidate)):
            if variant.short == short:
                return variant
        known = self._table.remembered(short)
        if known is not None:
            return known
        try:
            return await asyncio.wait_for(asyncio.to_thread(self._table.look_up, route.app, short), _LOOK_UP_SECONDS)
        except TimeoutError:
            text = "the ledger can't be asked which variant this conversation began on; try again"
            raise RefusedError(503, text, kind="server_error", code="overloaded") from None


def unknown_thread(known: str) -> RefusedError:
    """The refusal of an id that leads nowhere."""
    text = f"there is no response {known[:100]!r} that this gateway gave with this key"
    return RefusedError(404, text, param="previous_response_id", code="previous_response_not_found")
