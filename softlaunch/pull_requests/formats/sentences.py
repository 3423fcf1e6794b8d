"""What every format says of a check, as plain sentences; who shows them escapes them."""

from collections.abc import Iterator, Sequence

from softlaunch.core.formatting import show_cost
from softlaunch.evals.statistics.metric_verdicts import show_amount
from softlaunch.evals.statistics.report import EvalReport, MetricComparison
from softlaunch.pull_requests.changes import AppChange, CaseChanges, Pair
from softlaunch.pull_requests.comparing import Compared
from softlaunch.pull_requests.planning import Plan
from softlaunch.pull_requests.results import MEANINGS, CheckResult, Judged

_SHOWN = 10


def headline(result: CheckResult) -> str:
    """The conclusion in a sentence."""
    return f"{result.conclusion.value}: {MEANINGS[result.conclusion]}."


def compared_sides(result: CheckResult) -> str:
    """What was compared with what."""
    return f"{result.head} against {result.base}"


def spent(result: CheckResult) -> str:
    """What the comparisons took."""
    if not result.calls and not result.reused:
        return "No call was made."
    cost = "at an unknown price" if result.cost_usd is None else f"for {show_cost(result.cost_usd)}"
    paid = f"{result.calls:,} calls {cost}" if result.calls else "No call was made"
    return f"{paid}; {result.reused:,} answers of earlier runs were reused."


def change_lines(change: AppChange) -> Iterator[str]:
    """What the change does besides its variants: cases, policy, and what else there is to know."""
    yield from _case_lines(change.cases)
    for one in change.settings:
        yield f"policy: {one.key}: {one.before} -> {one.after}"
    yield from change.notes
    if change.pairs and change.judged_twice:
        yield (
            "the golden set or the policy of evals changes together with a variant, so it is judged by the base's, "
            "too: an edit there can't hide a loss"
        )


def _case_lines(cases: CaseChanges) -> Iterator[str]:
    if cases.removed:
        yield f"golden set: {len(cases.removed):,} removed: {_listed(cases.removed)}"
    if cases.added:
        yield f"golden set: {len(cases.added):,} added: {_listed(cases.added)}"
    if cases.edited:
        named = [f"{id_} ({', '.join(keys)})" for id_, keys in cases.edited]
        yield f"golden set: {len(cases.edited):,} edited: {_listed(named)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def pair_line(pair: Pair) -> str:
    """Which variants, and what differs."""
    parts = ", ".join(part.part for part in pair.parts)
    return f"{pair.base.label} -> {pair.head.label} ({pair.why}); changed: {parts}"


def figures(one: MetricComparison) -> str:
    """A metric with its interval: `accuracy 84.0 % -> 50.2 %: -33.8 points (-37.1 to -30.5), tolerance 2 points`."""
    unit = "%" if one.relative else "points"
    bounds = f"{change(one, one.bounds.lower)} to {change(one, one.bounds.upper)}"
    return (
        f"{one.metric} {value(one, one.stable)} -> {value(one, one.candidate)}: {change(one, one.difference)} {unit} "
        f"({bounds}), tolerance {one.margin * 100:g} {unit}"
    )


def value(one: MetricComparison, amount: float) -> str:
    """A metric's figure of one side."""
    return show_amount(amount) if one.relative else f"{amount * 100:.1f} %"


def change(one: MetricComparison, amount: float) -> str:
    """A difference or a bound of it, in points, or in percent of the base's figure."""
    if one.relative:
        return f"{amount / one.stable * 100 + 0.0:+.3g}"
    return f"{amount * 100 + 0.0:+.1f}"


def gate_lines(report: EvalReport) -> Iterator[str]:
    """The verdicts that aren't a metric's own: segments, what is missing, the golden set."""
    metrics = {one.metric for one in report.metrics}
    for verdict in report.verdicts:
        if verdict.gate not in metrics:
            yield f"{verdict.gate}: {verdict.outcome}: {verdict.reason}"


def notes_of(judged: Judged) -> Iterator[str]:
    """What a comparison says besides its figures: models that moved, what would decide, what it took."""
    if judged.compared is not None:
        yield from (str(moved) for moved in judged.compared.moved)
    for way in judged.decides:
        yield f"what would decide: {way}"
    if judged.compared is not None:
        yield took(judged.compared)
    if judged.plan is not None:
        yield from plan_lines(judged.plan)


def took(compared: Compared) -> str:
    """The cases and repeats of a comparison, and what they cost."""
    report = compared.report
    cost = "at an unknown price" if compared.cost_usd is None else f"for {show_cost(compared.cost_usd)}"
    calls = f"{compared.calls:,} calls {cost}" if compared.calls else "no call"
    repeats = f"up to {report.repeats} repeats each" if report.repeats > 1 else "one answer each"
    return (
        f"{report.paired_cases:,} cases compared, {repeats}; {calls}, {compared.reused:,} answers reused "
        f"(run {compared.run_id})"
    )


def plan_lines(plan: Plan) -> Iterator[str]:
    """What a comparison would take, and what it could show."""
    cost = "at an unknown price" if plan.cost_usd is None else f"for about {show_cost(plan.cost_usd)} at most"
    more = f", or up to {plan.most_calls:,} where these leave it undecided" if plan.most_calls > plan.calls else ""
    rest = plan.most_calls - plan.reusable
    left = f"{rest:,} would have to be made, {cost} ({plan.basis})" if rest else "none would have to be made"
    yield f"it takes {plan.calls:,} calls{more}; {plan.reusable:,} answers are recorded already, {left}"
    yield plan.shows
