"""A look of the gates, as a driver makes it: new rows read, folded into the gates, and judged."""

import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from benchmarks.request_log.rows import APP, RELEASE, policy, stage
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.telemetry import Scope
from softlaunch.store.database import Database
from softlaunch.telemetry.request_log import RequestLogTelemetry


@dataclass
class Looker:
    """Looks again and again, each time at what came since; `seconds` and `rows` of each look."""

    database: Database
    began: float
    until: float
    seconds: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    gates: GateSet = field(default_factory=lambda: GateSet.begin(policy(), stage()))

    def look(self, now: float) -> None:
        """One look."""
        begun = time.perf_counter()
        scope = Scope(APP, RELEASE, stage(), self.began)
        reading = RequestLogTelemetry(self.database).read(scope, self.until, now)
        for window in reading.windows:
            self.gates.update(window)
        self.gates.verdicts()
        self.until = reading.until
        self.seconds.append(time.perf_counter() - begun)
        self.rows.append(reading.requests.candidate + reading.requests.stable)


def look_on(url: str, seconds: float, told: Connection) -> None:
    """Look every second for so long; tells when it begins, and in the end how long the looks took."""
    database = Database(url)
    began = time.time()
    looker = Looker(database, began, began)
    told.send("ready")
    while time.time() - began < seconds + 1:
        time.sleep(1 - time.time() % 1)
        looker.look(time.time())
    told.send({"seconds": looker.seconds, "rows": looker.rows, "cpu": time.process_time()})
    database.close()
