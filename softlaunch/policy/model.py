"""The policy of an app: everything about a release that people decide beforehand, as frozen objects."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from softlaunch.core.content import Name
from softlaunch.core.documents import KeyedError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.quantities import Duration, written_duration
from softlaunch.core.verdict import Per, Role
from softlaunch.policy.ab import AbPolicy
from softlaunch.policy.drift import DriftPolicy
from softlaunch.policy.emergency import EmergencyPolicy
from softlaunch.policy.evals import EvalPolicy, JudgePolicy
from softlaunch.policy.freeze import FreezePolicy
from softlaunch.policy.freeze_windows import leaves_no_time
from softlaunch.policy.gateway import GatewayPolicy
from softlaunch.policy.gating import DEFAULT_GATES, Adjustment, GatePolicy, with_unusable
from softlaunch.policy.live import LivePolicy
from softlaunch.policy.named_metrics import MetricPolicy, resolved
from softlaunch.policy.part import Part, Percent
from softlaunch.policy.people import ApprovalPolicy, ApproverPolicy, ChatKind, SlackPolicy
from softlaunch.policy.retention import RetentionPolicy
from softlaunch.policy.router import RouterPolicy, check_breaker, check_percent, check_unit, without_older_router
from softlaunch.policy.source_checks import check_sources
from softlaunch.policy.sources import SourcesPolicy
from softlaunch.policy.stages import DEFAULT_STAGES, ShadowPolicy, StagePolicy, check_order
from softlaunch.policy.texts import TextPolicy
from softlaunch.policy.topline import ToplinePolicy
from softlaunch.policy.units import SessionPolicy, UnitPolicy, why_not_counted

RETIRED = ("owner", "telemetry")
"""Keys of older policies that nothing reads. They are left out of a policy that has them, whatever they say."""


class OnOrphaned(StrEnum):
    """What happens to a live release whose driver has stopped."""

    RESUME = "resume"
    ROLL_BACK = "roll_back"


class OrphanedPolicy(Part):
    """What `softlaunch reconcile` does with a release whose driver died. Until then gateways serve stable."""

    action: OnOrphaned = OnOrphaned.RESUME
    """resume: the next driver continues from the ledger. roll_back: the release ends."""
    roll_back_after: Duration = 3600.0
    """A release that had no driver for longer than this is too old to resume, and is rolled back."""
    maximum_deaths: Annotated[int, Field(ge=1)] = 5
    """A release whose drivers died this often within an hour is rolled back: it may be what kills them."""


class Policy(Part):
    """How candidates of one app are released. Only `app` and `eval.golden_set` have no default."""

    app: Name
    """The name that clients use as the model."""
    eval: EvalPolicy
    shadow: ShadowPolicy | None = ShadowPolicy()
    """Set it to null to skip the shadow stage."""
    stages: Annotated[tuple[StagePolicy, ...], Field(min_length=1)] = DEFAULT_STAGES
    """The canary's steps, by default 1, 5, 50 and 100 %. A single stage of 100 is a blue-green release."""
    control_percent: Percent = 5.0
    """Share of requests copied to stable in the stage of 100 %, where no user is on stable any more, as the comparison.
    """
    metrics: tuple[MetricPolicy, ...] = ()
    """The app's own metrics, which tell what came of answers. Gates and A/B tests can use them by name."""
    sources: SourcesPolicy = SourcesPolicy()
    gates: Annotated[tuple[GatePolicy, ...], Field(min_length=1)] = DEFAULT_GATES
    """What must not get worse. By default: errors by 1 point, latency and cost by 10 % and, as a guard, satisfaction by
    4 points. A gate on `unusable` is added unless you name one (role muted only shows it), with the margin and role of
    the gate on errors. It isn't added where errors, or all metrics, come from another source.
    """
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.01
    """Probability that a harmless release is rolled back, over all gates, stages and looks together."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence that a gate that passes is within its margin."""
    topline: ToplinePolicy | None = None
    """How the promoted variant is watched after the promotion. Left out, it isn't."""
    freeze: tuple[FreezePolicy, ...] = ()
    """Windows in which no stage starts and nothing is promoted. Rollbacks are always possible."""
    unit: UnitPolicy = UnitPolicy()
    session: SessionPolicy = SessionPolicy()
    gateway: GatewayPolicy = GatewayPolicy()
    router: RouterPolicy | None = None
    """What splits the traffic. Left out: the gateway."""
    approval: ApprovalPolicy = ApprovalPolicy()
    emergency: EmergencyPolicy = EmergencyPolicy()
    orphaned: OrphanedPolicy = OrphanedPolicy()
    ab: AbPolicy = AbPolicy()
    drift: DriftPolicy = DriftPolicy()
    texts: TextPolicy = TextPolicy()
    live: LivePolicy | None = None
    """Judges of live answers. Left out: none."""
    retention: RetentionPolicy = RetentionPolicy()
    chat: ChatKind = ChatKind.CONSOLE
    slack: SlackPolicy | None = None
    approvers: tuple[ApproverPolicy, ...] = ()
    """Who may answer a release's questions. Left out: anyone with access to the ledger, and nobody in Slack."""
    no_data_after: Annotated[Duration, Field(ge=1)] = 300.0
    """People are notified when a stage has had no complete data from both arms for this long."""

    @model_validator(mode="before")
    @classmethod
    def _leaves_out_what_is_retired(cls, values: Any) -> Any:
        if type(values) is not dict:
            return values
        kept = {key: value for key, value in values.items() if key not in RETIRED}
        return resolved(without_older_router(kept))

    @field_validator("freeze", mode="after")
    @classmethod
    def _leaves_time(cls, freeze: tuple[FreezePolicy, ...]) -> tuple[FreezePolicy, ...]:
        if leaves_no_time(freeze):
            raise KeyedError("the windows cover the whole week, so that nothing could ever be promoted; leave a gap")
        return freeze

    @field_validator("gates", mode="after")
    @classmethod
    def _judges_what_serves_nobody(cls, gates: tuple[GatePolicy, ...], info: ValidationInfo) -> tuple[GatePolicy, ...]:
        sources: SourcesPolicy | None = info.data.get("sources")
        counted = sources.counted if sources else frozenset()
        unseen = sources is not None and sources.access_log is not None
        elsewhere = unseen or Metric.ERRORS in counted or all(gate.metric in counted for gate in gates)
        return gates if elsewhere else with_unusable(gates)

    @field_validator("metrics", mode="after")
    @classmethod
    def _are_distinct(cls, metrics: tuple[MetricPolicy, ...]) -> tuple[MetricPolicy, ...]:
        names = [metric.name for metric in metrics]
        if len(set(names)) != len(names):
            raise KeyedError("a name is declared twice; keep one")
        return metrics

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        check_order(self.stages)
        self._can_tell_who_is_inside()
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
        if all(metric.is_rated or metric.compares_copies for metric in required - self.sources.counted):
            self._judge_everybody(required & self.sources.counted)
        check_sources(self.sources, self.gates, self.unit)
        self._can_compare_copies()
        self._have_a_past()
        self._can_count()
        self._can_judge_live()
        self._have_texts_for_somebody()
        self._can_watch_on()
        self._can_be_routed()
        return self

    def _can_tell_who_is_inside(self) -> None:
        """Raise KeyedError where a stage is limited to some units, and a source of metrics doesn't know them."""
        others = self.sources.prometheus or self.sources.sql
        for place, stage in enumerate(self.stages):
            if stage.only is not None and others is not None:
                raise KeyedError(
                    "Prometheus and SQL can't judge limited stages; leave these sources out, or this",
                    *("stages", place, "only"),
                )

    def _can_be_routed(self) -> None:
        """Raise KeyedError where the router can't do what the policy wants, or nobody logs what it serves."""
        if self.router is None:
            if self.sources.access_log is not None:
                raise KeyedError("only Envoy sends one: set 'router: {kind: envoy, ...}'", "sources", "access_log")
            return
        try:
            check_unit(self.unit)
        except KeyedError as error:
            raise KeyedError(str(error), "unit", *error.keys) from error
        self._has_what_envoy_knows()
        if self.reads_log and self.sources.received is None and self.sources.sql is None:
            raise KeyedError(
                "no gateway logs what Envoy serves: set a source of metrics, such as 'sources: {access_log: {}}'",
                "sources",
            )

    def _has_what_envoy_knows(self) -> None:
        """Raise KeyedError for shares that it can't split by, a breaker, and whatever needs texts."""
        check_breaker(self.gateway.breaker)
        for place, stage in enumerate(self.stages):
            check_percent(stage.weight_percent, "stages", place, "weight_percent")
        check_percent(self.control_percent, "control_percent")
        if self.shadow is not None:
            check_percent(self.shadow.sample_percent, "shadow", "sample_percent")
        if self.live is not None:
            raise KeyedError("Envoy keeps no texts, so judges have nothing to read; leave it out", "live")
        if self.texts.keep:
            raise KeyedError("Envoy keeps no texts; leave it out", "texts", "keep")

    def _can_watch_on(self) -> None:
        """Raise KeyedError where nothing could be judged after a promotion."""
        if self.topline is None:
            return
        try:
            self.topline.check(self.gates, self.sources)
        except KeyedError as error:
            raise KeyedError(str(error), "topline", *error.keys) from error

    def _have_texts_for_somebody(self) -> None:
        """Raise KeyedError where texts wait for judges that there aren't, or can't be redacted as they should."""
        if self.texts.until_judged and self.live is None:
            raise KeyedError("live answers aren't judged: declare 'live', or set keep: false", "texts", "keep")
        if self.texts.redact is not None:
            if not self.texts.keep:
                raise KeyedError("no texts are kept, so there is nothing to redact; leave it out", "texts", "redact")
            try:
                self.texts.redact.check()
            except KeyedError as error:
                raise KeyedError(str(error), "texts", "redact", *error.keys) from error

    @property
    def live_judge(self) -> JudgePolicy | None:
        """Who judges live answers."""
        return self.live.judge or self.eval.judge if self.live else None

    def _can_judge_live(self) -> None:
        """Raise KeyedError where live answers are to be judged and something for it is missing."""
        if self.live is None:
            return
        try:
            self.live.check(self.metrics, self.eval.judge, texts_kept=bool(self.texts.keep))
        except KeyedError as error:
            raise KeyedError(str(error), "live", *error.keys) from error

    def _judge_everybody(self, counted: set[Metric]) -> None:
        """Raise KeyedError where no required gate could judge the last stage, or the shadow."""
        if not counted:
            raise KeyedError(
                "the last stage and the shadow compare copies, which nobody rates; require errors, latency or cost too",
                "gates",
            )
        arms = ("sources", "prometheus", "arms")
        if self.sources.arms(shadow=False, everybody=True) is None:
            raise KeyedError("nothing could be judged at 100 % without it; set it", *arms, "control")
        if self.shadow is not None and self.sources.arms(shadow=True, everybody=False) is None:
            raise KeyedError("nothing could be judged in the shadow without it; set it", *arms, "shadow")

    @property
    def reported(self) -> tuple[MetricPolicy, ...]:
        """The app's own metrics that it reports itself."""
        return tuple(metric for metric in self.metrics if not metric.drawn)

    @property
    def drawn(self) -> frozenset[str]:
        """The names of its own metrics that people label of answers drawn at random."""
        return frozenset(metric.name for metric in self.metrics if metric.drawn)

    @property
    def reads_log(self) -> bool:
        """Whether any gate judges what the request log holds."""
        return any(gate.metric not in self.sources.counted for gate in self.gates)

    def _can_count(self) -> None:
        """Raise KeyedError where what a gate counts, sessions or users, can't be there or not in time."""
        for position, gate in enumerate(self.gates):
            if gate.per is Per.REQUEST or not gate.is_named:
                continue
            why = why_not_counted(gate.per, self.unit, self.session)
            if why:
                raise KeyedError(why, "gates", position, "per")
            for place, stage in enumerate(self.stages):
                soonest = self.session.soonest(gate.per)
                if gate.role is Role.REQUIRED and stage.weight_percent < 100 and stage.deadline <= soonest:
                    raise KeyedError(
                        f"{gate.metric} per {gate.per} is known after {written_duration(soonest)} at the earliest, "
                        "so this stage could never pass in time; extend it, or change the policy's 'session'",
                        *("stages", place, "deadline"),
                    )

    def _have_a_past(self) -> None:
        """Raise KeyedError where a gate is adjusted for the past of units that begin afresh all the time."""
        for position, gate in enumerate(self.gates):
            if Adjustment.OWN_PAST in gate.adjust_for and not self.unit.names_users:
                raise KeyedError(
                    "units that are drawn afresh or are conversations have no past; make unit.source name users "
                    "and leave unit.redraw out, or leave own_past out",
                    *("gates", position, "adjust_for"),
                )

    def _can_compare_copies(self) -> None:
        """Raise KeyedError where a gate on the copies' texts could never judge anything."""
        for position, gate in enumerate(self.gates):
            if gate.metric is Metric.PREFERENCE and self.eval.judge is None:
                raise KeyedError(
                    "preference needs judges: name their models under eval.judge.models", "gates", position, "metric"
                )
            if not gate.metric.compares_copies or gate.role is Role.MUTED:
                continue
            lacking = self._lacking_for(gate.metric)
            if lacking:
                raise KeyedError(f"{gate.metric} {lacking}; or make it muted", "gates", position, "role")

    def _lacking_for(self, metric: Metric) -> str:
        if self.shadow is None:
            return "is judged in the shadow stage, which is skipped: put 'shadow' back"
        if self.texts.until_judged:
            return "compares two answers to the same request, but until_judged keeps few, and only briefly: keep: true"
        if not self.texts.keep:
            return "compares texts of live requests, which are not kept: set texts.keep"
        if metric is Metric.AGREEMENT and not self.shadow.floor_percent:
            return "is compared with stable's own: set shadow.floor_percent above 0"
        return ""
