"""The command line: draw changes, run each against the tests that run its line, and print what nobody noticed."""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.mutants.changes import Change, changes_of, makes_a_difference
from benchmarks.mutants.covering import Chosen, Covering, measure
from benchmarks.mutants.tree import Outcome, Tree, copied_tree

REPOSITORY = Path(__file__).parents[2]
KEPT = REPOSITORY / ".softlaunch" / "benchmarks" / "mutants"
_START_SECONDS = 60.0
_TIMES_AS_LONG = 5.0
_SECOND_LOOK = 4.0
"""How many times as long what has survived may be looked at again."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A change of a module and what became of it; `partly` where not every test that runs the line was run."""

    module: str
    change: Change
    outcome: Outcome
    partly: bool = False

    @property
    def sentence(self) -> str:
        """File, line, what became of it, and the change."""
        star = "*" if self.partly else ""
        where = f"{self.module}:{self.change.line}"
        return f"{where}  {self.outcome}{star} ({self.change.kind}): {self.change.shown}"


def draw(sources: Mapping[str, str], seed: int) -> Iterator[tuple[str, Change]]:
    """Changes in a random order that the seed decides: each line at most once, and each as likely as any other."""
    rng = random.Random(seed)
    lines: dict[tuple[str, int], list[Change]] = {}
    for module in sorted(sources):
        for change in changes_of(sources[module]):
            lines.setdefault((module, change.line), []).append(change)
    places = list(lines)
    rng.shuffle(places)
    for module, line in places:
        change = rng.choice(lines[module, line])
        if makes_a_difference(change, sources[module]):
            yield module, change


def try_one(tree: Tree, covering: Covering, module: str, change: Change, most_seconds: float) -> Tried:
    """Run one change against the tests that run its line; what survives some of them meets more of the others."""
    chosen = covering.choose(module, change, most_seconds)
    if not chosen.tests:
        return Tried(module, change, Outcome.UNTESTED)
    outcome = _run(tree, module, change, chosen)
    if outcome is Outcome.SURVIVED and not chosen.all_of_them:
        chosen = covering.choose(module, change, _SECOND_LOOK * most_seconds, frozenset(chosen.tests))
        outcome = _run(tree, module, change, chosen)
    return Tried(module, change, outcome, partly=not chosen.all_of_them and outcome.is_hole)


def _run(tree: Tree, module: str, change: Change, chosen: Chosen) -> Outcome:
    return tree.try_out(module, change, chosen.tests, _START_SECONDS + _TIMES_AS_LONG * chosen.seconds)


def read_sources(root: Path, modules: Sequence[str]) -> dict[str, str]:
    """The sources of modules and of all modules in folders, by their path."""
    found = []
    for name in modules:
        path = root / name
        if not path.exists():
            raise SystemExit(f"{name} is neither a module nor a folder of the repository")
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return {path.relative_to(root).as_posix(): path.read_text() for path in found}


def summary_of(tried: Sequence[Tried]) -> str:
    """How many changes were noticed, and what became of the others."""
    counts = Counter(one.outcome for one in tried)
    noticed = counts[Outcome.NOTICED] + counts[Outcome.TIMED_OUT]
    rest = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if outcome is not Outcome.NOTICED)
    share = f" ({100 * noticed / len(tried):.0f} %)" if tried else ""
    return f"{len(tried)} changes: {noticed} noticed{share}; {rest}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, draw, try, print; `--json` keeps everything that was tried."""
    given = _parse(arguments)
    with copied_tree(REPOSITORY) as tree:
        sources = read_sources(tree.root, given.modules)
        print(f"seed {given.seed}, {len(sources)} modules; measuring which tests run which lines", flush=True)
        covering = measure(tree, given.tests, KEPT)
        print(f"{len(covering.seconds)} tests pass here; trying {given.count} changes", flush=True)
        tried: list[Tried] = []
        end = time.monotonic() + given.seconds
        for module, change in draw(sources, given.seed):
            if len(tried) >= given.count or time.monotonic() > end:
                break
            tried.append(try_one(tree, covering, module, change, given.test_seconds))
            if tried[-1].outcome.is_hole or tried[-1].outcome is Outcome.UNKNOWN:
                print(tried[-1].sentence, flush=True)
    print(summary_of(tried))
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in tried], indent=1))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides which changes are drawn")
    parser.add_argument("--count", type=int, default=50, help="how many are tried")
    parser.add_argument("--modules", nargs="+", default=["softlaunch"], help="files and folders that are changed")
    parser.add_argument("--tests", nargs="+", default=["tests"], help="what is run, as for pytest")
    parser.add_argument("--test-seconds", type=float, default=60.0, help="how much of the tests is run for a change")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further change after so long")
    parser.add_argument("--json", type=Path, help="keep everything that was tried in this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
