"""Which tests run which lines: measured once for a state of the code, and kept."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coverage import CoverageData

from benchmarks.mutants.changes import Change
from benchmarks.mutants.tree import Tree

FOLDER = "MUTANTS_FOLDER"
"""The variable that names the folder in which a measuring run leaves its notes."""
LINES, TESTS = "lines.sqlite", "tests.json"
_LONGEST = 3 * 3600.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """The tests that a change is run against; `all_of_them` is false where they took too long together."""

    tests: tuple[str, ...]
    seconds: float
    all_of_them: bool


@dataclass(slots=True)
class Covering:
    """What was measured. `seconds` are those of each test that passed, by its id."""

    seconds: Mapping[str, float]
    data: CoverageData
    _lines: dict[str, Mapping[int, frozenset[str]]] = field(default_factory=dict)

    def choose(self, module: str, change: Change, most_seconds: float, without: frozenset[str] = frozenset()) -> Chosen:
        """The tests that run a changed line, for about so long together: first those of the module's own file.

        What runs once, at import, is left to all tests that run anything of the module.
        """
        lines = self.lines(module)
        touched = [lines.get(number, frozenset()) for number in range(change.line, change.last_line + 1)]
        running = frozenset[str]().union(*touched)
        if not running - {""}:
            running = frozenset[str]().union(*lines.values()) if "" in running else frozenset()
        return self._within(running - {""} - without, Path(module).stem, most_seconds)

    def lines(self, module: str) -> Mapping[int, frozenset[str]]:
        """The ids of the tests that run each line of a module; an empty one stands for an import."""
        if module not in self._lines:
            found = self.data.contexts_by_lineno(module)
            passed = self.seconds.keys() | {""}
            self._lines[module] = {number: frozenset(tests) & passed for number, tests in found.items()}
        return self._lines[module]

    def _within(self, running: Iterable[str], name: str, most_seconds: float) -> Chosen:
        chosen: list[str] = []
        total = 0.0
        ordered = self._ordered(running, name)
        for test in ordered:
            if chosen and total + self.seconds[test] > most_seconds:
                break
            chosen.append(test)
            total += self.seconds[test]
        return Chosen(tuple(chosen), total, len(chosen) == len(ordered))

    def _ordered(self, running: Iterable[str], name: str) -> list[str]:
        """The module's own tests first, then the quickest case of each test, then the second quickest, and so on."""
        cases: Counter[str] = Counter()
        ranked = []
        for test in sorted(running, key=lambda test: (self.seconds[test], test)):
            function = test.partition("[")[0]
            ranked.append((f"test_{name}.py" not in test, cases[function], self.seconds[test], test))
            cases[function] += 1
        return [test for *_, test in sorted(ranked)]


def measure(tree: Tree, tests: Iterable[str], folder: Path) -> Covering:
    """Run these tests once in a copied tree, or read what was kept of the same tests on the same code."""
    wanted = tuple(tests)
    kept = folder / tree.digest_with(*wanted)
    if not (kept / TESTS).exists():
        kept.mkdir(parents=True, exist_ok=True)
        tree.run(("-p", "benchmarks.mutants.contexts", *wanted), _LONGEST, {FOLDER: str(kept)})
    if not (kept / TESTS).exists():
        raise SystemExit(f"the tests could not be run: {' '.join(wanted)}")
    return read(kept)


def read(kept: Path) -> Covering:
    """What was kept in a folder."""
    noted = json.loads((kept / TESTS).read_text())
    data = CoverageData(str(kept / LINES))
    data.read()
    return Covering({test: one["seconds"] for test, one in noted.items() if one["passed"]}, data)
