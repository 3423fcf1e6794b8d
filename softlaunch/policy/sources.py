"""The part of a policy that says which metrics come from elsewhere than the request log."""

from typing import Annotated, Self

from pydantic import AnyHttpUrl, Field, model_validator

from softlaunch.core.arms import ByArm
from softlaunch.core.documents import KeyedError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.quantities import Duration, written_duration
from softlaunch.policy.part import Part

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Selector = Annotated[
    str,
    Field(
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^\n]*\})?$",
        max_length=2000,
        description='a metric\'s name with or without matchers, such as requests_total{app="shop"}',
    ),
]
Label = Annotated[str, Field(min_length=1, max_length=200)]


class ArmLabels(Part):
    """The values that name the arms."""

    stable: Label = "stable"
    """Requests that stable answered."""
    candidate: Label = "candidate"
    """Requests that the candidate answered."""
    shadow: Label | None = "shadow"
    """Copies of requests that the candidate answered; null if there are none: then the shadow stage judges nothing."""
    control: Label | None = "control"
    """What stable still answers while the candidate serves 100 %: copies, or a hold-back; null if nothing: then nothing
    is judged there.
    """

    def of_stage(self, *, shadow: bool, everybody: bool) -> ByArm[str] | None:
        """The values of a shadow stage, of one at 100 %, or of any other; None where there are none."""
        candidate = self.shadow if shadow else self.candidate
        stable = self.control if everybody else self.stable
        return None if candidate is None or stable is None else ByArm(candidate, stable)


class PrometheusMetric(Part):
    """Where a metric is found: counters of all requests and of good or bad ones, or a histogram.

    Each is a metric name with matchers and no function: what you would write inside `rate(...[1m])`, without the arm
    label. For anything else use a recording rule.
    """

    metric: Metric
    """The metric that a gate judges."""
    total: Selector | None = None
    """A counter of all requests, to be used with `bad` or `good`."""
    bad: Selector | None = None
    """A counter of requests in which something bad happened: an error, a miss."""
    good: Selector | None = None
    """A counter of requests in which something good happened, instead of `bad`."""
    histogram: Selector | None = None
    """The buckets of a histogram, such as `request_seconds_bucket`, for quantities like latency and cost."""
    factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """What a histogram's bounds are multiplied by. Left out: 1000 for latency, which is in seconds there, otherwise 1.
    """

    @property
    def scale(self) -> float:
        """What bounds are multiplied by."""
        return self.factor or (1000.0 if self.metric is Metric.LATENCY else 1.0)

    @property
    def selectors(self) -> tuple[str, ...]:
        """What is asked for: the histogram, or all requests and those of one kind."""
        return tuple(one for one in (self.histogram, self.total, self.bad, self.good) if one is not None)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.metric.compares_copies:
            raise KeyedError(f"{self.metric} compares texts, which no counter holds", "metric")
        if self.metric.is_relative:
            if self.histogram is None or len(self.selectors) > 1:
                raise KeyedError(f"{self.metric} comes from a histogram alone", "histogram")
        elif self.histogram is not None:
            raise KeyedError(f"{self.metric} is a share: give total, and bad or good", "histogram")
        elif self.total is None or (self.bad is None) == (self.good is None):
            raise KeyedError("a share needs a counter of all requests, and bad or good", "total")
        return self


class PrometheusPolicy(Part):
    """Metrics from a Prometheus server. It counts requests without knowing whose they are: see `group`."""

    url: AnyHttpUrl
    """Its address, such as http://prometheus:9090."""
    token_env: EnvironmentName | None = None
    """Environment variable of the driver with a bearer token, if the server requires one."""
    arm_label: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")] = "arm"
    """The label that names the arm."""
    arms: ArmLabels = ArmLabels()
    interval: Annotated[Duration, Field(ge=1, le=3600)] = 30.0
    """Both arms are compared within time slices of this length. Use at least the scrape interval."""
    stale_after: Annotated[Duration, Field(ge=2, le=3600)] = 90.0
    """An instance whose newest sample is older is gone, and what it counts across a longer gap is ignored. If all are
    gone, nothing is known and the stage holds.
    """
    group: Annotated[int, Field(ge=1, le=10**6)] = 5
    """About how many requests one user makes in a stage. That many count as one piece of evidence, and more if the arms
    differ more from one time slice to the next than independent requests would.
    """
    metrics: Annotated[tuple[PrometheusMetric, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.stale_after < self.interval:
            raise KeyedError(
                f"must be at least the interval, which is {written_duration(self.interval)}", "stale_after"
            )
        names = [one.metric for one in self.metrics]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise KeyedError(f"{name} is listed already; keep one", "metrics", place, "metric")
        return self


class SqlPolicy(Part):
    """A view in another database with every request. It replaces the request log, users included.

    Its columns are `app`, `request_id`, `started_at` (epoch seconds), `arm`, `unit` (text), `outcome` (as in the
    request log), `latency_ms` and `cost_usd`, and one for each rated or scored metric that has a gate or predicts one,
    named after the metric (null: not scored).
    """

    url_env: EnvironmentName
    """Environment variable of the driver with the database's SQLAlchemy URL."""
    view: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")] = "softlaunch_requests"
    """The view's name."""
    arms: ArmLabels = ArmLabels()
    """A copy (shadow, control) has the request_id and the started_at of the request that it copies."""
    late: Annotated[Duration, Field(ge=0, le=86400)] = 30.0
    """How long after its `started_at` a row may appear, with all its values. Later rows are never read."""
    stale_after: Annotated[Duration, Field(ge=1)] = 300.0
    """When the newest row is older than this, nothing is known and the stage holds."""


class OtlpPolicy(Part):
    """What the app reports about its model calls: spans that it sends to `softlaunch otlp`, or records that it sends to
    a gateway or to `softlaunch config-server`. Each becomes a row of the request log.

    A request counts at its start, or `hold` before its end if it took longer than that. Gates read data no newer than
    `hold` plus `late` ago.
    """

    hold: Annotated[Duration, Field(ge=0, le=600)] = 30.0
    """The longest that most requests take."""
    late: Annotated[Duration, Field(ge=0.5, le=600)] = 15.0
    """How long after its end a span or a record may arrive: longer than the app waits before sending. What arrives
    later is logged and counted as missing, and isn't evidence.
    """

    stale_after: Annotated[Duration, Field(ge=1)] = 300.0
    """When no request has arrived for longer, nothing is known and the stage holds: the app's exporter may be broken.
    """

    @property
    def behind(self) -> float:
        """How many seconds behind the present everything has come."""
        return self.hold + self.late

    def counts_at(self, began: float, ended: float) -> float:
        """The moment at which a request counts."""
        return max(began, ended - self.hold)


class AccessLogPolicy(OtlpPolicy):
    """The access log that Envoy sends to `softlaunch envoy control`: each entry becomes a row of the request log.

    It has statuses and times, but no tokens or words.
    """

    late: Annotated[Duration, Field(ge=0.5, le=600)] = 5.0
    """How long after a request's end its entry may arrive. What arrives later is counted as missing, and isn't
    evidence.
    """
    stale_after: Annotated[Duration, Field(ge=1)] = 300.0
    """When no request has arrived for longer, nothing is known and the stage holds: Envoy may log elsewhere."""


class SourcesPolicy(Part):
    """Metrics that don't come from the request log; all others do."""

    prometheus: PrometheusPolicy | None = None
    sql: SqlPolicy | None = None
    """A database view that replaces the request log."""
    otlp: OtlpPolicy | None = None
    """`softlaunch otlp` writes the request log, from what the app exports; gateways that serve the app also write to
    it.
    """
    access_log: AccessLogPolicy | None = None
    """`softlaunch envoy control` writes the request log, from Envoy's access log."""

    @model_validator(mode="after")
    def _is_one_log(self) -> Self:
        if self.sql is not None and self.otlp is not None:
            raise KeyedError("a view takes the place of the request log already; keep one of sql and otlp", "otlp")
        if self.access_log is not None and (self.sql is not None or self.otlp is not None):
            raise KeyedError("each request would be logged twice; keep one of access_log, sql and otlp", "access_log")
        return self

    @property
    def received(self) -> OtlpPolicy | None:
        """How the request log is completed by what receivers take; None where they don't."""
        return self.otlp or self.access_log

    @property
    def counted(self) -> frozenset[Metric]:
        """Metrics of which requests are counted without saying whose they are."""
        return frozenset(one.metric for one in self.prometheus.metrics) if self.prometheus else frozenset()

    def arms(self, *, shadow: bool, everybody: bool) -> ByArm[str] | None:
        """The labels of the arms of a stage; None where counted metrics can't be judged."""
        return self.prometheus.arms.of_stage(shadow=shadow, everybody=everybody) if self.prometheus else None
