"""Time how commands begin: python -m benchmarks.startup [ROUNDS]."""

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.startup.commands import APP, FirstCall, Taken, bare, eval_run, ours, prepare, rollback

ROUNDS = 9
_BARE = "python -c pass"


def main(rounds: int) -> None:
    """Run every command in turn, so often, and print medians and their ratios to a bare Python."""
    provider = FirstCall()
    cases: dict[str, Callable[[Path], Taken]] = {
        _BARE: bare,
        "softlaunch --help": ours("--help"),
        "release list": ours("release", "list"),
        "release status": ours("release", "status", APP),
        "rollback, to its effect": rollback,
        "eval run, to its first call": eval_run(provider),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, provider.endpoint)
        taken: dict[str, list[Taken]] = {case: [] for case in cases}
        for number in range(rounds + 1):
            for case, run in cases.items():
                one = run(folder)
                if number:  # the first round fills caches
                    taken[case].append(one)
    print("| | clock, ms | x bare | processor, ms | x bare | peak, MB |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    least = _medians(taken[_BARE])
    for case, runs in taken.items():
        clock, cpu, peak = _medians(runs)
        print(f"| {case} | {clock:.0f} | {clock / least[0]:.0f} | {cpu:.0f} | {cpu / least[1]:.0f} | {peak:.0f} |")


def _medians(runs: list[Taken]) -> tuple[float, float, float]:
    return (
        statistics.median(one.clock_ms for one in runs),
        statistics.median(one.cpu_ms for one in runs),
        statistics.median(one.peak_mb for one in runs),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
