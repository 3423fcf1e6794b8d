"""The order in which an eval asks its cases: drawn at random, so that what was asked so far speaks for the rest.

Segments (a case's first tag), and among them cases that flickered in earlier evals, are spread evenly: every beginning
of the order has its share of each. Flickering cases can't simply be the first ones, for then the beginning would be no
fair sample and what stops early would be decided by them alone. Where cases are asked again they do come first: each
case counts once by then, and theirs is where another answer says most.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from softlaunch.evals.sequential.spending import LOOKS
from softlaunch.evals.suites.case import Case


@dataclass(frozen=True, slots=True)
class Pair:
    """One case asked of both arms, for the how-manieth time, from 0."""

    case_id: str
    repeat: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """The pairs of the first repeats in the order in which they are asked, and after how many of them are looks."""

    cases: tuple[str, ...]
    pairs: tuple[Pair, ...]
    looks: tuple[int, ...]
    repeats: int


def schedule(cases: Sequence[Case], repeats: int, seed: str, flickering: Set[str]) -> Schedule:
    """The same for the same seed and history, in any process."""
    drawn = tuple(_drawn(cases, random.Random(seed), flickering))
    again = tuple(sorted(drawn, key=lambda case_id: case_id not in flickering))
    pairs = tuple(Pair(case_id, repeat) for repeat in range(repeats) for case_id in (again if repeat else drawn))
    looks = tuple(max(1, round(len(pairs) * look / LOOKS)) for look in range(1, LOOKS + 1))
    return Schedule(drawn, pairs, looks, repeats)


def _drawn(cases: Sequence[Case], rng: random.Random, flickering: Set[str]) -> Iterator[str]:
    """Each stratum is shuffled and spread evenly from a random beginning."""
    strata: dict[tuple[tuple[str, ...], bool], list[str]] = defaultdict(list)
    for case in sorted(cases, key=lambda one: one.id):
        strata[case.tags[:1], case.id in flickering].append(case.id)
    places: list[tuple[float, str]] = []
    for _, held in sorted(strata.items()):
        rng.shuffle(held)
        start = rng.random()
        places.extend(((number + start) / len(held), case_id) for number, case_id in enumerate(held))
    return (case_id for _, case_id in sorted(places))
