"""Our runner on N cases: a golden set on disk, the calls, and every answer in a ledger on disk.

`python -m benchmarks.evals.ours PORT CASES CONCURRENCY FOLDER` prints the seconds from the first call to the last
recorded answer.
"""

import random
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter

from softlaunch.core.arms import ByArm
from softlaunch.core.variant import ModelVersion, PromptVersion, Variant
from softlaunch.evals.calls.answers import Status
from softlaunch.evals.calls.call import CallOptions
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.recorded_answers import ComparedDigests, add_answers, open_run, read_answers
from softlaunch.evals.calls.runner import plan, run_calls, run_to_end
from softlaunch.evals.suites.suite import load_suite
from softlaunch.store.migrate import open_database


def main(port: int, cases: int, concurrency: int, folder: Path) -> None:
    """Ask every case once, keep every answer, and check that all of them are there and right."""
    prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0}
    endpoint = f"http://127.0.0.1:{port}/v1"
    model = ModelVersion(name="bench", provider="test", model="bench", endpoint=endpoint, **prices)
    variant = Variant(prompt=PromptVersion(name="plain", version="1.0.0", messages=()), model=model)
    suite = load_suite(folder / "golden.jsonl")
    database = open_database(f"sqlite:///{folder / 'ledger.db'}")
    open_run(
        database,
        "bench",
        "bench",
        None,
        ComparedDigests(suite.digest, ByArm(variant.digest, variant.digest)),
        datetime.now(UTC),
    )
    calls = [call for call in plan(suite, variant, variant, range(1)) if call.key.arm == "stable"]
    started = perf_counter()
    options = CallOptions(concurrency, timeout_seconds=60.0, rng=random.Random(1))
    run_to_end(run_calls(calls, partial(add_answers, database, "bench"), options, Deadline()))
    seconds = perf_counter() - started
    with database.read() as session:
        right = sum(one.status is Status.SCORED and one.answer == "yes" for one in read_answers(session, "bench"))
    assert right == cases, f"{right} of {cases} answers are in the ledger"
    print(seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
