"""inspect-ai on N cases, in an environment of its own.

`python inspect_run.py PORT CASES CONCURRENCY FOLDER`
"""

import os
import sys

PORT, CASES, CONCURRENCY = map(int, sys.argv[1:4])
os.environ |= {"BENCH_API_KEY": "unused", "BENCH_BASE_URL": f"http://127.0.0.1:{PORT}/v1"}

from inspect_ai import Task, eval  # noqa: A004, E402
from inspect_ai.dataset import MemoryDataset, Sample  # noqa: E402
from inspect_ai.scorer import exact  # noqa: E402
from inspect_ai.solver import generate  # noqa: E402

task = Task(
    dataset=MemoryDataset([Sample(input=f"Question {n}?", target="yes") for n in range(CASES)]),
    solver=generate(),
    scorer=exact(),
)
(log,) = eval(
    task,
    model="openai-api/bench/bench",
    max_connections=CONCURRENCY,
    max_samples=CONCURRENCY,
    display="none",
    log_dir=sys.argv[4],
)
assert log.status == "success", log.error
assert next(iter(log.results.scores[0].metrics.values())).value == 1.0
