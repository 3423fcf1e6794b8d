"""How long one look takes, and whether it grows with the requests and users that a release has already seen.

    python -m benchmarks.gates.evaluation            # up to 10 million requests in the log, about 5 GB on disk
    python -m benchmarks.gates.evaluation --most 1000000

A stage at 50 % with the default gates, and users who come once, five times, or again and again. The log is filled and
read in steps as by a driver that never stopped; after each step 2,000 new requests are read from it, folded into the
stored evidence by what the driver holds in memory, judged, and the evidence is stored again: what it does in one look.
Then the driver is replaced by one that holds nothing, and reads the stage again. Times are of the processor, so that
other work on the machine doesn't count.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.telemetry import Scope
from softlaunch.policy.evals import EvalPolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage, plan
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import GatewayRow
from softlaunch.telemetry.request_log import RequestLogTelemetry

_STEPS = (10_000, 100_000, 1_000_000, 10_000_000)
_PAST = 3_000
_NEW = 2_000
_CATCHING_UP = 10_000
_LOOKS = 15
_PER_SECOND = 1000
USERS = {
    "once": "random()",
    "five times": "(i + abs(random()) % 50000) / 5",  # within 50 seconds
    "10,000 regulars": "abs(random()) % 10000",
}
"""Who makes request `i`."""
_FILL = """
INSERT INTO requests (request_id, gateway_id, app, release_id, stage, route_revision, weight_percent, arm, mirrored,
    variant_digest, unit, started_at, status, latency_ms, cost_usd, streamed, fell_back)
WITH RECURSIVE
    n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :last),
    made(i, unit) AS MATERIALIZED (SELECT i, {unit} FROM n)
SELECT 'bot-' || i, 'g', 'bot', :release, :stage, 1, 50.0,
    CASE WHEN unit % 2 AND :release IS NOT NULL THEN 'candidate' ELSE 'stable' END, 0, 'd', unit, i / 1000.0, 200,
    500 + abs(random()) % 1000, (100 + abs(random()) % 100) / 1e6, 0, 0 FROM made
"""


def main() -> None:
    """Print a line for each kind of users and size of the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=_STEPS[-1], help="requests in the log at the end")
    most = parser.parse_args().most
    policy = Policy(app="bot", eval=EvalPolicy(golden_set="golden.jsonl"))
    stage = next(step for step in plan(policy) if step.weight_percent == 50)
    print(
        "| users come | requests seen | look, ms: median, worst | evidence, kB | held, MB | read again, s | peak, MB |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for users in USERS:
        with tempfile.TemporaryDirectory() as folder:
            database = open_database(f"sqlite:///{Path(folder) / 'ledger.db'}")
            for figures in _measure(Watcher(database, policy, stage, users), [n for n in _STEPS if n <= most]):
                print(f"| {users} | {figures} |", flush=True)
            database.close()


@dataclass
class Watcher:
    """What a driver does with a stage that began when `_PAST` requests were logged; a request a millisecond."""

    database: Database
    policy: Policy
    stage: Stage
    users: str
    logged: int = 0
    evidence: str = ""
    panel: GateSet = field(init=False)
    telemetry: RequestLogTelemetry = field(init=False)

    def __post_init__(self) -> None:
        """Log stable's past, and begin."""
        self.telemetry = RequestLogTelemetry(self.database)
        self.fill(_PAST, release=None)
        self.panel = GateSet.begin(self.policy, self.stage, self.telemetry.history("bot", "d", self.now))
        self.evidence = json.dumps({"panel": self.panel.dump(), "until": self.now})

    def fill(self, count: int, release: str | None = "bot-1") -> None:
        """Log requests, and say that the log is complete."""
        moments = {"first": self.logged, "last": self.logged + count}
        self.logged += count
        with self.database.begin() as session:
            fill = text(_FILL.format(unit=USERS[self.users]))
            session.execute(fill, {**moments, "stage": self.stage.position, "release": release})
            session.merge(
                GatewayRow(id="g", address="", revisions={}, started_at=0, heard_at=self.now, complete_until=self.now)
            )

    @property
    def now(self) -> float:
        """The moment up to which requests are logged."""
        return self.logged / _PER_SECOND

    @property
    def scope(self) -> Scope:
        """The stage."""
        return Scope("bot", "bot-1", self.stage)

    def look(self) -> float:
        """Judge what is new; returns milliseconds."""
        began = time.process_time()
        held = json.loads(self.evidence)
        panel = GateSet.load(self.policy, self.stage, held["panel"])
        panel.recall(self.panel)
        reading = self.telemetry.read(self.scope, held["until"], self.now)
        for window in reading.windows:
            panel.update(window)
        panel.verdicts()
        self.panel, self.evidence = panel, json.dumps({"panel": panel.dump(), "until": reading.until})
        return (time.process_time() - began) * 1000

    def restart(self) -> float:
        """Know nothing but the evidence, and read the stage again; returns seconds."""
        began = time.process_time()
        held = json.loads(self.evidence)
        self.panel = GateSet.load(self.policy, self.stage, held["panel"])
        self.panel.remember(self.telemetry.read_again(self.scope, _PAST / _PER_SECOND, held["until"]))
        return time.process_time() - began

    @property
    def held_bytes(self) -> int:
        """How much memory those take that were heard."""
        books = () if self.panel.returning is None else self.panel.returning.evidence.values()
        ways = [way for book in books for way in (book.first, book.visit, book.short, book.long)]
        return sum(way.visits.booked.all.nbytes + way.visits.open.nbytes for way in ways)


def _measure(watcher: Watcher, steps: list[int]) -> Iterator[str]:
    for step in steps:
        while watcher.logged < step:
            watcher.fill(min(_CATCHING_UP, step - watcher.logged))
            watcher.look()
        taken = []
        for _ in range(_LOOKS):
            watcher.fill(_NEW)
            taken.append(watcher.look())
        again = watcher.restart()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield (
            f"{step:,} | {statistics.median(taken[1:]):.0f}, {max(taken[1:]):.0f} | {len(watcher.evidence) / 1000:.0f} "
            f"| {watcher.held_bytes / 1e6:.1f} | {again:.1f} | {peak:.0f}"
        )


if __name__ == "__main__":
    main()
