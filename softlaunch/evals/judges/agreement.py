"""How far a judge agrees with people: raw agreement, Cohen's kappa, position bias, each with an interval."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import fmean

from scipy import special

UNREADABLE = "unreadable"
"""The category of verdicts that can't be read: people never choose it, so every one of them is a disagreement."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with a two-sided interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """A judge against people on the same items.

    `table` counts items by people's and the judge's category. `kappa` is None where chance alone already gives full
    agreement, because everything is of one category: then nothing is known.
    """

    items: int
    unreadable: int
    agreement: Estimate
    kappa: Estimate | None
    table: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class PositionBias:
    """How much more often the judge picks the first answer than people do on the same pairs, in [-1, 1].

    `first` and `second` count the judge's picks. Where pairs were asked in both orders, `consistent` is the share of
    them whose verdicts name the same answer.
    """

    bias: Estimate
    first: int
    second: int
    consistent: Estimate | None = None


def majority(votes: Sequence[str], tie: str | None) -> str | None:
    """What more people chose than anything else; else `tie`, and None where a tie is no category."""
    ranked = Counter(votes).most_common(2)
    if not ranked:
        return None
    return ranked[0][0] if len(ranked) == 1 or ranked[0][1] > ranked[1][1] else tie


def agreement_of(pairs: Sequence[tuple[str, str | None]], confidence: float = 0.95) -> Agreement:
    """Compare people's categories with the judge's (None: unreadable), one pair an item; at least one."""
    votes = [(people, judge or UNREADABLE) for people, judge in pairs]
    table = Counter(votes)
    agreed = sum(people == judge for people, judge in votes)
    return Agreement(
        items=len(votes),
        unreadable=sum(judge == UNREADABLE for _, judge in votes),
        agreement=share(agreed, len(votes), confidence),
        kappa=cohens_kappa(table, confidence),
        table=table,
    )


def cohens_kappa(table: Mapping[tuple[str, str], int], confidence: float = 0.95) -> Estimate | None:
    """Agreement beyond chance, (po - pe) / (1 - pe) (Cohen 1960, Educ. Psychol. Meas. 20:37, equation 1).

    The interval takes the large-sample variance of Fleiss, Cohen & Everitt (1969, Psychol. Bull. 72:323, equation 13).
    """
    n = sum(table.values())
    cells = {cell: count / n for cell, count in table.items()}
    categories = {category for cell in cells for category in cell}
    rows = {one: sum(share for (row, _), share in cells.items() if row == one) for one in categories}
    columns = {one: sum(share for (_, column), share in cells.items() if column == one) for one in categories}
    observed = sum(cells.get((one, one), 0.0) for one in categories)
    chance = sum(rows[one] * columns[one] for one in categories)
    if chance >= 1:
        return None
    on = sum(
        cells.get((one, one), 0.0) * ((1 - chance) - (rows[one] + columns[one]) * (1 - observed)) ** 2
        for one in categories
    )
    off = sum(share * (columns[row] + rows[column]) ** 2 for (row, column), share in cells.items() if row != column)
    variance = on + (1 - observed) ** 2 * off - (observed * chance - 2 * chance + observed) ** 2
    error = sqrt(max(variance, 0.0) / n) / (1 - chance) ** 2
    kappa = (observed - chance) / (1 - chance)
    reach = _z(confidence) * error
    return Estimate(kappa, max(-1.0, kappa - reach), min(1.0, kappa + reach))


def among_people(votes: Iterable[Sequence[str]]) -> float | None:
    """Mean kappa over pairs of people who voted on the same items: what a judge can hope for; None for one person."""
    rows = [row for row in votes if len(row) > 1]
    width = min((len(row) for row in rows), default=0)
    found = [
        cohens_kappa(Counter((row[one], row[other]) for row in rows)) for one, other in combinations(range(width), 2)
    ]
    known = [kappa.value for kappa in found if kappa is not None]
    return fmean(known) if known else None


def position_bias(
    picks: Sequence[tuple[str, str | None]],
    first: str,
    second: str,
    orders: Sequence[tuple[str | None, str | None]] = (),
    confidence: float = 0.95,
) -> PositionBias | None:
    """From people's and the judge's choices on the same pairs; None where there are none.

    A choice of the first answer counts 1, of the second -1, else 0; the bias is half the mean difference. `orders`
    has the verdicts on each pair in both orders, both naming answers as in the first order.
    """
    if not picks:
        return None
    worth = {first: 1.0, second: -1.0}
    differences = [(worth.get(judge or "", 0.0) - worth.get(people, 0.0)) / 2 for people, judge in picks]
    mean = fmean(differences)
    spread = sqrt(sum((one - mean) ** 2 for one in differences) / max(len(differences) - 1, 1) / len(differences))
    reach = _z(confidence) * spread
    readable = [(one, other) for one, other in orders if one is not None and other is not None]
    same = sum(one == other for one, other in readable)
    return PositionBias(
        bias=Estimate(mean, max(-1.0, mean - reach), min(1.0, mean + reach)),
        first=sum(judge == first for _, judge in picks),
        second=sum(judge == second for _, judge in picks),
        consistent=share(same, len(readable), confidence) if readable else None,
    )


def share(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """A share of at least one item with its score interval (Wilson 1927, JASA 22:209)."""
    z = _z(confidence)
    observed = successes / n
    centre = (observed + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * sqrt(observed * (1 - observed) / n + z * z / (4 * n * n))
    return Estimate(observed, max(0.0, centre - reach), min(1.0, centre + reach))


def _z(confidence: float) -> float:
    return float(special.ndtri((1 + confidence) / 2))
