"""One gate: folds windows into evidence and says what they allow. Pure; its state is a small JSON document."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from softlaunch.core.arms import NONE_COUNTED, ByArm
from softlaunch.core.verdict import Interval, Outcome, Per, Verdict
from softlaunch.gates.aim import aimed_fractions, units_left
from softlaunch.gates.e_process import (
    FRACTIONS,
    RATIOS,
    best_fraction,
    bet_growth,
    event_growth,
    fits_share,
    largest_stake,
    mixture,
    payoff_deviation,
    settled,
)
from softlaunch.gates.observations import NONE, Flags, Floats, Observations, Tally, Window
from softlaunch.gates.reference import MEMORY, Recent
from softlaunch.gates.rules import STEPS, GateRule
from softlaunch.gates.scales import Scale, is_ready, learn, make_scale

BELOW_WEIGHTS = np.array([0.5, *[0.5 / len(FRACTIONS)] * len(FRACTIONS)])
"""How the bets below a harm are mixed: half on the best bet fraction, the rest evenly."""
AIMED = 0.5
"""The part of the bets below a harm that aims at the stage's deadline when that is near."""
PASSING_WEIGHTS = (1 - AIMED) * BELOW_WEIGHTS + AIMED * np.eye(len(BELOW_WEIGHTS))[0]
"""How the bets below a harm are mixed while no deadline is near."""
_GOAL_PARTS = 3.0
_BOLDEST = 0.95
_PRIOR, _ENOUGH_HEARD = 10.0, 50.0
_NO_HARM = int(np.flatnonzero(STEPS == 0)[0])


@dataclass(slots=True)
class Gate:
    """Evidence about one metric in one stage.

    For each harm `d` of the rule's grid it holds the log e-value of bets that the harm is above `d`, shape (harms,
    FRACTIONS), and that it is below `d`, shape (harms, 1 + FRACTIONS): the harms at which neither has grown to 1/alpha
    are the confidence sequence. The first bet below `d` is of `bet_fractions`: best if the candidate is like stable.
    `aimed`, shape (harms,), are those that aim at the deadline, by the standard deviation `spread` of what a unit wins
    or loses; they bet what pays best as long as this, by its `growth` a unit, is likely to do until then. `units` are
    those of both arms, and `calm` is how much more than usually their values told.
    """

    rule: GateRule
    scale: Scale
    above: Floats = field(default_factory=lambda: np.zeros((len(STEPS), len(FRACTIONS))))
    below: Floats = field(default_factory=lambda: np.zeros((len(STEPS), 1 + len(FRACTIONS))))
    aimed: Floats = field(default_factory=lambda: np.zeros(len(STEPS)))
    events: dict[str, Floats] = field(default_factory=dict)
    waiting: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    counts: ByArm[int] = NONE_COUNTED
    bet_fractions: Floats | None = None
    bet_fractions_due: float = 0.0
    spread: Floats | None = None
    growth: Floats | None = None
    units: float = 0.0
    calm: Recent = field(default_factory=lambda: Recent(memory=MEMORY))
    heard: ByArm[float] = field(default_factory=lambda: ByArm(0.0, 0.0))

    @classmethod
    def begin(cls, rule: GateRule, history: Window | None = None) -> Self:
        """A gate without evidence, which may know stable's recent traffic from before the stage."""
        gate = cls(rule, make_scale(rule.metric, reach=rule.reach))
        if history is not None:
            gate.learn(history.stable.get(rule.metric, NONE))
        return gate

    def learn(self, usual: Observations) -> None:
        """Know what stable's values were like before the stage; nothing is bet on them."""
        learn(self.scale, self.scale.tally(usual))

    def update(self, window: Window, progress: float | None = None) -> None:
        """Fold in one window. Bets use only what was known before it; what it tells of stable is learnt after.

        `progress` is the share of the stage's time that was over before it, where its deadline is known.

        A window in which one arm happens to be empty counts too: at 1 % most do, and leaving them out would forget
        stable's side of whatever hits both arms. A split that was evidently not in force is no evidence.
        """
        arms = [arm.get(self.rule.metric, NONE) for arm in (window.candidate, window.stable)]
        if not any(map(len, arms)):
            return
        candidate, stable = map(self.scale.tally, arms)
        share = self._share(window.candidate_share, candidate.units, stable.units)
        if share is not None and is_ready(self.scale):
            self._bet(candidate, stable, share, units_left(self.units, progress))
            self._count(candidate, stable)
        self.scale.note(candidate, stable)
        learn(self.scale, stable)
        self.bet_fractions_due -= stable.units
        self.units += candidate.units + stable.units
        self.counts += ByArm(candidate.requests, stable.requests)

    def _share(self, split: float, candidate: float, stable: float) -> float | None:
        """The probability that a unit of this window is the candidate's; None where it can't be told.

        What judges score and users rate may be rated unequally often in the two arms, so there the share of what was
        heard before this window takes the place of the split. Where requests are counted, the split is their own.
        """
        if self.rule.counted or not self.rule.metric.is_rated:
            return split if fits_share(candidate, stable, split) else None
        known = self.heard.candidate + self.heard.stable
        share = (self.heard.candidate + _PRIOR * split) / (known + _PRIOR)
        self.heard += ByArm(candidate, stable)
        return share if known >= _ENOUGH_HEARD else None

    def _bet(self, candidate: Tally, stable: Tally, share: float, left: float | None) -> None:
        seen = self.scale.centred(candidate, stable, self.rule.grid)
        self.bet_fractions = self.choose_bet_fractions(share)
        every = np.broadcast_to(FRACTIONS, (len(STEPS), len(FRACTIONS)))
        calm = self.scale.calm
        best = np.minimum(calm * self.bet_fractions, _BOLDEST)
        largest = largest_stake(share, seen.high, seen.stable_low)
        aimed = best if left is None else np.where(self._is_far(left), best, self._aimed(largest, left, calm))
        self.calm.add(calm * (candidate.units + stable.units), candidate.units + stable.units)
        fractions = np.concatenate([aimed[:, None], best[:, None], every], axis=1)
        above = bet_growth(seen.candidate, seen.stable, share, seen.low, seen.stable_high)
        below = bet_growth(
            seen.candidate.negative(), seen.stable.negative(), share, seen.high, seen.stable_low, fractions
        )
        self.above, self.below = settled(self.above + above), settled(self.below + below[:, 1:])
        self.aimed = settled(self.aimed + below[:, 0])

    def _is_far(self, left: float) -> Flags:
        """Whether what pays best is likely to refute each harm of the grid with the units that are left."""
        needed = math.log(self._goal)
        return np.zeros(len(STEPS), np.bool_) if self.growth is None else left * self.growth > _GOAL_PARTS * needed

    @property
    def _goal(self) -> float:
        """What the bets that aim are to grow to."""
        return 1 / (1 - self.rule.confidence) / AIMED

    def _aimed(self, largest: Floats, left: float, calm: float) -> Floats:
        """The bet fractions that aim at the deadline, of the largest bet; more where units tell more than others."""
        if self.spread is None:
            return np.zeros(len(STEPS))
        usually = self.calm.mean if self.calm.weight else 1.0
        fractions = aimed_fractions(self.aimed, self._goal, self.spread, left) * calm / math.sqrt(usually)
        return np.minimum(fractions / largest, _BOLDEST)

    def choose_bet_fractions(self, share: float) -> Floats:
        """The bet fractions below each harm of the grid: those of before, until stable has brought as much again."""
        if self.bet_fractions is not None and self.bet_fractions_due > 0:
            return self.bet_fractions
        self.bet_fractions_due = self.scale.reference.total / 2
        return self._best_bet_fractions(share)

    def _best_bet_fractions(self, share: float) -> Floats:
        """For each harm of the grid, the bet fraction that grows fastest on a candidate that is like stable."""
        usual = self.scale.alternative()
        one = usual.times(1 / usual.units)  # so few units that the centre is the past's
        harmless = self.scale.centred(one, one, self.rule.grid)
        candidate = harmless.candidate.negative().times(share)
        stable = harmless.stable.negative().times(1 - share)
        self.spread = payoff_deviation(candidate, stable, share)
        fractions, self.growth = best_fraction(candidate, stable, share, harmless.high, harmless.stable_low)
        return fractions

    def _count(self, candidate: Tally, stable: Tally) -> None:
        """Count events; windows with an empty arm wait for the next, or a trickle of traffic would tell nothing."""
        for kind, (on_candidate, on_stable) in self.scale.events(candidate, stable).items():
            waiting = self.waiting.get(kind, (0.0, 0.0, 0.0, 0.0))
            seen = (on_candidate, on_stable, candidate.units, stable.units)
            total = tuple(one + other for one, other in zip(waiting, seen, strict=True))
            self.waiting[kind] = (total[0], total[1], total[2], total[3])
            if total[2] > 0 and total[3] > 0:
                grown = self.events.get(kind, np.zeros(len(RATIOS))) + event_growth(*self.waiting[kind])
                self.events[kind] = settled(grown)
                self.waiting[kind] = (0.0, 0.0, 0.0, 0.0)

    @property
    def log_evidence_of_harm(self) -> float:
        """Log of the e-value against "no harm at all": half by bets on the average, half by counts of bad events."""
        average = mixture(self.above[_NO_HARM])
        counts = np.array([float(mixture(log)) for log in self.events.values()])
        return float(average if not len(counts) else mixture(np.array([average, mixture(counts)])))

    @property
    def worst(self) -> tuple[str, float]:
        """Where the estimated harm is largest, and how large; zero without data."""
        harms = self.scale.harms()
        return max(harms.items(), key=lambda item: item[1], default=("", 0.0))

    @property
    def is_material(self) -> bool:
        """Whether the estimated harm is more than the policy accepts: less is no reason to roll back."""
        return self.worst[1] > self.rule.material

    @property
    def interval(self) -> Interval:
        """Confidence sequence of the harm: each bound holds at every look together with the rule's confidence.

        Only harms of the grid are distinguished, so bounds are rounded outwards to it. A bound goes as far as all harms
        beyond it are refuted: to miss the truth it must refute the one next to it, so one e-process stands for all.
        """
        needed = -np.log(1 - self.rule.confidence)
        grid = self.rule.grid
        too_small = np.logical_and.accumulate(mixture(self.above) >= needed)
        too_large = np.logical_and.accumulate(self.log_evidence_below[::-1] >= needed)[::-1]
        upper = float(grid[too_large].min(initial=np.inf))
        return Interval(min(float(grid[too_small].max(initial=-np.inf)), upper), upper)

    @property
    def log_evidence_below(self) -> Floats:
        """Log of the e-value against "at least as much harm as this", for each of the grid; shape (harms,)."""
        usual = mixture(self.below, BELOW_WEIGHTS) + math.log(1 - AIMED)
        return np.logaddexp(usual, self.aimed + math.log(AIMED))

    def judge(self, *, harmed: str | None = None, contradicted: str = "") -> Verdict:
        """What the evidence allows; without any, nothing.

        `harmed` says in words which harm has been shown and makes the gate fail, None leaves that to the gate's own
        evidence; `contradicted` says which plain figure speaks against a pass, whatever the evidence says.
        """
        outcome, reason = self._conclude(self._shown_harm if harmed is None else harmed, contradicted)
        values = self.scale.values()
        return Verdict(
            gate=self.rule.metric,
            outcome=outcome,
            reason=reason,
            role=self.rule.role,
            harm=next(iter(self.scale.harms().values()), None),
            interval=self.interval,
            margin=self.rule.margin,
            candidate_count=self.counts.candidate,
            stable_count=self.counts.stable,
            candidate_value=values.candidate,
            stable_value=values.stable,
            per=self.rule.per,
        )

    def _conclude(self, harmed: str, contradicted: str) -> tuple[Outcome, str]:
        if harmed:
            return Outcome.FAIL, harmed
        counts = {"candidate": self.counts.candidate, "stable": self.counts.stable}
        empty = [arm for arm, count in counts.items() if not count]
        if empty:
            return Outcome.INCONCLUSIVE, f"no {self._lacking} from {' and '.join(empty)}"
        if contradicted or self._looks_too_bad:
            where, worst = self.worst
            return Outcome.INCONCLUSIVE, contradicted or f"looks worse by {self.show(worst)} {where}, not yet sure"
        if self.interval.upper <= self.rule.margin:
            return Outcome.PASS, f"harm is below {self._stage_margin}"
        return Outcome.INCONCLUSIVE, f"not yet sure that harm is below {self._stage_margin}"

    @property
    def _stage_margin(self) -> str:
        """The margin of this stage in words, with the policy's where that is another."""
        shown = f"the margin of {self.show_margin(self.rule.margin)}"
        if self.rule.margin == self.rule.material:
            return shown
        return f"{shown} (this stage's; the policy's is {self.show(self.rule.material)})"

    @property
    def _lacking(self) -> str:
        return "data" if self.rule.per is Per.REQUEST else f"{self.rule.per.counted} that are over"

    @property
    def _shown_harm(self) -> str:
        """The harm that this evidence alone has shown, in words; empty while it hasn't."""
        if not self.is_material or self.log_evidence_of_harm < -np.log(self.rule.alpha):
            return ""
        where, worst = self.worst
        shown = f"worse by {self.show(worst)} {where}, more than the acceptable {self.show_margin(self.rule.material)}"
        if self.rule.margin == self.rule.material:
            return shown
        return f"{shown} (the policy's margin; to pass, this stage allows {self.show(self.rule.margin)})"

    @property
    def _looks_too_bad(self) -> bool:
        """Whether the estimates are beyond the policy's own margin: a good average must not hide a slow tail."""
        return self.rule.margin <= self.rule.material and self.is_material

    def show(self, value: float) -> str:
        """A harm in the margin's unit, in words."""
        return _shown(value, relative=self.rule.metric.is_relative)

    def show_margin(self, value: float) -> str:
        """A margin in words, with what it is per."""
        return f"{self.show(value)}{self.rule.per.words}"

    def dump(self) -> dict[str, Any]:
        """The gate's state as JSON values; `load` makes the same gate of it."""
        return {
            "above": self.above.tolist(),
            "below": self.below.tolist(),
            "aimed": self.aimed.tolist(),
            "spread": None if self.spread is None else self.spread.tolist(),
            "growth": None if self.growth is None else self.growth.tolist(),
            "units": self.units,
            "calm": self.calm.dump(),
            "events": {kind: log.tolist() for kind, log in self.events.items()},
            "waiting": {kind: list(counts) for kind, counts in self.waiting.items()},
            "counts": [self.counts.candidate, self.counts.stable],
            "stakes": None if self.bet_fractions is None else self.bet_fractions.tolist(),
            "stakes_due": self.bet_fractions_due,
            "heard": [self.heard.candidate, self.heard.stable],
            "scale": self.scale.dump(),
        }

    @classmethod
    def load(cls, rule: GateRule, state: Mapping[str, Any]) -> Self:
        """The gate whose state was dumped, under the same rule."""
        return cls(
            rule=rule,
            scale=make_scale(rule.metric, state["scale"], rule.reach),
            above=np.array(state["above"]),
            below=np.array(state["below"]),
            aimed=np.array(state.get("aimed", np.zeros(len(STEPS)))),
            spread=None if state.get("spread") is None else np.array(state["spread"]),
            growth=None if state.get("growth") is None else np.array(state["growth"]),
            units=state.get("units", 0.0),
            calm=Recent.load(state.get("calm", ()), MEMORY),
            events={kind: np.array(log) for kind, log in state["events"].items()},
            waiting={kind: (a, b, c, d) for kind, (a, b, c, d) in state["waiting"].items()},
            counts=ByArm(*state["counts"]),
            bet_fractions=None if state["stakes"] is None else np.array(state["stakes"]),
            bet_fractions_due=state["stakes_due"],
            heard=ByArm(*state.get("heard", (0.0, 0.0))),
        )


def _shown(value: float, *, relative: bool) -> str:
    if not math.isfinite(value):
        return "more than can be said"
    number = f"{value * 100:.3g}"
    if relative:
        return f"{number} %"
    return f"{number} point{'' if number == '1' else 's'}"
