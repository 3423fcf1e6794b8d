"""The parts of a policy that are about units: whom traffic is split by, and what of a unit gates count."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.quantities import CONVERSATION, Duration, Redraw, written_duration
from softlaunch.core.verdict import Per
from softlaunch.policy.part import Part


class UnitSource(StrEnum):
    """Whom traffic is split by."""

    USER = "user"
    HEADER = "header"
    CONVERSATION = "conversation"
    SAFETY_IDENTIFIER = "safety_identifier"
    METADATA = "metadata.user_id"
    SESSION = "metadata.session_id"
    PROMPT_CACHE_KEY = "prompt_cache_key"


_OF_CONVERSATIONS = frozenset({UnitSource.CONVERSATION, UnitSource.SESSION})


class Pin(StrEnum):
    """What keeps the variant that it began on, whatever the split says meanwhile."""

    THREAD = "thread"


class OldThreads(StrEnum):
    """What becomes of a conversation that a provider keeps, when the variant that it began on serves no more."""

    CONTINUE = "continue"
    """It goes on there: its provider still has it, and nobody else has."""
    END = "end"
    """Its next request is refused with 409, and the client begins a new one."""


class UnitPolicy(Part):
    """How the gateway tells units apart. A request that names none is a unit of its own."""

    source: UnitSource = UnitSource.USER
    """Where a unit's name is found: user, safety_identifier, prompt_cache_key or metadata.user_id of the body, or a
    header. metadata.session_id: a session, named by the body. conversation: the `conversation` that the body names, or
    the hash of the first user message.

    If a request has none there, these are tried in order: user, the header, safety_identifier, metadata.user_id,
    prompt_cache_key.
    """
    header: str = "x-user-id"
    """The header's name."""
    signed_by: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Environment variable of the gateways with the secret that signs units. Left out, units aren't verified.

    With it a request is served only if its header `x-softlaunch-unit-signature` is HMAC-SHA256(secret, unit) in
    hexadecimal, so that a client that may only chat can't invent users.
    """

    redraw: Redraw = None
    """Draw each unit's arm again in every epoch of this length, or in every conversation of a unit.

    Left out, a unit keeps its arm for the whole release. A few hundred users can't show that a candidate is fine unless
    each of them meets both arms. With it, gates count a unit in one epoch as one unit.
    """

    threads: OldThreads = OldThreads.CONTINUE
    """Conversations that a provider keeps (`previous_response_id`) stay on the variant that they started on. When that
    stops serving, after a rollback or a promotion, they continue there, or end.
    """

    pin: Pin | None = None
    """thread: a conversation stays on the variant that it started on while the split changes, even if a promotion
    replaces that variant. A rollback ends this at once.

    Units must then be conversations, by the source or by `redraw: conversation`.
    """
    pin_limit: Annotated[Duration, Field(ge=1)] = 7 * 86400.0
    """After this long, a conversation follows the split again."""

    @property
    def names_users(self) -> bool:
        """Whether a unit is somebody who comes back, and not a conversation, nor somebody for some time."""
        return self.redraw is None and self.source not in _OF_CONVERSATIONS

    @model_validator(mode="after")
    def _has_threads(self) -> Self:
        by_source = self.source in {*_OF_CONVERSATIONS, UnitSource.HEADER} and self.redraw is None
        if self.pin is not None and not (by_source or self.redraw == CONVERSATION):
            raise KeyedError(
                "units aren't conversations; set the source to metadata.session_id, conversation or the header of a "
                "session, or set redraw to conversation",
                "pin",
            )
        return self

    @model_validator(mode="after")
    def _has_conversations(self) -> Self:
        if self.redraw == CONVERSATION and self.source in _OF_CONVERSATIONS:
            raise KeyedError("each conversation is already a unit with its own arm; leave redraw out", "redraw")
        return self

    @model_validator(mode="after")
    def _can_be_signed(self) -> Self:
        if self.signed_by is not None and self.source is UnitSource.CONVERSATION:
            raise KeyedError("a conversation can't be signed; set the source to user or header", "signed_by")
        return self


class SessionPolicy(Part):
    """How a unit's requests are grouped, for gates with `per: session` or `per: user`."""

    timeout: Annotated[Duration, Field(ge=1)] = 1800.0
    """A session is over when its unit has asked nothing for this long: half an hour, as in web analytics."""
    longest: Annotated[Duration, Field(ge=1)] = 14400.0
    """A session is over after this long in any case, and the next one starts: a bot that never pauses is counted too.
    """
    user_period: Annotated[Duration, Field(ge=1)] = 86400.0
    """Per user, everything that a unit did within this time of its first request counts together; then a new period
    starts.
    """

    @model_validator(mode="after")
    def _can_time_out(self) -> Self:
        if self.longest < self.timeout:
            wanted = written_duration(self.timeout)
            raise KeyedError(f"a session can't end before timeout, which is {wanted}; expected more", "longest")
        return self

    def soonest(self, per: Per) -> float:
        """Seconds from a request until what it belongs to is counted, at the soonest."""
        return {Per.REQUEST: 0.0, Per.SESSION: self.timeout, Per.USER: self.user_period}[per]


def why_not_counted(per: Per, unit: UnitPolicy, session: SessionPolicy) -> str:
    """Why units aren't what a gate counts, in words with what to change; empty where they can be."""
    if per is Per.USER and not unit.names_users:
        return (
            "units that are drawn afresh or are conversations aren't users; use session, or make unit.source name "
            "users and leave unit.redraw out"
        )
    if isinstance(unit.redraw, float) and unit.redraw < session.timeout:
        return (
            f"arms are drawn afresh every {written_duration(unit.redraw)}, which would cut sessions that end after a "
            f"pause of {written_duration(session.timeout)}; make unit.redraw longer or session.timeout shorter"
        )
    return ""
