"""How sure a check is: intervals at the level that decides, and whether so few cases could have shown a loss. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.evals.statistics.metric_verdicts import finding_of
from softlaunch.evals.statistics.paired import cases_needed
from softlaunch.evals.statistics.pairs import PairedMetric
from softlaunch.evals.statistics.report import Finding, MetricComparison


def tested_together(
    compared: Mapping[str, MetricComparison], paired: Mapping[str, PairedMetric | None], level: float
) -> Mapping[str, MetricComparison]:
    """The comparisons with what is shown of them together at `level`, by Holm's method, and intervals to match.

    The smallest p-value is tested at level / k, the next at level / (k - 1), and from the first on that shows nothing
    all are tested, and bounded, at that one's level. So an interval excludes zero exactly where its metric has moved.
    """
    p_values = {name: 2 * min(one.estimate.p_worse, one.estimate.p_better) for name, one in compared.items()}
    found: dict[str, MetricComparison] = {}
    own, moved = level, True
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        own = level / (len(p_values) - rank) if moved else own
        moved = moved and p_values[name] <= own
        found[name] = _at_level(compared[name], paired.get(name), own)
    return found


def _at_level(one: MetricComparison, paired: PairedMetric | None, level: float) -> MetricComparison:
    estimated = paired.compared(level / 2) if paired is not None else None
    if estimated is None:
        return one
    return replace(
        one,
        stable=estimated.stable,
        candidate=estimated.candidate,
        estimate=estimated.estimate,
        finding=finding_of(estimated.estimate, level),
    )


def allowed_loss(one: MetricComparison, margin: Margin) -> float:
    """How much of a score may be lost, as a share of one."""
    return margin.value * (one.stable if margin.kind is MarginKind.RELATIVE else 1.0)


def too_weak(counted: Sequence[MetricComparison], required: set[str], margin: Margin) -> Iterator[str]:
    """The metrics of which too little is known to say that they have not drifted, each in a sentence.

    Enough is known where the whole interval is within the margin, or where a loss of the margin would have been seen
    with 80 % power.
    """
    for one in counted:
        allowed, found = one.margin if one.relative else allowed_loss(one, margin), one.estimate
        if one.metric not in required or one.finding is Finding.BETTER or allowed <= 0:
            continue
        if found.upper > allowed and found.minimum_detectable > allowed:
            yield (
                f"{one.metric}: {found.cases:,} cases can't show a loss of {allowed * 100:.1f} {_unit(one)} (from "
                f"{found.minimum_detectable * 100:.1f} on they can); about {cases_needed(found, allowed):,} would"
            )


def _unit(one: MetricComparison) -> str:
    return "%" if one.relative else "points"
