"""Time what the client costs: python -m benchmarks.client [ROUNDS]."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from softlaunch.client.app import App
from softlaunch.client.call import Call
from softlaunch.client.exporting import Exporter
from softlaunch.client.known import KnownApp
from softlaunch.client.lease import CLOCKS

ROUNDS = 9
_TIMES = 50_000
_MEASURE = """
import time
began = time.process_time()
{statement}
cpu_ms = (time.process_time() - began) * 1000
peak_kb = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(cpu_ms, peak_kb / 1024)
"""
_STATEMENTS = {
    "python -c pass": "pass",
    "import softlaunch.client": "import softlaunch.client",
    "the same, and a client with a variant": (
        "from softlaunch.client import Client, Options\n"
        "client = Client('http://127.0.0.1:9', options=Options(folder=None))\n"
        "app = client.app('support-bot', default={'model': {'model': 'm'}})\n"
        "app.variant(user='ann').model"
    ),
    "import openai": "import openai",
    "import openai, softlaunch.client.openai": "import openai, softlaunch.client.openai",
}


class _Nowhere:
    """The client that an app belongs to, whose records go nowhere."""

    url = "http://127.0.0.1:9"
    key = b"key"
    exporter: Exporter | None = None

    def awake(self) -> None:
        """There are no forks."""

    def take(self, call: Call, record: dict[str, Any]) -> None:
        """A call is over."""


def main(rounds: int) -> None:
    """Measure everything in turn, so often, and print medians."""
    app = _app(5.0)
    users = [f"user-{number}" for number in range(_TIMES)]
    cases: dict[str, Callable[[], None]] = {
        "a variant, without a release": _evaluate(_app(0.0), users),
        "a variant, in a release at 5 %": _evaluate(app, users),
        "a call, from its variant to its record": _call(app, users),
    }
    taken: dict[str, list[float]] = {case: [] for case in cases}
    started: dict[str, list[tuple[float, float, float]]] = {case: [] for case in _STATEMENTS}
    for number in range(rounds + 1):
        for case, run in cases.items():
            began = time.thread_time()
            run()
            if number:  # the first round fills caches
                taken[case].append((time.thread_time() - began) / _TIMES * 1e6)
        for case, statement in _STATEMENTS.items():
            one = _start(statement)
            if number:
                started[case].append(one)
    print("| | us | per second |\n| --- | ---: | ---: |")
    for case, times in taken.items():
        print(f"| {case} | {statistics.median(times):.2f} | {1e6 / statistics.median(times):,.0f} |")
    print("\n| | clock, ms | processor, ms | peak, MB |\n| --- | ---: | ---: | ---: |")
    for case, runs in started.items():
        clock, cpu, peak = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"| {case} | {clock:.0f} | {cpu:.0f} | {peak:.1f} |")


def _app(weight_percent: float) -> App:
    """An app as a server has described it, with a candidate that is watched."""
    variant = {"label": "stable", "digest": "0" * 64, "content": {"model": {"model": "steady"}}}
    candidate = {**variant, "label": "candidate"} if weight_percent else None
    document = {
        "revision": 1,
        "salt": "pepper",
        "release_id": "support-bot-1" if candidate else None,
        "weight_percent": weight_percent,
        "lease_seconds": 1e6,
        "lease_left_seconds": 1e6,
        "unit": {"source": "user"},
        "stable": variant,
        "candidate": candidate,
    }
    known = KnownApp("support-bot")
    known.take(document, "ledger", CLOCKS.now())
    return App(_Nowhere(), known)


def _evaluate(app: App, users: list[str]) -> Callable[[], None]:
    def run() -> None:
        for user in users:
            app.variant(user=user)

    return run


def _call(app: App, users: list[str]) -> Callable[[], None]:
    def run() -> None:
        for user in users:
            with app.variant(user=user).call() as call:
                call.answered({"prompt_tokens": 12, "completion_tokens": 3}, "stop")

    return run


def _start(statement: str) -> tuple[float, float, float]:
    """Clock and processor's time in milliseconds, and the peak of memory, of a process that does nothing else."""
    began = time.perf_counter()
    command = [sys.executable, "-c", _MEASURE.format(statement=statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cpu, peak = map(float, done.stdout.split())
    return (time.perf_counter() - began) * 1000, cpu, peak


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
