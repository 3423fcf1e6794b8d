"""Releases kept as lines of JSON in a file that grows, each with the code that decided it."""

import gzip
import hashlib
import json
import multiprocessing
import os
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.gates.contest import OURS, Tuning, make_judges
from benchmarks.gates.model import Scenario
from benchmarks.gates.simulate import End, Result, release
from benchmarks.gates.traffic import Traffic
from benchmarks.gates.worlds import ALL
from softlaunch import gates

_HERE = Path(__file__).parent
_SIMULATION = ("arrivals.py", "traffic.py", "simulate.py")
_MODULES = {"growthbook": "ttests.py", "repeated t": "ttests.py", "group-sequential": "ttests.py", "e-RT": "ert.py"}
_WAITING = 2  # tasks a process that are handed out before the first is done


@dataclass(frozen=True, slots=True)
class Task:
    """One release of one world under one judge."""

    world: str
    judge: str
    seed: int
    run: int
    tuning: Tuning

    @property
    def key(self) -> tuple[str, str, int, int, str]:
        """What tells a line of the file from all others."""
        return self.world, self.judge, self.seed, self.run, code(self.world, self.judge)


@cache
def worlds() -> dict[str, Scenario]:
    """All worlds, by name."""
    return {world.name: world for world in ALL}


@cache
def code(world: str, judge: str) -> str:
    """Tells apart what a release depends on: the simulation, the world and the judge."""
    files = [_HERE / name for name in _SIMULATION]
    if judge == OURS:
        files += [_HERE / "ours.py", *sorted(Path(gates.__path__[0]).glob("*.py"))]
    else:
        files.append(_HERE / _MODULES.get(judge, "thresholds.py" if "," in judge else f"{judge}.py"))
    parts = [repr(worlds()[world]).encode(), *(file.read_bytes() for file in files)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def perform(task: Task) -> dict[str, Any]:
    """A line of the file."""
    world, began = worlds()[task.world], time.process_time()
    traffic = Traffic(world, (task.seed, zlib.crc32(world.name.encode()), task.run))
    result = release(world, make_judges(task.tuning, world, traffic.history())[task.judge](), traffic)
    keys = dict(zip(("world", "judge", "seed", "run", "code"), task.key, strict=True))
    return {**keys, **asdict(result), "cpu_s": round(time.process_time() - began, 2)}


def lines(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The lines of some files, compressed or not; a last one that was cut off in the middle is left out."""
    for path in paths:
        if path.exists():
            content = path.read_bytes()
            for line in (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    print(f"{path}: a line was cut off and is left out", file=sys.stderr)


@dataclass(frozen=True, slots=True)
class Row:
    """One release, as read from the file."""

    result: Result
    cpu_seconds: float


Found = dict[tuple[str, str], list[Row]]
"""Releases of each world and judge."""


def gathered(found: Iterable[dict[str, Any]]) -> tuple[Found, set[tuple[Any, ...]], int]:
    """The releases of code in force and their keys, each once, and how many of other code there are."""
    releases: Found = {}
    keys, others = set(), 0
    for line in found:
        key = tuple(line[name] for name in ("world", "judge", "seed", "run", "code"))
        if line["world"] not in worlds() or key[-1] != code(line["world"], line["judge"]):
            others += 1
        elif key not in keys:
            keys.add(key)
            result = {name: line[name] for name in Result.__dataclass_fields__}
            row = Row(Result(**{**result, "end": End(result["end"])}), line["cpu_s"])
            releases.setdefault((line["world"], line["judge"]), []).append(row)
    return releases, keys, others


def measure(work: Sequence[Task], jobs: int, path: Path, until: float) -> int:
    """Perform tasks in processes and append each to the file as it ends; returns how many there were.

    None is begun after `until`, by the monotonic clock.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for the processes to come: one core each
    done, left, running = 0, iter(work), set[Future[dict[str, Any]]]()
    with (
        path.open("a") as file,
        ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool,
    ):
        while True:
            while len(running) < _WAITING * jobs and time.monotonic() < until:
                task = next(left, None)
                if task is None:
                    break
                running.add(pool.submit(perform, task))
            if not running:
                return done
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for one in ended:
                file.write(json.dumps(one.result()) + "\n")
                done += 1
            file.flush()
            _tell(done, len(work))


def _tell(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done}/{total}", end="", file=sys.stderr)
