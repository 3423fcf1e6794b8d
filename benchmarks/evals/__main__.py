"""Eval runners side by side: `python -m benchmarks.evals`."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.evals.endpoint import LATENCY_SECONDS
from benchmarks.evals.peers import Job, Runner, runners

_ROOT = Path(__file__).parents[2]
_HANDFUL = 8
_START_UPS = 3


@dataclass(frozen=True, slots=True)
class Run:
    """One job done by one runner: wall and processor seconds of the whole process, its memory, its requests."""

    runner: str
    cases: int
    concurrency: int
    wall: float
    cpu: float
    megabytes: float
    requests: int
    within: float | None
    error: str = ""


def main() -> None:
    """Run every job by every runner in turn, round after round, and print the medians."""
    options = _options()
    if options.statistics:
        from benchmarks.evals import early_stop_tables  # here: who measures runners waits for no statistics

        early_stop_tables.main(options.seed, options.processes, options.scale)
        return
    chosen = [one for one in runners(options.environments) if not options.only or one.name in options.only]
    for runner in chosen:
        runner.install()
    found: list[Run] = []
    with _endpoint() as port:
        start_up = _start_up(chosen, port)
        for number in range(options.rounds):
            for cases in options.cases:
                for concurrency in options.concurrency:
                    for runner in chosen:
                        if number and runner.framework:
                            continue  # a framework's run takes long, and one is enough for a ratio of five and more
                        found.append(_run(runner, port, cases, concurrency, options.limit))
                        print(found[-1], file=sys.stderr, flush=True)
    print(table(found, start_up))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Eval runners side by side, against an endpoint of 50 ms.")
    parser.add_argument("--cases", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--concurrency", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=3, help="of ours and of the bare loop")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds after which a run is stopped")
    parser.add_argument("--only", nargs="+", help="runners by name")
    parser.add_argument("--environments", type=Path, default=_ROOT / ".softlaunch" / "benchmarks" / "evals")
    parser.add_argument("--statistics", action="store_true", help="simulate evals that stop early; no runner is run")
    parser.add_argument("--seed", type=int, default=17, help="of the simulations")
    parser.add_argument("--processes", type=int, default=2, help="of the simulations")
    parser.add_argument("--scale", type=float, default=1.0, help="times the number of simulated evals")
    return parser.parse_args()


@contextmanager
def _endpoint() -> Iterator[int]:
    program = [sys.executable, str(Path(__file__).with_name("endpoint.py"))]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _start_up(chosen: Sequence[Runner], port: int) -> Mapping[str, float]:
    """Seconds that everybody takes for a handful of cases, asked all at once, when it has run before.

    The first time, for nobody to be measured while it compiles its own source, is thrown away.
    """
    seconds: dict[str, list[float]] = {runner.name: [] for runner in chosen}
    for _ in range(1 + _START_UPS):
        for runner in chosen:
            done = _run(runner, port, _HANDFUL, _HANDFUL, 180.0)
            seconds[runner.name].append(done.wall)
            if done.error:
                print(f"{runner.name} doesn't work here: {done.error}", file=sys.stderr)
    return {name: median(found[1:]) - LATENCY_SECONDS for name, found in seconds.items()}


def _run(runner: Runner, port: int, cases: int, concurrency: int, limit: float) -> Run:
    _counted(port)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        job = Job(port, cases, concurrency, Path(folder))
        command = runner.command(job)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        started = time.perf_counter()
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                command,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={
                    **environment,
                    **runner.environment(job),
                    **({} if runner.framework else {"PYTHONPATH": str(_ROOT)}),
                },
                cwd=folder,
                start_new_session=True,
            )
            status, usage, stopped = _wait(process, started + limit)
            wall = time.perf_counter() - started
            said.seek(0)
            text = said.read()
    requests = _counted(port)
    error = f"stopped after {limit:g} s" if stopped else "" if status == 0 else text[-2000:]
    if not error and requests < cases:
        error = f"only {requests} requests were made: {text[-500:]}"
    within = float(text.split()[-1]) if runner.name == "softlaunch" and not error else None
    cpu = usage.ru_utime + usage.ru_stime
    return Run(runner.name, cases, concurrency, wall, cpu, usage.ru_maxrss / 1024, requests, within, error)


def _wait(process: subprocess.Popen[bytes], until: float):
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage, False
        if time.perf_counter() > until:
            os.killpg(process.pid, signal.SIGKILL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage, True
        time.sleep(0.005)


def _counted(port: int) -> int:
    """Requests since the last time that somebody asked."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=10) as answer:
        return int(json.loads(answer.read())["requests"])


def table(found: Sequence[Run], start_up: Mapping[str, float]) -> str:
    """Medians as a Markdown table. The limit is cases x latency / concurrency."""
    heads = "cases", "at once", "runner", "wall s", "of the limit", "times ours"
    heads += "without start-up s", "times ours", "CPU s", "MB"
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for cases, concurrency in dict.fromkeys((one.cases, one.concurrency) for one in found):
        here = [one for one in found if (one.cases, one.concurrency) == (cases, concurrency)]
        ours = median(one.wall for one in here if one.runner == here[0].runner)
        own_start = start_up[here[0].runner]
        lines += [
            _line([one for one in here if one.runner == name], start_up[name], ours, ours - own_start)
            for name in dict.fromkeys(one.runner for one in here)
        ]
    return "\n".join(lines)


def _line(own: Sequence[Run], start_up: float, ours: float, ours_running: float) -> str:
    first = own[0]
    wall, cpu, memory = (median(getattr(one, what) for one in own) for what in ("wall", "cpu", "megabytes"))
    ideal = first.cases * LATENCY_SECONDS / first.concurrency
    calls = [one.within for one in own if one.within is not None]
    share = f"{ideal / median(calls):.0%} (calls only), {ideal / wall:.0%}" if calls else f"{ideal / wall:.0%}"
    running = wall - start_up
    more = "> " if any(one.error for one in own) else ""
    if more:
        share = f"stopped, {first.requests:,} requests made"
    times, times_running = f"{more}{wall / ours:.1f}", f"{more}{running / ours_running:.1f}"
    cells = [f"{first.cases:,}", str(first.concurrency), first.runner, f"{more}{wall:.2f}", share, times]
    return "| " + " | ".join([*cells, f"{more}{running:.2f}", times_running, f"{cpu:.1f}", f"{memory:.0f}"]) + " |"


if __name__ == "__main__":
    main()
