"""What applications record of the calls that they made, and where each belongs; nothing is guessed."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from softlaunch.core.api import Api
from softlaunch.core.prices import cost_usd
from softlaunch.core.request_outcome import GIVEN, TIMEOUTS, RequestOutcome
from softlaunch.core.split import unit_hash
from softlaunch.core.usage import Usage
from softlaunch.core.variant import Variant
from softlaunch.gateway.configuration.evaluation import unit_named
from softlaunch.gateway.configuration.revisions import Told, weight_by_revision
from softlaunch.ledger.request_log import RequestRecord
from softlaunch.ledger.timeline import InForce
from softlaunch.policy.route import Arm, Route
from softlaunch.policy.sources import OtlpPolicy

AHEAD_SECONDS = 5.0
"""How far an application's clock may be ahead of ours."""
_IN_THE_FUTURE = "it ended in the future; set the clock of the application's machine"
_MOST_TOKENS = 2**31 - 1
_COPIES = frozenset({Arm.SHADOW, Arm.CONTROL})
_OF_CANDIDATE = frozenset({Arm.CANDIDATE, Arm.SHADOW})
_ID = re.compile(r"[0-9a-f]{22,32}")
_STATUS: Mapping[RequestOutcome, int] = {
    **dict.fromkeys(GIVEN, 200),
    **dict.fromkeys(TIMEOUTS, 504),
    RequestOutcome.RATE_LIMITED: 429,
    RequestOutcome.REQUEST_AT_FAULT: 400,
    RequestOutcome.CLIENT_GONE: 499,
}


def _without_nul(text: str) -> str:
    return text.replace("\x00", "")


Text = Annotated[str, AfterValidator(_without_nul)]
"""Text as a database takes it."""
Name = Annotated[Text, Field(min_length=1, max_length=200)]
Words = Annotated[Text, Field(max_length=200)]
Unit = Annotated[Text, Field(min_length=1, max_length=1024)]
Tokens = Annotated[int, Field(ge=0, le=_MOST_TOKENS)]
Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RecordTexts(BaseModel):
    """What was asked and answered; it is kept where the app's policy says so, and redacted as that says."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    question: Text
    answer: Text
    context: Text | None = None


class ClientRecord(BaseModel):
    """One call to a model, as the application made it by the configuration of a `revision`.

    `id` is the caller's own and no other call's; the same one sent again counts once. `weight_percent` is the weight
    that was in force for the unit, 0 where no candidate could be shown; left out, it is the split's. A copy (shadow,
    control) says of which call by `copy_of`. Unknown keys are passed over: a client may be newer than its server.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: Name
    app: Name
    unit: Unit
    arm: Arm
    release_id: Words | None = None
    stage: int = 0
    revision: int
    variant: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
    started_at: Annotated[float, Field(gt=0, lt=1e11)]
    latency_ms: Size
    first_token_ms: Size | None = None
    outcome: RequestOutcome
    status: Annotated[int, Field(ge=0, le=599)] | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cached_tokens: Tokens | None = None
    cost_usd: Size | None = None
    finish_reason: Words | None = None
    values: Mapping[str, Any] = Field(default_factory=dict)
    texts: RecordTexts | None = None
    weight_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    copy_of: Name | None = None
    streamed: bool = False
    fell_back: bool = False
    """Whether stable answered in the candidate's place, whose failure this is."""
    api: Api | None = None
    resolved_model: Words | None = None
    fingerprint: Words | None = None
    attempts: Annotated[int, Field(ge=0, le=1000)] = 1

    @property
    def ended_at(self) -> float:
        """When its answer was whole, in epoch seconds."""
        return self.started_at + self.latency_ms / 1000

    @property
    def key(self) -> str:
        """What no other record has among all that receivers take."""
        return "record:" + hashlib.blake2b(f"{self.app}\x00{self.id}".encode(), digest_size=24).hexdigest()

    @property
    def is_copy(self) -> bool:
        """Whether no user saw the answer."""
        return self.arm in _COPIES


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a record is no row of the log, with what to do."""

    why: str


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a record belongs: the route that it was made by, its pseudonym, and what it is evidence of."""

    route: Route
    variant: Variant
    unit: int
    weight_percent: float
    counts_at: float


def request_id_of(app: str, given: str) -> str:
    """A record's id in the request log: its own where it has the form of a gateway's, so that it can be rated by it."""
    own = given.removeprefix(f"{app}-")
    if own != given and _ID.fullmatch(own):
        return given
    return f"{app}-{hashlib.blake2b(given.encode(), digest_size=16).hexdigest()}"


def place(record: ClientRecord, split: InForce, until: float, otlp: OtlpPolicy, now: float) -> Placed | Refused:
    """Where a record belongs by the route of its revision, which was in force `until` then (epoch seconds).

    Refused is what contradicts that route: another release or variant, or an arm that isn't the unit's. What a client
    did that hadn't heard of a change for longer than its lease is a row, and no evidence; nor is what it did before it
    had heard of the release at all.
    """
    route = split.route
    if record.ended_at > now + AHEAD_SECONDS:
        return Refused(_IN_THE_FUTURE)
    knows_of_none = record.arm is Arm.STABLE and record.release_id is None  # by a copy of the disk, from which it began
    if not knows_of_none and (record.release_id, record.stage) != (route.release_id, route.stage):
        named = f"{route.release_id}, stage {route.stage}" if route.release_id else "no release"
        return Refused(f"revision {route.revision} was of {named}")
    variant = route.candidate if record.arm in _OF_CANDIDATE else route.stable
    if variant is None or not variant.digest.startswith(record.variant):
        return Refused(f"by revision {route.revision} another variant belongs to the arm {record.arm}, or none")
    if record.is_copy and record.copy_of is None:
        return Refused("it is a copy: name the record of the user's call in copy_of")
    told = Told(record.unit, record.arm, record.started_at, record.weight_percent)
    weight = weight_by_revision(told, route, until)
    if weight is None:
        return Refused("the unit isn't the candidate's by revision and stage; evaluate by the configuration's own hash")
    unit = unit_hash(unit_named(route.serving.unit, record.unit), route.serving.salt)
    counts_at = otlp.counts_at(record.started_at, record.ended_at)
    is_unaware = knows_of_none and route.release_id is not None
    return Placed(route, variant, unit, 0.0 if is_unaware else weight, counts_at)


def place_unseen(
    record: ClientRecord, variant: Variant | None, newest: Route, otlp: OtlpPolicy, now: float
) -> Placed | Refused:
    """Where a record belongs that was made by a revision before those that are known here: a row, and no evidence.

    That is what users met who had kept what they were told, while this server was started again. `variant` is what the
    record names, as the ledger has it.
    """
    if record.revision >= newest.revision:
        return Refused(f"revision {record.revision} of the app's route isn't known; the newest is {newest.revision}")
    if record.ended_at > now + AHEAD_SECONDS:
        return Refused(_IN_THE_FUTURE)
    if variant is None:
        return Refused(f"variant {record.variant} isn't recorded")
    of_release = record.release_id is not None and record.release_id == newest.release_id
    route = replace(
        newest,
        revision=record.revision,
        release_id=newest.release_id if of_release else None,
        stage=record.stage if of_release else 0,
    )
    unit = unit_hash(unit_named(newest.serving.unit, record.unit), newest.serving.salt)
    return Placed(route, variant, unit, 0.0, otlp.counts_at(record.started_at, record.ended_at))


def row_of(record: ClientRecord, placed: Placed, receiver: str, *, late: bool) -> RequestRecord:
    """The row of a record. What came too late belongs to no split that gates compare."""
    route = placed.route
    usage = Usage(record.input_tokens, record.output_tokens, record.cached_tokens)
    status = _STATUS.get(record.outcome, 502) if record.status is None else record.status
    return RequestRecord(
        request_id=request_id_of(record.app, record.copy_of if record.is_copy and record.copy_of else record.id),
        gateway_id=receiver,
        app=record.app,
        release_id=route.release_id,
        stage=route.stage,
        route_revision=route.revision,
        weight_percent=0.0 if late else placed.weight_percent,
        arm=record.arm,
        mirrored=record.is_copy,
        variant_digest=placed.variant.digest,
        unit=placed.unit,
        started_at=placed.counts_at,
        status=status,
        outcome=record.outcome,
        latency_ms=record.latency_ms,
        first_token_ms=record.first_token_ms,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cost_usd=cost_usd(placed.variant.model, usage) if record.cost_usd is None else record.cost_usd,
        resolved_model=record.resolved_model,
        fingerprint=record.fingerprint,
        streamed=record.streamed or record.first_token_ms is not None,
        fell_back=record.fell_back,
        finish_reason=record.finish_reason or None,
        attempts=record.attempts,
        cached_tokens=record.cached_tokens,
        api=record.api,
    )
