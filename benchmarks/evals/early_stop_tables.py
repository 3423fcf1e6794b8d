"""What evals that stop early decide, how often they are wrong, and what they cost.

`python -m benchmarks.evals --statistics` prints it.

Every number comes from seeded simulations by the product's own functions (`simulation.py`).
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import special

from benchmarks.evals.simulation import World, run

_CASES = (100, 300, 1000)
_ALIKE = ((0.05, 0.6), (0.15, 0.3), (0.15, 0.9), (0.25, 0.6))
"""Shares of differing answers, with correlations of repeats."""
_NULL_RUNS, _RUNS = 400, 200
_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class Cell:
    """What many evals of one world decided: how often each claim was made, early and in full; the share of calls."""

    world: World
    runs: int
    worse: int
    good: int
    worse_in_full: int
    good_in_full: int
    share: float

    @property
    def loss(self) -> float:
        """Of power against the full design: of the claim that is true."""
        true, full = (self.worse, self.worse_in_full) if self.is_worse else (self.good, self.good_in_full)
        return (full - true) / self.runs

    @property
    def is_worse(self) -> bool:
        """Whether the candidate is worse by more than the margin."""
        return self.world.harm > self.world.margin


def nulls() -> list[World]:
    """Candidates exactly as bad as the margin allows: whoever says that they are within it or beyond it is wrong."""
    each = product(_CASES, _ALIKE, (False, True))
    return [World(cases, _TOLERANCE, _TOLERANCE, share, icc, graded) for cases, (share, icc), graded in each]


def effects() -> list[World]:
    """Candidates that are equal, better or worse, in all sizes."""
    differences = [(0.0, 0.02), (0.0, 0.05), (-0.02, 0.02), (0.05, 0.02), (0.10, 0.02), (0.20, 0.02)]
    each = product(differences, _CASES, ((0.1, False), (0.25, False), (0.25, True)))
    found = (World(cases, harm, margin, share, 0.6, graded) for (harm, margin), cases, (share, graded) in each)
    once = (
        World(cases, harm, margin, 0.25, 0.6, repeats=1)
        for (harm, margin), cases in product([(0.0, 0.05), (0.05, 0.02), (0.20, 0.02)], _CASES)
    )
    return [one for one in (*found, *once) if one.is_possible]


def measure(world: World, runs: int, seed: int) -> Cell:
    """So many evals of a world."""
    rng = np.random.default_rng(
        [
            seed,
            world.cases,
            world.repeats,
            *(int(1000 * abs(x)) for x in (world.harm, world.margin, world.discordance, world.icc)),
        ]
    )
    found = [run(world, rng) for _ in range(runs)]
    early, full = np.array([one.early for one in found]), np.array([one.full for one in found])
    counts = (int((claims == way).sum()) for claims in (early, full) for way in (1, -1))
    return Cell(world, runs, *counts, float(np.mean([one.share for one in found])))


def main(seed: int, processes: int, scale: float) -> None:
    """Measure every cell, and print two tables as Markdown."""
    with ProcessPoolExecutor(processes) as pool:
        wrong = [pool.submit(measure, world, max(20, round(_NULL_RUNS * scale)), seed) for world in nulls()]
        right = [pool.submit(measure, world, max(20, round(_RUNS * scale)), seed) for world in effects()]
        print("\n".join(errors_table([one.result() for one in wrong])))
        print()
        print("\n".join(power_table([one.result() for one in right])))


def errors_table(cells: Sequence[Cell]) -> Iterator[str]:
    """How often each claim is wrong where the truth is at the margin, with 95 % bounds over all worlds of a row."""
    yield "| cases | answers | worlds | said to be worse | said to be good enough | most in one world |"
    yield "|---|---|---|---|---|---|"
    for cases, graded in product(_CASES, (False, True)):
        own = [one for one in cells if (one.world.cases, one.world.graded) == (cases, graded)]
        runs = sum(one.runs for one in own)
        shown = [_share(sum(getattr(one, claim) for one in own), runs) for claim in ("worse", "good")]
        most = max(max(one.worse, one.good) / one.runs for one in own)
        kind = "graded" if graded else "right or wrong"
        yield f"| {cases:,} | {kind} | {len(own)} x {own[0].runs:,} | {' | '.join(shown)} | {most:.1%} |"


def power_table(cells: Sequence[Cell]) -> Iterator[str]:
    """How often the true claim is made, early and in full, and which share of the calls that takes."""
    heads = "difference, tolerance", "cases", "repeats", "answers", "differing", "decided rightly", "in full"
    yield f"| {' | '.join(heads)} | lost | of the calls |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in cells:
        world = one.world
        early, full = (one.worse, one.worse_in_full) if one.is_worse else (one.good, one.good_in_full)
        kind = "graded" if world.graded else "right or wrong"
        yield (
            f"| {-100 * world.harm + 0.0:+g}, {100 * world.margin:g} | {world.cases:,} | {world.repeats} | {kind} | "
            f"{world.discordance:.0%} | {early / one.runs:.0%} | {full / one.runs:.0%} | {100 * one.loss:+.1f} | "
            f"{one.share:.0%} |"
        )


def _share(count: int, runs: int) -> str:
    """A share with its exact 95 % bounds (Clopper and Pearson 1934)."""
    low = float(special.betaincinv(count, runs - count + 1, 0.025)) if count else 0.0
    high = float(special.betaincinv(count + 1, runs - count, 0.975)) if count < runs else 1.0
    return f"{count / runs:.1%} [{low:.1%}, {high:.1%}]"
