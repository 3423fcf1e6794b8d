"""`python -m benchmarks.gates`: releases under several judges on the same simulated traffic."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.gates.contest import JUDGES, Tuning, contest, tasks
from benchmarks.gates.model import SCENARIOS
from benchmarks.gates.report import Summary, as_json, beside, from_json, summaries, tables

_TUNING_RELEASES = 300
_QUICK_RUNS = 3


def main() -> None:
    """Simulate, and print the tables."""
    arguments = _arguments()
    judges = _chosen(arguments.judges, JUDGES, "judge")
    names = _chosen(arguments.scenarios, [scenario.name for scenario in SCENARIOS], "scenario")
    runs = _QUICK_RUNS if arguments.quick else arguments.runs
    started = time.monotonic()
    tuning = Tuning.of(arguments.seed, _TUNING_RELEASES // 10 if arguments.quick else _TUNING_RELEASES)
    chosen = [scenario for scenario in SCENARIOS if scenario.name in names]
    work = list(tasks(chosen, judges, runs, arguments.seed, tuning))
    found = summaries(contest(work, arguments.jobs, _progress(len(work), started)))
    if arguments.beside:
        found = beside(found, _earlier(arguments.beside, arguments.seed))
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"runs": runs, "seed": arguments.seed, "results": as_json(found)}, indent=1)
        )
    print(tables(found))
    print(f"{len(work)} runs, seed {arguments.seed}, {time.monotonic() - started:.0f} s.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gates", description=__doc__)
    parser.add_argument(
        "--runs",
        type=int,
        default=100,
        help="releases a scenario; up to three times these for ours",
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{_QUICK_RUNS} releases a scenario: does it all still run"
    )
    parser.add_argument("--judges", nargs="*", default=[], metavar="NAME", help="judges whose name begins so")
    parser.add_argument("--scenarios", nargs="*", default=[], metavar="NAME", help="scenarios whose name begins so")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same figures, with any --jobs")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument(
        "--beside", type=Path, help="show the figures of such a file, of other judges, in the tables too"
    )
    return parser.parse_args()


def _earlier(path: Path, seed: int) -> dict[str, dict[str, Summary]]:
    """The figures of an earlier run on the same streams."""
    figures = json.loads(path.read_text())
    if figures["seed"] != seed:
        sys.exit(f"{path} was made with --seed {figures['seed']}, other streams than those of --seed {seed}")
    return from_json(figures["results"])


def _chosen(wanted: list[str], known: list[str] | tuple[str, ...], what: str) -> list[str]:
    """Names that begin with one of those wanted; all, where none is wanted."""
    strange = [name for name in wanted if not any(one.startswith(name) for one in known)]
    if strange:
        sys.exit(f"no {what} begins with {', '.join(map(repr, strange))}; there are: {'; '.join(known)}")
    return [one for one in known if not wanted or any(one.startswith(name) for name in wanted)]


def _progress(total: int, started: float) -> Callable[[int], None]:
    step = max(1, total // 100)

    def tell(done: int) -> None:
        if sys.stderr.isatty() and (done % step == 0 or done == total):
            print(f"\r{done}/{total} runs, {time.monotonic() - started:.0f} s", end="", file=sys.stderr)

    return tell


if __name__ == "__main__":
    main()
