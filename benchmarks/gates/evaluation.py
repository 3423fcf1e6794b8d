"""How long one look takes, and whether it grows with the requests that a release has already seen.

    python -m benchmarks.gates.evaluation            # up to 10 million requests in the log, about 5 GB on disk
    python -m benchmarks.gates.evaluation --most 1000000

A stage at 50 % with four gates. The log is filled in steps; after each step 2,000 new requests are read from it, folded
into the stored state, judged, and the state is stored again: what a driver does in one look.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text

from softlaunch.edges.telemetry.interface import Scope
from softlaunch.edges.telemetry.request_log import RequestLogTelemetry
from softlaunch.gates.observations import Window
from softlaunch.gates.panel import Panel
from softlaunch.policy.model import EvalPolicy, Policy
from softlaunch.release import Stage, plan
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database

_STEPS = (10_000, 100_000, 1_000_000, 10_000_000)
_NEW = 2_000
_LOOKS = 15
_FILL = """
INSERT INTO requests (request_id, gateway_id, app, release_id, stage, route_revision, weight_percent, arm, mirrored,
    variant_digest, unit, started_at, status, latency_ms, cost_usd, streamed, fell_back)
WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :last)
SELECT 'bot-' || i, 'g', 'bot', 'bot-1', :stage, 1, 50.0,
    CASE WHEN abs(random()) % 2 THEN 'candidate' ELSE 'stable' END, 0, 'd', random(), i / 1000.0, 200,
    500 + abs(random()) % 1000, (100 + abs(random()) % 100) / 1e6, 0, 0 FROM n
"""


def main() -> None:
    """Print a line for each size of the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=_STEPS[-1], help="requests in the log at the end")
    most = parser.parse_args().most
    policy = Policy(app="bot", eval=EvalPolicy(golden_set="golden.jsonl"))
    stage = next(step for step in plan(policy) if step.weight_percent == 50)
    print("requests seen | one look: median ms | worst ms | state kB")
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'ledger.db'}")
        for seen, milliseconds, state in _measure(database, policy, stage, [n for n in _STEPS if n <= most]):
            median, worst = statistics.median(milliseconds), max(milliseconds)
            print(f"{seen:13,} | {median:19.1f} | {worst:8.1f} | {len(state) / 1000:8.1f}", flush=True)
        database.close()


def _measure(
    database: Database, policy: Policy, stage: Stage, steps: list[int]
) -> Iterator[tuple[int, list[float], str]]:
    telemetry, scope = RequestLogTelemetry(database), Scope("bot", "bot-1", stage)
    logged = 0
    for step in steps:
        _fill(database, stage, logged, step)
        logged = step
        state, until = json.dumps(Panel.begin(policy, stage, Window(0.5)).dump()), step / 1000
        taken = []
        for _ in range(_LOOKS):
            _fill(database, stage, logged, logged + _NEW)
            logged += _NEW
            began = time.perf_counter()
            panel = Panel.load(policy, stage, json.loads(state))
            reading = telemetry.read(scope, until, logged / 1000)
            for window in reading.windows:
                panel.update(window)
            panel.verdicts()
            state, until = json.dumps(panel.dump()), reading.until
            taken.append((time.perf_counter() - began) * 1000)
        yield step, taken[1:], state


def _fill(database: Database, stage: Stage, first: int, last: int) -> None:
    """Log requests at 1,000 a second, and say that the log is complete."""
    with database.begin() as session:
        session.execute(text(_FILL), {"first": first, "last": last, "stage": stage.position})
        session.execute(text("DELETE FROM gateways"))
        session.execute(
            text("INSERT INTO gateways VALUES ('g', '127.0.0.1:1', 0, :now, :now, '{}')"), {"now": last / 1000}
        )


if __name__ == "__main__":
    main()
