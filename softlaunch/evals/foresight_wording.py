"""What a golden set can show, in words and as a document."""

from typing import Any

from softlaunch.core.formatting import show_cost
from softlaunch.evals.foresight import Foresight

_LOSSES = (-0.02, 0.0, 0.02, 0.05, 0.1, 0.2)


def in_words(foresight: Foresight) -> str:
    """What the cases can show, and what it would take where they can't show the tolerance."""
    most, tolerance = foresight.policy.maximum_repeats, foresight.policy.tolerance
    within, fails = foresight.within(most), foresight.fails(most)
    repeats = f"with {most} repeat{'' if most == 1 else 's'} of each"
    shown = (
        f"a candidate without any difference is shown to be within {_points(within)} of stable in four of five evals "
        f"{repeats}, and one that loses {_points(fails)} fails in as many"
    )
    counted = f"{foresight.cases:,} case{'' if foresight.cases == 1 else 's'}"
    if foresight.suffices:
        return f"{counted} can show {tolerance}: {shown} ({foresight.variation.source})"
    return (
        f"{counted} can't show {tolerance}: {shown}; about {foresight.cases_needed(most):,} cases would, or a "
        f"tolerance of {-(-within * 1000 // 5) / 2:g} points ({foresight.variation.source})"
    )


def costs_in_words(foresight: Foresight) -> str:
    """How many calls an eval makes at most, and about how many are expected."""
    policy = foresight.policy
    most = 2 * foresight.cases * policy.maximum_repeats
    limit = f", which eval.budget_calls limits to {policy.budget_calls:,}" if _limits(foresight, most) else ""
    equal, worse = (foresight.decided(loss)[2] for loss in (0.0, 0.2))
    judges = ", besides those of judges" if policy.judge is not None else ""
    return (
        f"an eval makes at most {_priced(foresight, most)}{limit}{judges}; about {_priced(foresight, equal)} where the "
        f"candidate is equal, and {_priced(foresight, worse)} or fewer where it is 20 points worse"
    )


def table(foresight: Foresight) -> list[tuple[str, ...]]:
    """For true differences: how probable a pass and a fail are, and how many calls are expected."""
    rows: list[tuple[str, ...]] = []
    for loss in _LOSSES:
        passes, fails, calls = foresight.decided(loss)
        rows.append((f"{-100 * loss + 0.0:+g}", f"{passes:.0%}", f"{fails:.0%}", f"{calls:,.0f}"))
    return rows


def to_json(foresight: Foresight) -> dict[str, Any]:
    """Everything as a document; harms are shares."""
    most = foresight.policy.maximum_repeats
    expected = [dict(zip(("pass", "fail", "calls"), foresight.decided(loss), strict=True)) for loss in _LOSSES]
    return {
        "cases": foresight.cases,
        "effective_cases": foresight.effective,
        "tolerance": foresight.tolerance,
        "suffices": foresight.suffices,
        "shown_within": foresight.within(most),
        "fails_from": foresight.fails(most),
        "cases_needed": foresight.cases_needed(most),
        "variance_between_cases": foresight.variation.between,
        "variance_of_repeats": foresight.variation.within,
        "source": foresight.variation.source,
        "calls_at_most": 2 * foresight.cases * most,
        "usd_per_call": foresight.variation.cost_usd,
        "by_true_loss": [{"loss": loss, **one} for loss, one in zip(_LOSSES, expected, strict=True)],
    }


def _limits(foresight: Foresight, most: int) -> bool:
    budget = foresight.policy.budget_calls
    return budget is not None and budget < most


def _priced(foresight: Foresight, calls: float) -> str:
    cost = foresight.variation.cost_usd
    return f"{calls:,.0f} calls" + ("" if cost is None else f" ({show_cost(cost * calls)})")


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"
