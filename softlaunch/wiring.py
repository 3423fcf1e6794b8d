"""Where the parts are put together: the one place that knows which implementation serves which interface."""

import os
import socket
from datetime import timedelta

from softlaunch.ab.watch import TrialWatch
from softlaunch.driving.driver import Driver
from softlaunch.driving.emergency import EmergencyWatch
from softlaunch.driving.look import Eyes
from softlaunch.edges.telemetry.request_log import RequestLogTelemetry
from softlaunch.evals.regression import RegressionEval
from softlaunch.settings import Settings
from softlaunch.shadow.judge import CopyJudge
from softlaunch.shadow.watch import CopyWatch
from softlaunch.store.database import Database
from softlaunch.store.guard import Guard
from softlaunch.store.losses import LossWatch, counters_folder


def build_driver(database: Database, kind: str) -> Driver:
    """A driver on the embedded request log. `kind` says what drives, such as `release flow`."""
    eyes = Eyes(
        RequestLogTelemetry(database),
        RegressionEval(database),
        TrialWatch(database),
        CopyWatch(database, CopyJudge(database)),
        EmergencyWatch(database),
    )
    settings = Settings()
    ttl = timedelta(seconds=settings.driver_seconds)
    guard = Guard(database, LossWatch(database, counters_folder(database, settings.home)))
    return Driver(database, eyes, f"{kind} on {socket.gethostname()}, process {os.getpid()}", ttl=ttl, guard=guard)
