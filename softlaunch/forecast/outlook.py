"""A release before it begins: per stage and gate, how long until it passes, what it catches, and who sees that."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Role
from softlaunch.forecast.advice import advise
from softlaunch.forecast.gate_paths import CopyOutlook, SampledPaths
from softlaunch.forecast.plans import GatePlan, Harm, LetThrough, ReleasePlan, StagePlan
from softlaunch.forecast.sessions import foresee_sessions
from softlaunch.forecast.stage_clock import StageClock
from softlaunch.forecast.traffic import Traffic
from softlaunch.forecast.unit_gates import Outlook, UnitOutlook
from softlaunch.gates.observations import NONE, Floats
from softlaunch.gates.rules import GateRule, rules, unpredicted
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage, StageKind, plan

MINIMUM_TIME, MINIMUM_REQUESTS, MINIMUM_UNITS = "minimum time", "minimum requests", "minimum units"
_HALVINGS = 5
_RARE = 0.001
_OFTEN, _MOSTLY, _HARDLY = 0.2, 0.8, 0.02
_STEPS = 2 ** (np.arange(-14, 26) / 4)  # some of them are looked at for the smallest harm too


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans the releases of one policy on some traffic; `look_seconds` is the time between two looks."""

    policy: Policy
    traffic: Traffic
    look_seconds: float = 1.0
    sampled: SampledPaths = field(default_factory=SampledPaths)

    def plan(self) -> ReleasePlan:
        """Every stage after the regression eval that is open to everybody, and all of them together."""
        stages, lasting, outlooks = [], np.zeros(self.sampled.paths), []
        for stage in plan(self.policy):
            if stage.kind is StageKind.EVAL or stage.only is not None:
                continue
            outlooks.append(_StageOutlook.of(self, stage))
            planned, seconds = outlooks[-1].plan()
            stages.append(planned)
            lasting = lasting + seconds
        return ReleasePlan(
            app=self.policy.app,
            requests_per_hour=3600 * self.traffic.requests_per_second,
            note=self.traffic.note,
            seconds_median=_quantile(lasting, 0.5),
            seconds_80=_quantile(lasting, 0.8),
            stages=tuple(stages),
            users=self.traffic.habits,
            let_through=tuple(_let_through(outlooks)),
            unforeseen=tuple(stage.name for stage in plan(self.policy) if stage.only is not None),
        )

    def _gate(self, rule: GateRule, stage: Stage, clock: StageClock) -> Outlook:
        """A gate of a stage: where users meet either arm its harm is found by the stage's outlook."""
        per_look = clock.units_per_look(rule.metric, self.look_seconds)
        if clock.on_copies:
            stable = self.traffic.stable.get(rule.metric, NONE)
            return CopyOutlook(rule, stable, stage.candidate_share, per_look, self.sampled)
        if rule.metric in clock.sessions:
            sessions = clock.sessions[rule.metric].values
            return UnitOutlook(rule, sessions, stage.candidate_share, per_look, self.sampled)
        visits, comes_back = self.traffic.first_visits(rule.metric), self.traffic.habits.comes_back
        return UnitOutlook(rule, visits, stage.candidate_share, per_look, self.sampled, comes_back)


@dataclass(frozen=True, slots=True)
class _StageOutlook:
    """One stage: its gates, and for each when it passes a fine candidate, in seconds by path."""

    clock: StageClock
    gates: tuple[Outlook, ...]
    passes: dict[Metric, Floats]
    watches: dict[Metric, "_Watch"] = field(default_factory=dict)

    @classmethod
    def of(cls, planner: Planner, stage: Stage) -> "_StageOutlook":
        policy, judged = planner.policy, unpredicted(rules(planner.policy, stage))
        redraw, sessions = policy.unit.redraw, foresee_sessions(planner.traffic, judged, policy.session)
        clock = StageClock(stage, planner.traffic if redraw is None else planner.traffic.drawn_afresh(redraw), sessions)
        gates = tuple(
            planner._gate(rule, stage, clock)
            for rule in judged
            if not rule.metric.compares_copies  # what two models will answer can't be foreseen from traffic
        )
        passes = {}
        for number, gate in enumerate(gates):
            never = np.full(planner.sampled.paths, inf)
            seconds = clock.passes(gate.rule.metric, gate.stopping_times()) if gate.is_known else never
            # stages and gates share paths by metric only in the making: here each gets another one of them
            passes[gate.rule.metric] = np.roll(seconds, 31 * stage.position + 7 * number)
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
            people=clock.people if clock.people < inf else None,
            people_needed=self._people_needed(),
        )
        return replace(planned, advice=advise(planned, self.gates, clock)), decided

    def _people_needed(self) -> float | None:
        """Candidate users with whom the largest harm is shown in four of five cases, by the gate that is quickest."""
        outlooks = [gate for gate in self.gates if isinstance(gate, UnitOutlook) and gate.is_known]
        if self.clock.people == inf or not outlooks:
            return None
        return min(
            max(outlook.fewest, _quantile(np.ceil(outlook.stopping_times(outlook.largest_harm).soonest), 0.8))
            for outlook in outlooks
        )

    def watch(self, gate: Outlook) -> "_Watch":
        """The gate while the others pass a fine candidate."""
        metric = gate.rule.metric
        if metric not in self.watches:
            self.watches[metric] = _Watch(gate, self.clock, self._lasting(without=metric))
        return self.watches[metric]

    def _lasting(self, without: Metric | None = None) -> Floats:
        """When all required gates pass and the minima are met, by path."""
        required = [self.passes[gate.rule.metric] for gate in self._required() if gate.rule.metric is not without]
        paths = len(next(iter(self.passes.values())))
        return np.asarray(np.max([np.full(paths, self.floor), *required], axis=0))

    def _required(self) -> list[Outlook]:
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

    def _gate_plan(self, gate: Outlook) -> GatePlan:
        rule = gate.rule
        if not gate.is_known:
            return GatePlan(rule.metric, rule.role, rule.margin, is_known=False, per=rule.per)
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
            per=rule.per,
        )
        if rule.role is Role.MUTED:
            return bare
        watch = self.watch(gate)
        sessions = self.clock.sessions.get(rule.metric)
        seen = self.clock.traffic.stable[rule.metric].values if sessions is None else sessions.values.values
        usual = float(seen.mean())
        return replace(
            bare,
            catches_80=watch.smallest(0.8),
            catches_95=watch.smallest(0.95),
            harms=tuple(watch.harm(label, harm) for label, harm in _reference_harms(gate, usual)),
        )


@dataclass(frozen=True, slots=True)
class _Watch:
    """A gate that watches a candidate in a stage which otherwise would pass after `others` seconds, by path."""

    gate: Outlook
    clock: StageClock
    others: Floats
    known: dict[float, Harm] = field(default_factory=dict)

    def harm(self, label: str, harm: float) -> Harm:
        """What happens to a candidate with this harm."""
        if harm not in self.known:
            self.known[harm] = self._foresee(harm)
        return replace(self.known[harm], label=label)

    def _foresee(self, harm: float) -> Harm:
        metric, is_required = self.gate.rule.metric, self.gate.rule.role is Role.REQUIRED
        times = self.gate.stopping_times(harm)
        fails, passes = self.clock.fails(metric, times), self.clock.passes(metric, times)
        deadline = self.clock.deadline
        ends = np.minimum(np.maximum(self.others, passes) if is_required else self.others, deadline)
        caught: NDArray[np.bool_] = np.isfinite(fails) & (fails <= ends)
        through = ~caught & ((passes <= deadline) & np.isfinite(passes) if is_required else True)
        bare = Harm("", harm, float(caught.mean()), None, None, None, float(through.mean()))
        if not caught.any():
            return bare
        when = np.array([np.median(fails[caught])])
        return replace(
            bare,
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


def _let_through(stages: Sequence[_StageOutlook]) -> Iterable[LetThrough]:
    """For each gate that can stop a release, what it lets through all stages and what it catches in any."""
    for gate in next((stage.gates for stage in stages if not stage.clock.on_copies), ()):
        same = [(stage, one) for stage in stages for one in stage.gates if _is_same(one.rule, gate.rule)]
        watches = [stage.watch(one) for stage, one in same if one.is_known]
        if gate.rule.role is not Role.MUTED and watches:
            yield _over_all(gate.rule, watches)


def _over_all(rule: GateRule, watches: "Sequence[_Watch]") -> LetThrough:
    most = min(watch.gate.largest_harm for watch in watches)
    harms = [harm for harm in rule.material * _STEPS if harm <= most]
    promoted = _count(harms, lambda harm: _ends(watches, harm)[0] >= _OFTEN)
    missed = _count(harms, lambda harm: _ends(watches, harm)[1] < _MOSTLY)
    return LetThrough(
        rule.metric,
        rule.role,
        rule.material,
        float(harms[promoted - 1]) if promoted else None,
        float(harms[missed]) if missed < len(harms) else None,
        rule.per,
    )


def _is_same(rule: GateRule, other: GateRule) -> bool:
    """Whether gates of two stages count the same; copies are judged by request."""
    return rule.metric is other.metric and rule.per is other.per


def _ends(watches: Sequence[_Watch], harm: float) -> tuple[float, float]:
    """Probabilities that a harm is promoted, and that it is rolled back, in stages one after the other."""
    here, caught = 1.0, 0.0
    for watch in watches:
        if here < _HARDLY:
            break
        foreseen = watch.harm("", harm)
        caught += here * foreseen.caught
        here *= foreseen.passed
    return here, caught


def _count(ascending: Sequence[float], holds: Callable[[float], bool]) -> int:
    """How many values there are up to the last for which something holds that holds for all below."""
    return bisect_left(range(len(ascending)), True, key=lambda place: not holds(ascending[place]))


def _reference_harms(gate: Outlook, usual: float) -> Iterable[tuple[str, float]]:
    """Harms that people have in mind, as (label, harm in the margin's unit), where stable's mean is the usual one."""
    metric = gate.rule.metric
    if metric.is_relative:
        return (("x1.25", 0.25), ("x2", 1.0))
    if metric.is_event:
        if usual < _RARE:
            return (("+1 point", 0.01), ("+4 points", 0.04))
        harms = {times: min((times - 1) * usual, gate.largest_harm) for times in (2, 4)}
        return tuple((f"x{times} ({100 * harm:+.1f} points)", harm) for times, harm in harms.items())
    return (("-5 points", 0.05), ("-15 points", 0.15))


def _quantile(values: Floats, share: float) -> float:
    """A quantile that infinities don't spoil."""
    return float(np.sort(values)[min(int(share * len(values)), len(values) - 1)])
