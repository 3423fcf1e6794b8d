"""Where the parts are put together: the one place that knows which implementation serves which interface."""

import os
import socket
from datetime import timedelta
from functools import partial

from softlaunch.ab.strategy import TrialStrategy
from softlaunch.ab.watch import TrialWatch
from softlaunch.core.settings import Settings
from softlaunch.evals.regression import RegressionEval
from softlaunch.gates.telemetry import Telemetry
from softlaunch.ledger.guard import Guard
from softlaunch.ledger.losses import LossWatch, counters_folder
from softlaunch.live.watch import LiveWatch
from softlaunch.policy.model import Policy
from softlaunch.policy.sources import SourcesPolicy
from softlaunch.releases.driver import Driver, Strategies
from softlaunch.releases.emergency import EmergencyStrategy
from softlaunch.releases.observe import Evaluator, ReleaseStrategy
from softlaunch.releases.topline import ToplineStrategy
from softlaunch.shadow.judge import CopyJudge
from softlaunch.shadow.watch import CopyWatch
from softlaunch.store.database import Database
from softlaunch.telemetry.otlp.source import OtlpTelemetry
from softlaunch.telemetry.prometheus.source import PrometheusSource
from softlaunch.telemetry.request_log import RequestLogTelemetry
from softlaunch.telemetry.sources.source import CountSource
from softlaunch.telemetry.sources.watch import CountWatch
from softlaunch.telemetry.sql.source import SqlTelemetry


def build_driver(database: Database, kind: str, evaluator: Evaluator | None = None) -> Driver:
    """A driver on the embedded request log.

    kind: what drives, such as `release flow`. evaluator: what runs regression evals, if not this process by itself.
    """
    releases = ReleaseStrategy(
        RequestLogTelemetry(database),
        evaluator or RegressionEval(database),
        CopyWatch(database, CopyJudge(database)),
        CountWatch(open_source),
        partial(open_log, database),
        live=LiveWatch(database),
    )
    trials, emergencies = TrialStrategy(releases, TrialWatch(database)), EmergencyStrategy(database)
    strategies = Strategies(releases, trials, emergencies, ToplineStrategy(releases))
    settings = Settings()
    ttl = timedelta(seconds=settings.driver_seconds)
    guard = Guard(database, LossWatch(database, counters_folder(database, settings.home)))
    return Driver(
        database, strategies, f"{kind} on {socket.gethostname()}, process {os.getpid()}", ttl=ttl, guard=guard
    )


def open_source(sources: SourcesPolicy) -> CountSource | None:
    """The source of counts that a policy names; None where all its metrics come from the request log."""
    return PrometheusSource.of(sources.prometheus) if sources.prometheus else None


def open_log(database: Database, policy: Policy) -> Telemetry | None:
    """What takes the place of the request log of gateways, where a policy names it."""
    if policy.sources.received is not None:
        return OtlpTelemetry(database, policy=policy.sources.received)
    if policy.sources.sql is None:
        return None
    judged = [gate for gate in policy.gates if gate.metric not in policy.sources.counted]
    read = dict.fromkeys([*(gate.metric for gate in judged), *(gate.predicted_by for gate in judged)])
    rated = tuple(metric for metric in read if metric is not None and metric.is_rated)
    return SqlTelemetry(policy.sources.sql, policy.app, rated)
