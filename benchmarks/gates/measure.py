"""Releases in named worlds, as many as wanted, into a file that grows: cut it into pieces, go on later, put together.

    python -m benchmarks.gates.measure --list
    python -m benchmarks.gates.measure --worlds "5 a user" "300 users" --runs 300 --jobs 2 --results figures.jsonl
    python -m benchmarks.gates.measure --results figures.jsonl others.jsonl     # only the tables of what is there

Each line of the file is one release: its world, judge, seed and number, the code that decided it, and how it went. What
is there already isn't run again; lines of other code, or of a world that has changed, are left out.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.gates.contest import JUDGES, OURS, TUNED, Tuning
from benchmarks.gates.lines import Found, Row, Task, gathered, lines, measure, worlds
from benchmarks.gates.model import Kind, Scenario
from benchmarks.gates.report import count, interval, pair, percent, quantile, upper_bound
from benchmarks.gates.simulate import End, Result
from benchmarks.gates.worlds import ALL, WANTED, Wanted

_TUNING_RELEASES = 300
_HARMLESS = frozenset({Kind.FINE, Kind.SPARSE})


@dataclass(frozen=True, slots=True)
class Ended:
    """How the releases of one world under one judge ended; `early` ones were rolled back before there was any harm."""

    world: Scenario
    runs: int
    caught: Sequence[Result]
    early: int
    promoted: Sequence[Result]
    undecided: int

    @classmethod
    def of(cls, world: Scenario, results: Sequence[Result]) -> Self:
        """Sort results, at least one. Whatever is rolled back of a fine candidate is early."""
        back = [one for one in results if one.end is End.ROLLED_BACK]
        caught = [one for one in back if one.harmed is not None] if world.kind not in _HARMLESS else []
        promoted = [one for one in results if one.end is End.PROMOTED]
        undecided = sum(one.end is End.UNDECIDED for one in results)
        return cls(world, len(results), caught, len(back) - len(caught), promoted, undecided)

    @property
    def before_full(self) -> list[int]:
        """Candidate requests of the promoted until 100 %."""
        return [one.before_full for one in self.promoted if one.before_full is not None]

    @property
    def requests(self) -> list[int]:
        """Candidate requests of the caught, from the beginning of the harm."""
        return [one.harmed for one in self.caught if one.harmed is not None]

    @property
    def units(self) -> list[int]:
        """The same in units."""
        return [one.harmed_units for one in self.caught if one.harmed_units is not None]

    @property
    def seconds(self) -> list[float]:
        """The same in seconds."""
        return [one.harmed_seconds for one in self.caught if one.harmed_seconds is not None]


def tables(found: Found) -> str:
    """Markdown: a row for each world and judge; then what was wanted of ours."""
    header = [
        f"| {' | '.join(_COLUMNS)} |",
        f"|---|---|{'---:|' * (len(_COLUMNS) - 4)}---|---:|",
    ]
    order = [(world.name, judge) for world in ALL for judge in JUDGES if (world.name, judge) in found]
    ended = [(judge, found[name, judge], _ended(found[name, judge], name)) for name, judge in order]
    rows = [_row(judge, kept, one) for judge, kept, one in ended]
    wanted = [line for judge, _, one in ended if judge == OURS for line in (*_rates(one), *_medians(one))]
    targets = ["", "| wanted of ours | measured | met |", "|---|---:|---|", *wanted] if wanted else []
    return "\n".join([*header, *rows, *targets])


def _ended(kept: Sequence[Row], world: str) -> Ended:
    return Ended.of(worlds()[world], [row.result for row in kept])


_COLUMNS = (
    "world",
    "judge",
    "runs",
    "caught",
    "rolled back without harm",
    "promoted",
    "undecided",
    "requests",
    "units",
    "seconds",
    "until 100 %",
    "gates",
    "CPU s",
)


def _row(judge: str, kept: Sequence[Row], ended: Ended) -> str:
    by = Counter(row.result.blamed for row in kept if row.result.end is End.ROLLED_BACK)
    harmless = ended.world.kind in _HARMLESS
    cells = [
        ended.world.name,
        judge,
        f"{ended.runs}",
        "" if harmless else interval(len(ended.caught), ended.runs),
        interval(ended.early, ended.runs) if harmless or ended.early else "",
        interval(len(ended.promoted), ended.runs),
        f"{ended.undecided or ''}",
        *(_spread(values) for values in (ended.requests, ended.units, ended.seconds, ended.before_full)),
        ", ".join(f"{gate} {times}" for gate, times in by.most_common()),
        f"{sum(row.cpu_seconds for row in kept) / ended.runs:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _spread(values: Sequence[float]) -> str:
    return pair(quantile(values, 0.5), quantile(values, 0.95))


def _rates(ended: Ended) -> Iterator[str]:
    """What was wanted of shares of the releases, and what came."""
    world, wanted, runs = ended.world, WANTED.get(ended.world.name, Wanted()), ended.runs
    if world.kind in _HARMLESS:
        bound = upper_bound(ended.early, runs)
        yield _line(
            world, "rolled back in at most 1 % (95 % bound)", f"{percent(bound)} ({ended.early}/{runs})", bound <= 0.01
        )
    promoted, caught = len(ended.promoted) / runs, len(ended.caught) / runs
    most = 0.05 if world.kind is Kind.MARGIN else wanted.promoted_most
    if most is not None:
        yield _line(world, f"promoted in at most {percent(most)}", percent(promoted), promoted <= most)
    for what, least, part in (("promoted", wanted.promoted_least, promoted), ("caught", wanted.caught_least, caught)):
        if least is not None:
            yield _line(world, f"{what} in at least {percent(least)}", percent(part), part >= least)


def _medians(ended: Ended) -> Iterator[str]:
    """What was wanted of medians, and what came."""
    wanted = WANTED.get(ended.world.name, Wanted())
    medians = (
        ("candidate requests until rollback", wanted.requests_most, ended.requests),
        ("seconds until rollback", wanted.seconds_most, ended.seconds),
        ("candidate requests until 100 %", wanted.before_full_most, ended.before_full),
    )
    for what, most, values in medians:
        median = quantile(values, 0.5)
        if most is not None:
            met = median is not None and median <= most
            yield _line(ended.world, f"at most {count(most)} {what} (median)", count(median), met)


def _line(world: Scenario, wanted: str, measured: str, met: bool) -> str:  # noqa: FBT001
    return f"| {world.name}: {wanted} | {measured} | {'yes' if met else 'no'} |"


def chosen(wanted: Sequence[str], known: Iterable[str], what: str) -> list[str]:
    """The names wanted; where one isn't a name, those that begin so."""
    names = list(known)
    found = {one: [one] if one in names else [name for name in names if name.startswith(one)] for one in wanted}
    strange = [one for one, named in found.items() if not named]
    if strange:
        sys.exit(f"no {what} begins with {', '.join(map(repr, strange))}; there are: {'; '.join(names)}")
    chosen = {name for named in found.values() for name in named}
    return [name for name in names if name in chosen]


def _tasks(arguments: argparse.Namespace) -> list[Task]:
    """What is asked for: the first run of every world and judge, then the second of each, and so on."""
    named = chosen(arguments.worlds, worlds(), "world")
    judges = chosen(arguments.judges, JUDGES, "judge")
    releases = _TUNING_RELEASES if TUNED & set(judges) else 1
    tuning = Tuning.of(arguments.seed, releases)
    runs = range(arguments.first, arguments.first + arguments.runs)
    return [Task(world, judge, arguments.seed, run, tuning) for run in runs for world in named for judge in judges]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gates.measure",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--worlds", nargs="*", default=[], metavar="NAME", help='names, or how they begin; "": all')
    parser.add_argument("--judges", nargs="*", default=[OURS], metavar="NAME", help=f"the same; left out: {OURS}")
    parser.add_argument("--runs", type=int, default=0, help="releases a world and judge")
    parser.add_argument("--first", type=int, default=0, help="the number of the first one")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same figures, with any --jobs")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no release after so many")
    parser.add_argument("--results", nargs="+", type=Path, default=[], metavar="FILE", help="the first is added to")
    return parser.parse_args()


def main() -> None:
    """Run what isn't there yet, and print the tables."""
    arguments = _arguments()
    if arguments.list:
        print("\n".join(f"{world.name}{f': {world.about}' if world.about else ''}" for world in ALL))
        return
    if not arguments.results:
        sys.exit("--results names the file that the releases are kept in; --list tells what there is")
    _, there, _ = gathered(lines(arguments.results))
    work = [task for task in _tasks(arguments) if task.key not in there] if arguments.runs else []
    if work:
        began = time.monotonic()
        done = measure(work, arguments.jobs, arguments.results[0], began + 60 * arguments.minutes)
        print(f"{done} of {len(work)} releases in {time.monotonic() - began:.0f} s\n", file=sys.stderr)
    found, _, others = gathered(lines(arguments.results))
    if others:
        print(f"{others} releases of other code are left out\n", file=sys.stderr)
    print(tables(found))


if __name__ == "__main__":
    main()
