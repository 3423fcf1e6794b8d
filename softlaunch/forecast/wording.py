"""A plan in words and as a document."""

from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite, prod
from typing import Any

from softlaunch.core.formatting import show_duration, show_harm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Role
from softlaunch.forecast.plans import GatePlan, Harm, LetThrough, ReleasePlan, StagePlan
from softlaunch.forecast.user_habits import Habits

_MANY = 10**12


def show_wait(seconds: float) -> str:
    """How long something takes; `never` where it doesn't happen."""
    return show_duration(seconds)


def show_count(count: float | None) -> str:
    """A rounded count of users or requests; a dash where there is none."""
    if count is None or not isfinite(count):
        return "-"
    return f"more than {_MANY:,}" if count > _MANY else f"{round(count):,}"


def show_smallest(metric: Metric, harm: Harm | None) -> str:
    """The smallest harm that is caught, or that none is."""
    return "nothing" if harm is None else show_harm(metric, harm.harm)


def show_caught(harm: Harm | None) -> str:
    """`34 users (92 %)`: who sees a harm before it is caught, and how probably it is."""
    if harm is None:
        return ""
    if harm.caught < 0.005 or harm.users is None:
        return "not caught"
    return f"{show_count(harm.users)} ({harm.caught * 100:.0f} %)"


def show_users(users: Habits) -> str:
    """How users come back, in a sentence."""
    parts = []
    if users.comes_back:
        parts.append(f"Users come back: about {users.requests_per_visit:.2g} requests a visit")
        if users.visits_per_day is not None:
            parts.append(f"{users.visits_per_day:,.2g} visits a day")
        parts.append(f"correlated by {users.correlation:.2f}")
    else:
        parts.append("Hardly any user comes back")
    if users.regular_users is not None:
        parts.append(f"about {show_count(users.regular_users)} users in all")
    return ", ".join(parts) + "."


def show_let_through(gate: LetThrough) -> str:
    """What harm is promoted all the same, and from which on most is rolled back."""
    accepted = show_harm(gate.metric, gate.margin).lstrip("+")
    said = f"hardly any harm is promoted (the margin is {accepted})"
    if gate.promoted is not None:
        where = "beyond" if gate.promoted > gate.margin else "within"
        promoted = show_harm(gate.metric, gate.promoted)
        said = f"up to {promoted}, {where} the margin of {accepted}, at least one in five is promoted"
    if gate.caught is None:
        return f"{said}; no harm is rolled back in four of five"
    return f"{said}; from {show_harm(gate.metric, gate.caught)} on four in five are rolled back"


def in_a_sentence(plan: ReleasePlan) -> str:
    """What a person wants to know before a release begins, in two or three sentences."""
    said = _foreseen(plan)
    if not plan.unforeseen:
        return said
    return f"{said} Not forecast: {', '.join(plan.unforeseen)}; how many requests these units send isn't known."


def _foreseen(plan: ReleasePlan) -> str:
    stuck = next((stage for stage in plan.stages if stage.undecided > 0.5), None)
    if stuck is not None and not all(gate.is_known for gate in stuck.gates if gate.role is Role.REQUIRED):
        return f"{stuck.name} can't be forecast: {stuck.advice}."
    if stuck is not None:
        return f"{stuck.name} will probably stay undecided: {stuck.advice}."
    if not isfinite(plan.seconds_median):
        return _of_many(plan)
    parts = [f"about {show_duration(plan.seconds_median)} if the candidate is fine"]
    if isfinite(plan.seconds_80):
        parts[0] += f" (four in five within {show_duration(plan.seconds_80)})"
    first = next((stage for stage in plan.stages if 0 < stage.weight_percent < 100), plan.stages[-1])
    caught = [(gate, gate.catches_80) for gate in first.gates if gate.role is Role.REQUIRED and gate.catches_80]
    if caught:
        users = max(harm.users or 0.0 for _, harm in caught)
        harms = " or ".join(f"{gate.name} {show_harm(gate.metric, harm.harm)}" for gate, harm in caught)
        parts.append(f"{first.name} catches {harms} after at most about {show_count(users)} users")
    slowest = max(plan.stages, key=lambda stage: stage.seconds_median)
    parts.append(f"bottleneck: {slowest.bottleneck} at {slowest.name}")
    return "; ".join(parts) + "."


def _of_many(plan: ReleasePlan) -> str:
    """For a release whose stages each probably pass, but not all of them."""
    passing = prod(1 - stage.undecided for stage in plan.stages)
    worst = max(plan.stages, key=lambda stage: stage.undecided)
    return (
        f"a stage will probably stay undecided even if the candidate is fine: all of them pass in about "
        f"{passing * 100:.0f} % of the cases, and {worst.name} is undecided most often "
        f"({worst.undecided * 100:.0f} %; bottleneck: {worst.bottleneck}); what helps: a later deadline there."
    )


def to_json(plan: ReleasePlan) -> dict[str, Any]:
    """The plan as JSON values; what never happens is null."""
    document = _finite(asdict(plan))
    if not isinstance(document, dict):
        raise TypeError("a plan is a mapping")
    return document


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(held) for held in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def stage_row(stage: StagePlan) -> tuple[str, ...]:
    """A stage as cells: its name, how long it takes, and how often its deadline comes first."""
    slowest = "" if any(gate.metric == stage.bottleneck for gate in stage.gates) else f"  ◀ {stage.bottleneck}"
    waits = f"{show_wait(stage.seconds_median)} ({show_wait(stage.seconds_80)}){slowest}"
    undecided = f"undecided {stage.undecided * 100:.0f} %" if stage.undecided > 0.005 else ""
    return stage.name, waits, undecided, "", ""


def rows(stage: StagePlan) -> list[tuple[str, ...]]:
    """A stage's gates as cells: gate, time and candidate requests until it passes, what it catches."""
    return [_row(stage, gate) for gate in stage.gates]


def _row(stage: StagePlan, gate: GatePlan) -> tuple[str, ...]:
    name = gate.name + ("" if gate.role is Role.REQUIRED else f" ({gate.role})")
    if not gate.is_known:
        return name, "not known", "", "", ""
    slowest = "  ◀" if stage.bottleneck == gate.metric.value else ""
    waits = f"{show_wait(gate.seconds_median)} ({show_wait(gate.seconds_80)}){slowest}"
    return (
        name,
        waits,
        show_count(gate.requests_median),
        show_smallest(gate.metric, gate.catches_80) if gate.role is not Role.MUTED else "muted",
        show_smallest(gate.metric, gate.catches_95) if gate.role is not Role.MUTED else "",
    )
