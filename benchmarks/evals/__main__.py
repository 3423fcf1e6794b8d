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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.evals.endpoint import LATENCY_SECONDS
from benchmarks.evals.peers import Job, Runner, runners

_ROOT = Path(__file__).parents[2]


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
    chosen = [one for one in runners(options.environments) if not options.only or one.name in options.only]
    for runner in chosen:
        runner.install()
    found: list[Run] = []
    with _endpoint() as port:
        _warm_up(chosen, port)
        for number in range(options.rounds):
            for cases in options.cases:
                for concurrency in options.concurrency:
                    for runner in chosen:
                        if number and runner.framework:
                            continue  # a framework's run takes long, and one is enough for a ratio of five and more
                        found.append(_run(runner, port, cases, concurrency, options.limit))
                        print(found[-1], file=sys.stderr, flush=True)
    print(table(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Eval runners side by side, against an endpoint of 50 ms.")
    parser.add_argument("--cases", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--concurrency", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=3, help="of ours and of the bare loop")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds after which a run is stopped")
    parser.add_argument("--only", nargs="+", help="runners by name")
    parser.add_argument("--environments", type=Path, default=_ROOT / ".softlaunch" / "benchmarks" / "evals")
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


def _warm_up(chosen: Sequence[Runner], port: int) -> None:
    """A few cases by everybody, so that nobody is measured while it compiles its own source."""
    for runner in chosen:
        done = _run(runner, port, 8, 4, 180.0)
        if done.error:
            print(f"{runner.name} doesn't work here: {done.error}", file=sys.stderr)


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


def table(found: Sequence[Run]) -> str:
    """Medians as a Markdown table. The limit is cases x latency / concurrency."""
    lines = [
        "| cases | at once | runner | wall s | of the limit | times ours | CPU s | MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cases, concurrency in dict.fromkeys((one.cases, one.concurrency) for one in found):
        here = [one for one in found if (one.cases, one.concurrency) == (cases, concurrency)]
        ours = median(one.wall for one in here if one.runner == here[0].runner)
        lines += [_line(name, here, ours) for name in dict.fromkeys(one.runner for one in here)]
    return "\n".join(lines)


def _line(name: str, here: Sequence[Run], ours: float) -> str:
    own = [one for one in here if one.runner == name]
    first = own[0]
    wall, cpu, memory = (median(getattr(one, what) for one in own) for what in ("wall", "cpu", "megabytes"))
    ideal = first.cases * LATENCY_SECONDS / first.concurrency
    calls = [one.within for one in own if one.within is not None]
    share = f"{ideal / median(calls):.0%} (calls only), {ideal / wall:.0%}" if calls else f"{ideal / wall:.0%}"
    shown = f"{wall:.2f}"
    if any(one.error for one in own):
        shown, share = f"> {wall:.0f} ({first.requests:,} requests made)", "-"
    cells = [f"{first.cases:,}", str(first.concurrency), name, shown, share, f"{wall / ours:.1f}", f"{cpu:.1f}"]
    return "| " + " | ".join([*cells, f"{memory:.0f}"]) + " |"


if __name__ == "__main__":
    main()
