"""Which side of the split a unit falls on: by the hash of gateways, so that every mode agrees."""

import hashlib
from collections.abc import Mapping

from softlaunch.client.route import ClientRoute
from softlaunch.core.split import SplitMethod, drawn_afresh, takes_candidate, takes_candidate_in_envoy, unit_hash

CONVERSATION = "conversation"


def unit_of(route: ClientRoute, user: object, conversation: str | None) -> str | None:
    """Whom traffic is split by, as the application names it: the user, or the conversation where the policy says so.

    Numbers, UUIDs and bytes are the texts that they would be in a request. None where nobody is named.
    """
    named = (conversation or user) if route.source == CONVERSATION else user
    if named is None:
        return None
    text = named.decode(errors="replace") if isinstance(named, bytes) else str(named)
    return text if text.strip() else None


def conversation_hash(conversation: str) -> str:
    """A conversation's name as gateways split by it."""
    return hashlib.blake2b(repr(conversation).encode(), digest_size=16).hexdigest()


def occasion_of(route: ClientRoute, conversation: str | None, now: float) -> str | None:
    """On which occasion a named unit asks, where its arm is drawn afresh on each; `now` in epoch seconds."""
    if route.redraw_seconds is not None:
        return str(int(now // route.redraw_seconds))
    if route.redraws_conversations and conversation:
        return conversation_hash(conversation)
    return None


def is_inside(route: ClientRoute, unit: str, attributes: Mapping[str, str]) -> bool:
    """Whether a unit belongs to whom the stage is limited to; everybody does where it isn't."""
    only = route.only
    if only is None:
        return True
    if not only.attribute:
        return unit in only.values
    named = next((value for name, value in attributes.items() if name.lower() == only.attribute), "")
    return isinstance(named, str) and named.strip() in only.values


def falls_on_candidate(route: ClientRoute, unit: str, occasion: str | None = None) -> bool:
    """Whether a unit's place in the release's order lies within the candidate's share."""
    named = conversation_hash(unit) if route.source == CONVERSATION else unit
    if route.split == SplitMethod.ENVOY:
        return takes_candidate_in_envoy(named, route.salt, route.release_id or "", route.weight_percent)
    pseudonym = unit_hash(named, route.salt)
    if occasion is not None:
        pseudonym = drawn_afresh(pseudonym, occasion)
    return takes_candidate(pseudonym, route.release_id or "", route.weight_percent)
