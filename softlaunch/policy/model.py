"""The policy of an app: everything about a release that people decide beforehand, as frozen objects."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.quantities import CONVERSATION, Duration, Margin, MarginKind, Redraw, written_duration
from softlaunch.core.variant import Name
from softlaunch.core.verdict import Per, Role
from softlaunch.policy.ab import AbPolicy
from softlaunch.policy.drift import DriftPolicy
from softlaunch.policy.emergency import EmergencyPolicy
from softlaunch.policy.gating import DEFAULT_GATES, Adjustment, GatePolicy, with_unusable
from softlaunch.policy.judging import EvalMetricPolicy, JudgePolicy, check_metrics
from softlaunch.policy.part import Part, Percent
from softlaunch.policy.people import ApprovalPolicy, ApproverPolicy, ChatKind, SlackPolicy
from softlaunch.policy.retention import RetentionPolicy
from softlaunch.policy.sessions import SessionPolicy

_TOO_EARLY = "{:g} s comes before minimum_time, which is {:g} s"
_NO_UNITS = "at 100 % copies are compared, two of each request, and no units are counted; say it in requests"
_Number = Annotated[int, Field(ge=1, le=10**12)]


class AtDeadline(StrEnum):
    """What happens when a stage's deadline passes without a decision."""

    ASK = "ask"
    ROLL_BACK = "roll_back"
    EXTEND = "extend"


class StagePolicy(Part):
    """One step of the canary."""

    weight_percent: Percent
    """Share of units that the candidate serves."""
    minimum_time: Duration = 600.0
    """The stage lasts at least this long, however good the evidence."""
    minimum_requests: Annotated[int, Field(ge=1)] = 100
    """Requests that each arm must have answered in this stage before it can pass."""
    minimum_units: _Number | None = None
    """Units that each arm must have met in this stage before it can pass; left out, it doesn't matter how many."""
    deadline: Annotated[Duration, Field(gt=0)] = 86400.0
    """How long the stage may stay undecided."""
    deadline_requests: _Number | None = None
    """With how many of the candidate's requests the stage may stay undecided, where that comes before the deadline."""
    deadline_units: _Number | None = None
    """The same in units: where they come back, 6,000 requests may be those of only 1,200 users."""
    at_deadline: AtDeadline = AtDeadline.ASK
    """What then: ask a person, roll back, or go on for as long, and with as many requests and units, again."""
    approval: bool = False
    """Whether a person must agree before this stage begins. The stage before it goes on being watched meanwhile."""
    margin_factor: Annotated[float, Field(ge=1)] | None = None
    """Margins are this many times as wide in this stage; left out: 4 below 5 %, 2 below 50 %, else 1."""

    @property
    def widened(self) -> float:
        """The factor by which this stage's margins are wider."""
        if self.margin_factor is not None:
            return self.margin_factor
        return 4.0 if self.weight_percent < 5 else 2.0 if self.weight_percent < 50 else 1.0

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        _check_deadlines(self)
        if self.deadline_units is not None and self.deadline_units < (self.minimum_units or 0):
            said = f"{self.deadline_units} comes before minimum_units, which is {self.minimum_units}"
            raise KeyedError(said, "deadline_units")
        if self.weight_percent == 100:
            for key in ("minimum_units", "deadline_units"):
                if getattr(self, key) is not None:
                    raise KeyedError(_NO_UNITS, key)
        return self


class ShadowJudgingPolicy(Part):
    """How much judges are asked about the answers to copies, where a gate is on preference; eval.judge says who.

    They get the texts of live requests: what must not leave your house needs a judge inside of it.
    """

    sample_percent: Percent = 100.0
    """Share of the copies whose answers are judged; of each user at most one."""
    budget_calls: Annotated[int, Field(ge=1)] = 400
    """How many calls judges may take in the stage. A pair takes two of each judge; a repeated attempt counts again."""
    budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """What the judges' calls may cost in the stage, in USD; every judge's model needs its prices then."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Pairs that are judged at once."""


class ShadowPolicy(Part):
    """The shadow stage: copies of live requests go to the candidate, whose answers nobody sees."""

    sample_percent: Percent = 10.0
    """Share of requests that are copied."""
    floor_percent: Annotated[float, Field(ge=0, le=100)] = 20.0
    """Share of the copied requests that stable is asked a second time, to know how much its answers vary by themselves.

    Where texts aren't kept nothing could be compared, and none is asked.
    """
    judging: ShadowJudgingPolicy = ShadowJudgingPolicy()
    minimum_requests: Annotated[int, Field(ge=1)] = 100
    """Pairs of answers needed before the stage can pass."""
    minimum_time: Duration = 300.0
    """The stage lasts at least this long."""
    deadline: Annotated[Duration, Field(gt=0)] = 86400.0
    """How long the stage may stay undecided."""
    deadline_requests: _Number | None = None
    """With how many pairs of answers the stage may stay undecided, where that comes before the deadline."""
    at_deadline: AtDeadline = AtDeadline.ASK
    """What then: ask a person, reject the candidate, or go on for as long, and with as many pairs, again."""
    margin_factor: Annotated[float, Field(ge=1)] = 1.0
    """Margins are this many times as wide in this stage."""

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        _check_deadlines(self)
        return self


def _check_deadlines(stage: StagePolicy | ShadowPolicy) -> None:
    """Raise KeyedError where a stage's deadline comes before what it must at least have."""
    if stage.deadline < stage.minimum_time:
        raise KeyedError(_TOO_EARLY.format(stage.deadline, stage.minimum_time), "deadline")
    if stage.deadline_requests is not None and stage.deadline_requests < stage.minimum_requests:
        said = f"{stage.deadline_requests} comes before minimum_requests, which is {stage.minimum_requests}"
        raise KeyedError(said, "deadline_requests")


class OnInconclusive(StrEnum):
    """What an inconclusive regression eval leads to once the repeats are used up."""

    ASK = "ask"
    REJECT = "reject"


class EvalPolicy(Part):
    """The regression eval on the golden set, candidate and stable on the same cases."""

    golden_set: Annotated[str, Field(min_length=1)]
    """JSON lines, one case a line; the path is relative to the policy file."""
    repeats: Annotated[int, Field(ge=1, le=100)] = 3
    """How often each case is asked at first, because answers vary."""
    maximum_repeats: Annotated[int, Field(ge=1, le=100)] = 6
    """Up to how often an inconclusive eval asks each case before it gives up."""
    tolerance: Margin = Margin(MarginKind.POINTS, 0.02)
    """How many points of a metric the candidate may lose."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence of the verdicts, over all metrics together."""
    maximum_unscored: Margin = Margin(MarginKind.POINTS, 0.05)
    """Share of the candidate's calls that may end without a score (errors, timeouts) before the eval is an error."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 16
    """Calls under way at once, both variants together."""
    budget_calls: Annotated[int, Field(ge=1)] | None = None
    """How many calls an eval may make; left out, as many as the repeats need. A repeated attempt counts again."""
    budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """What an eval's answers may cost, in USD; every model needs its prices then."""
    reuse: Duration = 0.0
    """Take answers of earlier evals that are at most this old: same variant, same case, same repeat. 0 takes none."""
    timeout: Duration = 60.0
    """How long one call may take."""
    on_inconclusive: OnInconclusive = OnInconclusive.ASK
    """Ask a person, or reject. Metrics that contradict each other are always for a person."""
    metrics: tuple[EvalMetricPolicy, ...] = ()
    """What is compared besides accuracy, which is the mean score of the cases' own metrics."""
    judge: JudgePolicy | None = None
    """Who judges, where metrics ask judges."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        check_metrics(self.metrics, self.judge)
        if self.maximum_repeats < self.repeats:
            raise KeyedError(f"{self.maximum_repeats} is less than repeats, which is {self.repeats}", "maximum_repeats")
        for key, margin in (("tolerance", self.tolerance), ("maximum_unscored", self.maximum_unscored)):
            if margin.kind is MarginKind.RELATIVE:
                raise KeyedError(f"it is written in points, like '2 points', not '{margin}'", key)
        return self


class UnitSource(StrEnum):
    """Whom traffic is split by."""

    USER = "user"
    HEADER = "header"
    CONVERSATION = "conversation"
    SAFETY_IDENTIFIER = "safety_identifier"
    METADATA = "metadata.user_id"
    PROMPT_CACHE_KEY = "prompt_cache_key"


class UnitPolicy(Part):
    """How the gateway tells units apart; a request that names none is a unit of its own."""

    source: UnitSource = UnitSource.USER
    """Where the name stands: user, safety_identifier, prompt_cache_key or metadata.user_id of the body, or a header.
    conversation: the hash of the first user message.

    Where a request has none there: user, the header, safety_identifier, metadata.user_id, prompt_cache_key, in turn.
    """
    header: str = "x-user-id"
    """The header's name."""
    signed_by: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Environment variable of the gateways with the secret that signs units. Left out, units are taken as they come.

    With it a request is served only when its header `x-softlaunch-unit-signature` is HMAC-SHA256(secret, unit) in
    hexadecimal, so that who may only chat can't invent users.
    """

    redraw: Redraw = None
    """Draw each unit's arm afresh: in every epoch of this length, or in every conversation of a unit.

    Left out, a unit keeps its arm for as long as the release lasts. A few hundred users can't show that a candidate is
    fine unless each of them meets both sides; with it what gates count as a unit is a unit in one epoch.
    """

    @model_validator(mode="after")
    def _has_conversations(self) -> Self:
        if self.redraw == CONVERSATION and self.source is UnitSource.CONVERSATION:
            raise KeyedError("each conversation is a unit already, whose arm is its own; leave redraw out", "redraw")
        return self

    @model_validator(mode="after")
    def _can_be_signed(self) -> Self:
        if self.signed_by is not None and self.source is UnitSource.CONVERSATION:
            raise KeyedError("a conversation can't be signed; let the source be user or header", "signed_by")
        return self


class BreakerPolicy(Part):
    """When a gateway by itself stops sending traffic to a candidate that fails massively."""

    window: Duration = 5.0
    """How far back the breaker looks."""
    minimum_requests: Annotated[int, Field(ge=3)] = 10
    """Fewer of the candidate's answers than this never trip it."""
    failed_percent: Percent = 50.0
    """It trips when at least this share of them failed."""


class GatewayPolicy(Part):
    """How the gateway serves this app."""

    connect: Annotated[Duration, Field(gt=0)] = 10.0
    """How long a connection to the provider may take."""
    first_token: Annotated[Duration, Field(gt=0)] = 120.0
    """How long a stream may be silent before its first token; models that reason in silence need time."""
    idle: Annotated[Duration, Field(gt=0)] = 60.0
    """How long a stream may pause between two tokens, and a client may stop reading."""
    total: Annotated[Duration, Field(gt=0)] = 900.0
    """How long an answer may take altogether."""
    timeout: Annotated[Duration, Field(gt=0)] | None = None
    """The one limit of older policies: none of the four is longer than this."""
    heartbeat: Annotated[Duration, Field(ge=1)] = 15.0
    """After so long without a first token a stream is opened towards the client, and kept alive by comments."""
    fallback: bool = True
    """Answer from stable when the candidate failed before its first byte. The failure still counts against it."""
    breaker: BreakerPolicy = BreakerPolicy()
    lease: Annotated[Duration, Field(ge=2, le=300)] = 10.0
    """How long a gateway may send traffic to a candidate without hearing that somebody still watches."""


class TextPolicy(Part):
    """Whether the texts of live requests are kept, and for how long."""

    keep: bool = False
    retention: Duration = 30 * 86400.0


class RouterKind(StrEnum):
    """What splits the traffic."""

    EMBEDDED = "embedded"


class TelemetryKind(StrEnum):
    """Where the gates' figures come from."""

    REQUEST_LOG = "request_log"


class OnOrphaned(StrEnum):
    """What happens to a live release that nobody drives any more."""

    RESUME = "resume"
    ROLL_BACK = "roll_back"


class OrphanedPolicy(Part):
    """What `softlaunch reconcile` does with a release whose driver died; until then gateways serve stable."""

    action: OnOrphaned = OnOrphaned.RESUME
    """resume: the next driver goes on from the ledger. roll_back: the release ends."""
    roll_back_after: Duration = 3600.0
    """A release that nobody drove for longer than this is rolled back: nobody remembers what it was about."""
    maximum_deaths: Annotated[int, Field(ge=1)] = 5
    """A release whose drivers died so often within an hour is rolled back: it may be what kills them."""


DEFAULT_STAGES = (
    StagePolicy(weight_percent=1),
    StagePolicy(weight_percent=5),
    StagePolicy(weight_percent=50),
    StagePolicy(weight_percent=100),
)


class Policy(Part):
    """How candidates of one app are released. Only `app` and `eval.golden_set` have no default."""

    app: Name
    """The name that clients use as the model."""
    owner: str = ""
    """Who answers for the app."""
    eval: EvalPolicy
    shadow: ShadowPolicy | None = ShadowPolicy()
    """Null leaves the shadow stage out."""
    stages: Annotated[tuple[StagePolicy, ...], Field(min_length=1)] = DEFAULT_STAGES
    """The canary's steps. A single stage of 100 is a blue-green release."""
    control_percent: Percent = 5.0
    """At 100 % no user is on stable any more: this share of requests is copied to stable, to compare with."""
    gates: Annotated[tuple[GatePolicy, ...], Field(min_length=1)] = DEFAULT_GATES
    """What must not get worse. A gate on `unusable` is there by itself, as wide as the one on errors and of the same
    role; name it to change that, with role muted to only show it.
    """
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.01
    """Chance that a harmless release is rolled back, over all gates, stages and looks together."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence that a gate which passes is within its margin."""
    unit: UnitPolicy = UnitPolicy()
    session: SessionPolicy = SessionPolicy()
    gateway: GatewayPolicy = GatewayPolicy()
    approval: ApprovalPolicy = ApprovalPolicy()
    emergency: EmergencyPolicy = EmergencyPolicy()
    orphaned: OrphanedPolicy = OrphanedPolicy()
    ab: AbPolicy = AbPolicy()
    drift: DriftPolicy = DriftPolicy()
    texts: TextPolicy = TextPolicy()
    retention: RetentionPolicy = RetentionPolicy()
    router: RouterKind = RouterKind.EMBEDDED
    telemetry: TelemetryKind = TelemetryKind.REQUEST_LOG
    chat: ChatKind = ChatKind.CONSOLE
    slack: SlackPolicy | None = None
    approvers: tuple[ApproverPolicy, ...] = ()
    """Who may answer what a release asks. Left out: whoever reaches the ledger may, and nobody in Slack."""
    no_data_after: Annotated[Duration, Field(ge=1)] = 300.0
    """When a stage has seen no complete data of both sides for this long, people are told."""

    @field_validator("gates", mode="after")
    @classmethod
    def _judges_what_serves_nobody(cls, gates: tuple[GatePolicy, ...]) -> tuple[GatePolicy, ...]:
        return with_unusable(gates)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        weights = [stage.weight_percent for stage in self.stages]
        if sorted(set(weights)) != weights:
            raise KeyedError(f"weights must grow: {', '.join(f'{weight:g}' for weight in weights)}", "stages")
        if weights[-1] != 100:
            where = ("stages", len(weights) - 1, "weight_percent")
            raise KeyedError(
                f"expected 100 in the last stage, not {weights[-1]:g}: a release ends with all users", *where
            )
        metrics = [gate.metric for gate in self.gates]
        if len(set(metrics)) != len(metrics):
            raise KeyedError("a metric has two gates; keep one", "gates")
        required = {gate.metric for gate in self.gates if gate.role is Role.REQUIRED}
        if self.chat is ChatKind.SLACK and self.slack is None:
            raise KeyedError("slack needs a channel: 'slack: {channel: C0123ABCDEF}'", "chat")
        if self.approval.two_people_from_percent is not None and not self.approvers:
            raise KeyedError("name them under 'approvers'", "approval", "two_people_from_percent")
        if not required:
            raise KeyedError("none is required, so nothing could ever pass; give one the role 'required'", "gates")
        if all(metric.is_rated or metric.compares_copies for metric in required):
            raise KeyedError(
                "the last stage and the shadow compare copies, which nobody rates; require errors, latency or cost too",
                "gates",
            )
        self._can_compare_copies()
        self._have_a_past()
        self._can_count()
        return self

    def _can_count(self) -> None:
        """Raise KeyedError where what a gate counts, sessions or users, can't be there or not in time."""
        for position, gate in enumerate(self.gates):
            if gate.per is Per.REQUEST or not gate.is_named:
                continue
            why = _not_units(gate.per, self.unit, self.session)
            if why:
                raise KeyedError(why, "gates", position, "per")
            for place, stage in enumerate(self.stages):
                soonest = self.session.soonest(gate.per)
                if gate.role is Role.REQUIRED and stage.weight_percent < 100 and stage.deadline <= soonest:
                    raise KeyedError(
                        f"{gate.metric} per {gate.per} is known after {written_duration(soonest)} at the soonest, so "
                        "that this stage could never pass in time; give it longer, or change the policy's 'session'",
                        *("stages", place, "deadline"),
                    )

    def _have_a_past(self) -> None:
        """Raise KeyedError where a gate is adjusted for the past of units that begin afresh all the time."""
        lasting = self.unit.redraw is None and self.unit.source is not UnitSource.CONVERSATION
        for position, gate in enumerate(self.gates):
            if Adjustment.OWN_PAST in gate.adjust_for and not lasting:
                raise KeyedError(
                    "units that are drawn afresh or are conversations have no past; let unit.source name users and "
                    "leave unit.redraw out, or leave own_past out",
                    *("gates", position, "adjust_for"),
                )

    def _can_compare_copies(self) -> None:
        """Raise KeyedError where a gate on the copies' texts could never judge anything."""
        for position, gate in enumerate(self.gates):
            if gate.metric is Metric.PREFERENCE and self.eval.judge is None:
                raise KeyedError(
                    "preference asks judges: name their models under eval.judge.models", "gates", position, "metric"
                )
            if not gate.metric.compares_copies or gate.role is Role.MUTED:
                continue
            lacking = self._lacking_for(gate.metric)
            if lacking:
                raise KeyedError(f"{gate.metric} {lacking}; or make it muted", "gates", position, "role")

    def _lacking_for(self, metric: Metric) -> str:
        if self.shadow is None:
            return "is judged in the shadow stage, which is left out: put 'shadow' back"
        if not self.texts.keep:
            return "compares texts of live requests, which are not kept: set texts.keep"
        if metric is Metric.AGREEMENT and not self.shadow.floor_percent:
            return "is compared with stable's own: set shadow.floor_percent above 0"
        return ""


def _not_units(per: Per, unit: UnitPolicy, session: SessionPolicy) -> str:
    """Why units aren't what a gate counts, in words with what to change; empty where they can be."""
    lasting = unit.redraw is None and unit.source is not UnitSource.CONVERSATION
    if per is Per.USER and not lasting:
        return (
            "units that are drawn afresh or are conversations are no users; say session, or let unit.source name users "
            "and leave unit.redraw out"
        )
    if isinstance(unit.redraw, float) and unit.redraw < session.timeout:
        return (
            f"arms are drawn afresh each {written_duration(unit.redraw)}, which would cut sessions that end after a "
            f"pause of {written_duration(session.timeout)}; make unit.redraw longer or session.timeout shorter"
        )
    return ""
