"""`python -m benchmarks.week`: drive a stage of a week on a compressed clock, and print what it costs."""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.week.world import WEEK_SECONDS, Plan, drive_for, open_in_canary
from softlaunch.store.migrate import open_database


def main() -> None:
    """Drive, and print a line a day."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.week", description=__doc__)
    parser.add_argument("--days", type=float, default=7.0, help="how much of the week to drive")
    parser.add_argument("--step", type=float, default=60.0, help="seconds between two looks")
    parser.add_argument("--requests", type=int, default=100, help="requests that a look finds")
    parser.add_argument("--database", help="SQLAlchemy URL; a SQLite file in a temporary folder unless given")
    arguments = parser.parse_args()
    began = time.monotonic()
    print("| day | looks | memory, MB | rows in the ledger | the stage's row, kB |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(arguments.database or f"sqlite:///{Path(folder) / 'ledger.db'}")
        seconds = arguments.days / 7 * WEEK_SECONDS
        plan = Plan(seconds, arguments.step, arguments.requests, max(1, round(2 * arguments.days)))
        for one in drive_for(database, open_in_canary(database), plan):
            figures = f"{one.days:.1f} | {one.steps:,} | {one.memory_mb:.1f} | {one.rows} | {one.evidence_kb:.1f}"
            print(f"| {figures} |", flush=True)
        database.close()
    print(f"\n{time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
