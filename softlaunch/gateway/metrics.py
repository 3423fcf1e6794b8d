"""What a gateway counts about itself, for Prometheus."""

from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Iterator
from functools import partial
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from softlaunch.core.answer_checks import NAMED_BITS
from softlaunch.core.api import Api
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gateway.calls import Answer
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.table import RouteTable
from softlaunch.policy.route import Arm

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counters of the request path, and gauges read from the route table and the log when they are asked for."""

    def __init__(self, table: RouteTable, log: LogSink) -> None:
        self._registry = CollectorRegistry()
        self._answers = _Answers()
        self._registry.register(self._answers)
        counter = partial(Counter, registry=self._registry)
        self.in_flight = Gauge("softlaunch_in_flight", "Users' requests under way.", registry=self._registry)
        self._mirrors_dropped = counter(
            "softlaunch_shadow_dropped", "Copies not made because too many were under way.", ["app"]
        )
        self._unnamed = counter(
            "softlaunch_requests_unnamed",
            "Users' requests that name no unit, so that a user may meet another arm with each.",
            ["app"],
        )
        self._kept = counter(
            "softlaunch_requests_kept_on_stable",
            "Users' requests in a release whose candidate doesn't serve their API, or has other embeddings.",
            ["app", "api"],
        )
        self._retries = counter(
            "softlaunch_retries",
            "Requests that were sent again, to the provider or to a fallback model.",
            ["app", "arm"],
        )
        self._fallbacks = counter(
            "softlaunch_fallback_model_answers",
            "Answers that a fallback model of the arm's variant gave.",
            ["app", "arm", "model"],
        )
        self._registry.register(_State(table, log))

    def answered(self, app: str, arm: Arm, answer: Answer) -> None:
        """Count an answer of an arm."""
        self._answers.add(app, arm, answer)
        if answer.attempts > 1:
            self._retries.labels(app, arm).inc(answer.attempts - 1)
        if answer.answered_by is not None:
            self._fallbacks.labels(app, arm, answer.answered_by.name).inc()

    def mirror_dropped(self, app: str) -> None:
        """Count a copy that wasn't made."""
        self._mirrors_dropped.labels(app).inc()

    def unnamed(self, app: str) -> None:
        """Count a request that names no unit."""
        self._unnamed.labels(app).inc()

    def kept_on_stable(self, app: str, api: Api) -> None:
        """Count a request that the candidate can't take."""
        self._kept.labels(app, api).inc()

    def add(self, counts: Collector) -> None:
        """Tell of what somebody else counts, too."""
        self._registry.register(counts)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Answers(Collector):
    """Answers of arms: counted in plain numbers, which costs the request path a tenth of what the library's do.

    Used from the event loop alone, which also answers who asks for them.
    """

    def __init__(self) -> None:
        self._counts: Counts[tuple[str, Arm, int, RequestOutcome]] = Counts()
        self._latencies: dict[tuple[str, Arm], list[int]] = {}
        self._seconds: dict[tuple[str, Arm], float] = {}
        self._checked: Counts[tuple[str, Arm, int]] = Counts()
        self._characters: Counts[tuple[str, Arm]] = Counts()

    def add(self, app: str, arm: Arm, answer: Answer) -> None:
        self._counts[app, arm, answer.status // 100, answer.outcome] += 1
        seconds, of_arm = answer.latency_ms / 1000, (app, arm)
        if answer.checks is not None:
            self._checked[app, arm, answer.checks] += 1
            self._characters[of_arm] += answer.said.size if answer.said else 0
        buckets = self._latencies.get(of_arm)
        if buckets is None:
            buckets = self._latencies[of_arm] = [0] * (len(_SECONDS) + 1)
            self._seconds[of_arm] = 0.0
        buckets[bisect_left(_SECONDS, seconds)] += 1
        self._seconds[of_arm] += seconds

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "softlaunch_requests",
            "Answers of an arm, by what became of them; a copy's arm is shadow or control.",
            labels=["app", "arm", "status", "outcome"],
        )
        for (app, arm, status, outcome), count in self._counts.items():
            requests.add_metric([app, arm, f"{status}xx", outcome], count)
        yield requests
        latency = HistogramMetricFamily(
            "softlaunch_request_seconds", "Time until an arm's answer was complete.", labels=["app", "arm"]
        )
        for (app, arm), buckets in self._latencies.items():
            upper = [*map(floatToGoString, _SECONDS), "+Inf"]
            latency.add_metric([app, arm], list(zip(upper, accumulate(buckets), strict=True)), self._seconds[app, arm])
        yield latency
        yield from self._collect_checks()

    def _collect_checks(self) -> Iterator[Metric]:
        checked = CounterMetricFamily("softlaunch_checked_answers", "Answers that were checked.", labels=["app", "arm"])
        found = CounterMetricFamily(
            "softlaunch_check_findings", "Answers of which a check said something.", labels=["app", "arm", "check"]
        )
        characters = CounterMetricFamily(
            "softlaunch_answer_characters", "Characters of checked answers.", labels=["app", "arm"]
        )
        for (app, arm), size in self._characters.items():
            characters.add_metric([app, arm], size)
            by_bits = [(bits, count) for (*which, bits), count in self._checked.items() if which == [app, arm]]
            checked.add_metric([app, arm], sum(count for _, count in by_bits))
            for name, bit in NAMED_BITS.items():
                found.add_metric([app, arm, name], sum(count for bits, count in by_bits if bits & bit))
        yield from (checked, found, characters)


class _State(Collector):
    def __init__(self, table: RouteTable, log: LogSink) -> None:
        self._table = table
        self._log = log

    def collect(self) -> Iterator[Metric]:
        weight = GaugeMetricFamily("softlaunch_route_weight_percent", "Share that the split asks for.", labels=["app"])
        shadow = GaugeMetricFamily("softlaunch_route_shadow_percent", "Share copied to the candidate.", labels=["app"])
        revision = GaugeMetricFamily("softlaunch_route_revision", "Revision of the route in force.", labels=["app"])
        lease = GaugeMetricFamily("softlaunch_lease_holds", "1 while the route's watcher is alive.", labels=["app"])
        breaker = GaugeMetricFamily("softlaunch_breaker_tripped", "1 once the breaker has tripped.", labels=["app"])
        for app, served in self._table.all().items():
            weight.add_metric([app], served.route.weight_percent)
            shadow.add_metric([app], served.route.shadow_percent)
            revision.add_metric([app], served.route.revision)
            lease.add_metric([app], served.lease_holds())
            breaker.add_metric([app], served.breaker.tripped)
        yield from (weight, shadow, revision, lease, breaker)
        dropped = CounterMetricFamily("softlaunch_log_dropped", "Requests served but not logged.", labels=["app"])
        drops = dict(self._log.dropped_total)  # with a zero for the others: a rate needs a value before the first loss
        for app in sorted({*self._table.all(), *drops}):
            dropped.add_metric([app], drops.get(app, 0))
        yield dropped
        lost = CounterMetricFamily(
            "softlaunch_log_lost", "Requests lost with gateways that died, as counted by this one.", labels=["app"]
        )
        for app in sorted({*self._table.all(), *self._log.lost_total}):
            lost.add_metric([app], self._log.lost_total[app])
        yield lost
        yield CounterMetricFamily(
            "softlaunch_log_failed_writes", "Attempts to write the log that failed.", value=self._log.failed_writes
        )
        texts = CounterMetricFamily(
            "softlaunch_texts_not_written", "Answers whose texts should have been written.", labels=["app", "reason"]
        )
        for (app, reason), count in dict(self._log.texts.redaction.withheld).items():
            texts.add_metric([app, reason], count)
        yield texts
        yield GaugeMetricFamily("softlaunch_log_waiting", "Records not yet written.", value=self._log.waiting)
        yield GaugeMetricFamily(
            "softlaunch_route_age_seconds", "Since the routes were last read.", value=self._table.seconds_since_read
        )
