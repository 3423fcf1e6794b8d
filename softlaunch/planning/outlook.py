"""A release before it begins: per stage and gate, how long until it passes, what it catches, and who sees that."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from softlaunch.gates.observations import NONE, Floats
from softlaunch.gates.panel import rules
from softlaunch.gates.planner import GateOutlook, Luck
from softlaunch.planning.advice import advise
from softlaunch.planning.stage_clock import StageClock
from softlaunch.planning.traffic import Traffic
from softlaunch.policy.model import COPY_METRICS, EVENT_METRICS, RELATIVE_METRICS, Metric, Policy
from softlaunch.release import Stage, StageKind, plan
from softlaunch.verdict import Role

MINIMUM_TIME, MINIMUM_REQUESTS, MINIMUM_UNITS = "minimum time", "minimum requests", "minimum units"
_HALVINGS = 5
_RARE = 0.001


@dataclass(frozen=True, slots=True)
class Harm:
    """A harm and what a gate makes of it, if it first shows in this stage.

    `caught` is the probability that the gate fails while the stage lasts: until the stage would pass, or at the latest
    its deadline. The medians are of the runs in which it does; None where there are none. `requests` and `users` are
    those that the candidate has answered by then.
    """

    label: str
    harm: float
    caught: float
    seconds: float | None
    requests: float | None
    users: float | None


@dataclass(frozen=True, slots=True)
class GatePlan:
    """One gate in one stage. Times are until it passes a candidate that is like stable, infinite for never.

    `catches_80` and `catches_95` are the smallest harms caught with so much probability; None where even the largest
    isn't. `is_known` is false where too little is known of stable, and then nothing else means anything.
    """

    metric: Metric
    role: Role
    margin: float
    is_known: bool
    seconds_median: float = inf
    seconds_80: float = inf
    requests_median: float = inf
    catches_80: Harm | None = None
    catches_95: Harm | None = None
    harms: tuple[Harm, ...] = ()


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage with a candidate that is like stable; `undecided` is the probability that its deadline comes first."""

    name: str
    weight_percent: float
    deadline: float
    floor: float
    seconds_median: float
    seconds_80: float
    undecided: float
    bottleneck: str
    gates: tuple[GatePlan, ...]
    advice: str = ""


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """A whole release; times begin after the regression eval, and are infinite where stages stay undecided."""

    app: str
    requests_per_hour: float
    note: str
    seconds_median: float
    seconds_80: float
    stages: tuple[StagePlan, ...]


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans the releases of one policy on some traffic; `look_seconds` is the time between two looks."""

    policy: Policy
    traffic: Traffic
    look_seconds: float = 1.0
    luck: Luck = field(default_factory=Luck)

    def plan(self) -> ReleasePlan:
        """Every stage after the regression eval, and all of them together."""
        stages, lasting = [], np.zeros(self.luck.paths)
        for stage in plan(self.policy):
            if stage.kind is StageKind.EVAL:
                continue
            planned, seconds = _StageOutlook.of(self, stage).plan()
            stages.append(planned)
            lasting = lasting + seconds
        return ReleasePlan(
            app=self.policy.app,
            requests_per_hour=3600 * self.traffic.requests_per_second,
            note=self.traffic.note,
            seconds_median=_quantile(lasting, 0.5),
            seconds_80=_quantile(lasting, 0.8),
            stages=tuple(stages),
        )


@dataclass(frozen=True, slots=True)
class _StageOutlook:
    """One stage: its gates, and for each when it passes a fine candidate, in seconds by path."""

    clock: StageClock
    gates: tuple[GateOutlook, ...]
    passes: dict[Metric, Floats]

    @classmethod
    def of(cls, planner: Planner, stage: Stage) -> "_StageOutlook":
        clock = StageClock(stage, planner.traffic)
        gates = tuple(
            GateOutlook(
                rule,
                planner.traffic.stable.get(rule.metric, NONE),
                stage.candidate_share,
                clock.units_per_look(rule.metric, planner.look_seconds),
                planner.luck,
            )
            for rule in rules(planner.policy, stage)
            if rule.metric not in COPY_METRICS  # what two models will answer can't be foreseen from traffic
        )
        passes = {}
        for number, gate in enumerate(gates):
            units = gate.course().passes if gate.is_known else np.full(planner.luck.paths, inf)
            # stages and gates share luck by metric only in the making: here each gets another path of it
            shuffled = np.roll(units, 31 * stage.position + 7 * number)
            passes[gate.rule.metric] = clock.seconds(gate.rule.metric, shuffled)
        return cls(clock, gates, passes)

    @property
    def floor(self) -> float:
        clock = self.clock
        return max(clock.stage.minimum_time, clock.seconds_to_minimum_requests, clock.seconds_to_minimum_units)

    def plan(self) -> tuple[StagePlan, Floats]:
        """The plan, and how long the stage lasts, by path; infinite where it stays undecided."""
        stage, clock = self.clock.stage, self.clock
        deadline = clock.deadline
        lasting = self._lasting()
        decided = np.where(lasting <= deadline, lasting, inf)
        planned = StagePlan(
            name=stage.name,
            weight_percent=stage.weight_percent,
            deadline=deadline,
            floor=self.floor,
            seconds_median=_quantile(lasting, 0.5),
            seconds_80=_quantile(lasting, 0.8),
            undecided=float(np.mean(lasting > deadline)),
            bottleneck=self._bottleneck(),
            gates=tuple(self._gate_plan(gate) for gate in self.gates),
        )
        return replace(planned, advice=advise(planned, self.gates, clock.seconds)), decided

    def _lasting(self, without: Metric | None = None) -> Floats:
        """When all required gates pass and the minima are met, by path."""
        required = [self.passes[gate.rule.metric] for gate in self._required() if gate.rule.metric is not without]
        paths = len(next(iter(self.passes.values())))
        return np.asarray(np.max([np.full(paths, self.floor), *required], axis=0))

    def _required(self) -> list[GateOutlook]:
        return [gate for gate in self.gates if gate.rule.role is Role.REQUIRED]

    def _bottleneck(self) -> str:
        """What most often is the last to let the stage pass."""
        parts = {
            MINIMUM_TIME: np.full(len(self._lasting()), self.clock.stage.minimum_time),
            MINIMUM_REQUESTS: np.full(len(self._lasting()), self.clock.seconds_to_minimum_requests),
            MINIMUM_UNITS: np.full(len(self._lasting()), self.clock.seconds_to_minimum_units),
            **{gate.rule.metric.value: self.passes[gate.rule.metric] for gate in self._required()},
        }
        names = list(parts)
        return names[Counter(np.argmax(list(parts.values()), axis=0).tolist()).most_common(1)[0][0]]

    def _gate_plan(self, gate: GateOutlook) -> GatePlan:
        rule = gate.rule
        if not gate.is_known:
            return GatePlan(rule.metric, rule.role, rule.margin, is_known=False)
        passes = self.passes[rule.metric]
        median = _quantile(passes, 0.5)
        bare = GatePlan(
            metric=rule.metric,
            role=rule.role,
            margin=rule.margin,
            is_known=True,
            seconds_median=median,
            seconds_80=_quantile(passes, 0.8),
            requests_median=float(self.clock.requests(np.array(median))) if np.isfinite(median) else inf,
        )
        if rule.role is Role.MUTED:
            return bare
        watch = _Watch(gate, self.clock, self._lasting(without=rule.metric))
        return replace(
            bare,
            catches_80=watch.smallest(0.8),
            catches_95=watch.smallest(0.95),
            harms=tuple(watch.harm(label, harm) for label, harm in _reference_harms(gate)),
        )


@dataclass(frozen=True, slots=True)
class _Watch:
    """A gate that watches a candidate in a stage which otherwise would pass after `others` seconds, by path."""

    gate: GateOutlook
    clock: StageClock
    others: Floats
    known: dict[float, Harm] = field(default_factory=dict)

    def harm(self, label: str, harm: float) -> Harm:
        """What happens to a candidate with this harm."""
        if harm not in self.known:
            self.known[harm] = self._foresee(harm)
        return replace(self.known[harm], label=label)

    def _foresee(self, harm: float) -> Harm:
        metric = self.gate.rule.metric
        course = self.gate.course(harm)
        fails, passes = self.clock.seconds(metric, course.fails), self.clock.seconds(metric, course.passes)
        ends = np.maximum(self.others, passes) if self.gate.rule.role is Role.REQUIRED else self.others
        ends = np.minimum(ends, self.clock.deadline)
        caught: NDArray[np.bool_] = np.isfinite(fails) & (fails <= ends)
        if not caught.any():
            return Harm("", harm, 0.0, None, None, None)
        when = np.array([np.median(fails[caught])])
        return Harm(
            label="",
            harm=harm,
            caught=float(caught.mean()),
            seconds=float(when[0]),
            requests=float(self.clock.requests(when)[0]),
            users=float(self.clock.users(when)[0]),
        )

    def smallest(self, probability: float) -> Harm | None:
        """The smallest harm caught with a probability, to within 4 %; None where even the largest isn't."""
        most = self.gate.largest_harm
        low = high = min(self.gate.rule.material, most)
        while self.harm("", high).caught < probability:
            if high >= most:
                return None
            low, high = high, min(2 * high, most)
        for _ in range(_HALVINGS if high > low else 0):
            middle = float(np.sqrt(low * high))
            low, high = (low, middle) if self.harm("", middle).caught >= probability else (middle, high)
        return self.harm("", high)


def _reference_harms(gate: GateOutlook) -> Iterable[tuple[str, float]]:
    """Harms that people have in mind, as (label, harm in the margin's unit)."""
    metric = gate.rule.metric
    if metric in RELATIVE_METRICS:
        return (("x1.25", 0.25), ("x2", 1.0))
    if metric in EVENT_METRICS:
        usual = 1 - gate.largest_harm
        if usual < _RARE:
            return (("+1 point", 0.01), ("+4 points", 0.04))
        harms = {times: min((times - 1) * usual, gate.largest_harm) for times in (2, 4)}
        return tuple((f"x{times} ({100 * harm:+.1f} points)", harm) for times, harm in harms.items())
    return (("-5 points", 0.05), ("-15 points", 0.15))


def _quantile(values: Floats, share: float) -> float:
    """A quantile that infinities don't spoil."""
    return float(np.sort(values)[min(int(share * len(values)), len(values) - 1)])
