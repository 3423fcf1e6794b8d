"""Tables of a contest, and the targets that the project has set itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from benchmarks.gates.contest import JUDGES, OURS, Results
from benchmarks.gates.model import SCENARIOS, Kind, Scenario
from benchmarks.gates.simulate import End, Result

_EXPOSURE_TARGETS = {
    "errors 0.5 -> 5 %": 150,
    "errors 0.5 -> 2 %": 700,
    "latency x1.25": 200,
    "latency x2": 40,
    "quality 0.85 -> 0.80": 350,
    "quality 0.85 -> 0.70": 60,
}


def upper_bound(successes: int, runs: int, confidence: float = 0.95) -> float:
    """One-sided upper bound of a probability (Clopper & Pearson 1934)."""
    return 1.0 if successes >= runs else float(beta.ppf(confidence, successes + 1, runs - successes))


def interval(successes: int, runs: int) -> str:
    """A share in percent, with its one-sided 95 % bounds below and above (Clopper & Pearson 1934)."""
    lowest = 1 - upper_bound(runs - successes, runs)
    return f"{percent(successes / runs)} ({100 * lowest:.3g}-{percent(upper_bound(successes, runs))})"


@dataclass(frozen=True, slots=True)
class Summary:
    """One judge in one scenario. Requests are the candidate's, seen by users; None where there are none to count.

    `exposed` are those until rollback, from the harm's beginning on; `early` were rolled back before it began;
    `before_full` and `until_promoted` are those of promoted candidates.
    """

    runs: int
    rolled_back: int
    early: int
    promoted: int
    undecided: int
    rolled_back_upper: float
    promoted_upper: float
    exposed_median: float | None
    exposed_p95: float | None
    before_full_median: float | None
    before_full_p95: float | None
    until_promoted_median: float | None
    blamed: Mapping[str, int]

    @classmethod
    def of(cls, results: Sequence[Result]) -> "Summary":
        """Summarise some runs, at least one."""
        ended = {end: [one for one in results if one.end is end] for end in End}
        back, promoted = ended[End.ROLLED_BACK], ended[End.PROMOTED]
        before_full = [one.before_full for one in promoted if one.before_full is not None]
        harmed = [one.harmed for one in back if one.harmed is not None]
        blamed = [one.blamed for one in back if one.blamed]
        return cls(
            runs=len(results),
            rolled_back=len(back),
            early=sum(one.harmed is None for one in back),
            promoted=len(promoted),
            undecided=len(ended[End.UNDECIDED]),
            rolled_back_upper=upper_bound(len(back), len(results)),
            promoted_upper=upper_bound(len(promoted), len(results)),
            exposed_median=quantile(harmed, 0.5),
            exposed_p95=quantile(harmed, 0.95),
            before_full_median=quantile(before_full, 0.5),
            before_full_p95=quantile(before_full, 0.95),
            until_promoted_median=quantile([one.exposed for one in promoted], 0.5),
            blamed={name: blamed.count(name) for name in sorted(set(blamed))},
        )


def quantile(values: Sequence[float], share: float) -> float | None:
    """A quantile, or None of nothing."""
    return float(np.quantile(values, share)) if values else None


Found = Mapping[str, Mapping[str, Summary]]
"""Summaries by scenario and judge."""


def summaries(results: Results) -> dict[str, dict[str, Summary]]:
    """Every scenario and judge."""
    return {name: {judge: Summary.of(seen) for judge, seen in judges.items()} for name, judges in results.items()}


def as_json(found: Found) -> dict[str, Any]:
    """The same figures as JSON values."""
    return {name: {judge: asdict(one) for judge, one in judges.items()} for name, judges in found.items()}


def from_json(figures: Mapping[str, Any]) -> dict[str, dict[str, Summary]]:
    """What `as_json` wrote."""
    return {name: {judge: Summary(**one) for judge, one in judges.items()} for name, judges in figures.items()}


def beside(found: Found, others: Found) -> dict[str, dict[str, Summary]]:
    """Both, scenario by scenario; where a judge is in both, as found."""
    names = dict.fromkeys([*found, *others])
    return {name: {**found.get(name, {}), **others.get(name, {}), **found.get(name, {})} for name in names}


def tables(found: Found) -> str:
    """Markdown: a row for each scenario and a column for each judge; then the targets."""
    sections = [
        ("Rolled back (of fine candidates: at most, with 95 % confidence)", _pivot(found, _rolled_back)),
        ("Candidate requests that met the harm before rollback: median / 95th percentile", _pivot(found, _exposed)),
        ("Promoted + undecided", _pivot(found, _promoted)),
        ("Candidate requests of promoted ones until 100 %: median / 95th percentile", _pivot(found, _took)),
        ("Targets for ours", _target_lines(found)),
    ]
    return "\n".join(line for title, lines in sections if lines for line in [f"### {title}", "", *lines, ""])


def _pivot(found: Found, cell: Callable[[Scenario, Summary], str]) -> list[str]:
    shown = [(scenario, found[scenario.name]) for scenario in SCENARIOS if scenario.name in found]
    judges = [judge for judge in JUDGES if any(judge in judged for _, judged in shown)]
    rows = [
        (scenario.name, [cell(scenario, judged[judge]) if judge in judged else "" for judge in judges])
        for scenario, judged in shown
    ]
    header = [f"| scenario | {' | '.join(judges)} |", f"|---{'|---:' * len(judges)}|"]
    return header + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows if any(text != "-" for text in cells)]


def _rolled_back(scenario: Scenario, one: Summary) -> str:
    if scenario.kind in {Kind.FINE, Kind.SPARSE}:
        return f"{percent(one.rolled_back / one.runs)} ({percent(one.rolled_back_upper)})"
    early = f", {percent(one.early / one.runs)} too early" if one.early else ""
    return f"{percent((one.rolled_back - one.early) / one.runs)}{early}"


def _exposed(scenario: Scenario, one: Summary) -> str:
    harmless = scenario.kind in {Kind.FINE, Kind.SPARSE}
    return "-" if harmless else pair(one.exposed_median, one.exposed_p95)


def _promoted(_: Scenario, one: Summary) -> str:
    undecided = f" + {percent(one.undecided / one.runs)}" if one.undecided else ""
    return f"{percent(one.promoted / one.runs)}{undecided}"


def _took(scenario: Scenario, one: Summary) -> str:
    return pair(one.before_full_median, one.before_full_p95) if scenario.kind is Kind.FINE else "-"


@dataclass(frozen=True, slots=True)
class Target:
    """What was wanted of ours, what came, and whether it is met."""

    wanted: str
    measured: str
    met: bool


def targets(found: Found) -> list[Target]:
    """The targets that the scenarios which ran can tell about."""
    reached = []
    for scenario in SCENARIOS:
        one = found.get(scenario.name, {}).get(OURS)
        if one is not None:
            reached += _targets_of(scenario, one)
    return reached


def _targets_of(scenario: Scenario, one: Summary) -> list[Target]:
    name, promoted = scenario.name, one.promoted / one.runs
    guarded = scenario.name.endswith("(guard)")  # passing doesn't wait for a guard's evidence
    if scenario.kind is Kind.FINE and scenario.unit_size == 1:
        needed, bound, back = one.before_full_median, one.rolled_back_upper, f"{one.rolled_back}/{one.runs}"
        return [
            Target(f"{name}: false rollbacks at most 1 % (95 % bound)", f"{percent(bound)} ({back})", bound <= 0.01),
            Target(f"{name}: promoted in at least 90 %", percent(promoted), promoted >= 0.90),
            Target(
                f"{name}: at most 4,000 requests to 100 % (median)",
                count(needed),
                needed is not None and needed <= 4000,
            ),
        ]
    if scenario.name in _EXPOSURE_TARGETS:
        allowed, seen = _EXPOSURE_TARGETS[scenario.name], one.exposed_median
        return [Target(f"{name}: median exposure at most {allowed}", count(seen), seen is not None and seen <= allowed)]
    if scenario.kind is Kind.MARGIN and not guarded:
        return [Target(f"{name}: promoted in at most 5 %", f"{one.promoted}/{one.runs}", promoted <= 0.05)]
    if scenario.kind is Kind.TWICE and not guarded:
        return [Target(f"{name}: never promoted", f"{one.promoted}/{one.runs}", one.promoted == 0)]
    return []


def _target_lines(found: Found) -> list[str]:
    lines = [f"| {one.wanted} | {one.measured} | {'yes' if one.met else 'no'} |" for one in targets(found)]
    return ["| target | measured | met |", "|---|---:|---|", *lines] if lines else []


def percent(share: float) -> str:
    """A share in percent, to three digits."""
    return f"{100 * share:.3g} %"


def pair(median: float | None, p95: float | None) -> str:
    """Two counts, or a dash."""
    return "-" if median is None else f"{count(median)} / {count(p95)}"


def count(value: float | None) -> str:
    """A count, or a dash."""
    return "-" if value is None else f"{value:,.0f}"
