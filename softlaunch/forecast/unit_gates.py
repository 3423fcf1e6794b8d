"""What the evidence of a stage will be, foreseen: its bets on users' first requests and first visits.

As in `planner`, a unit's entry adds to each bet a term that depends on what it did only. First requests and visits of
the same units are drawn together, so that harm is found by whichever way is earlier. Later rounds are not foreseen:
harm that shows at once is found before them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from softlaunch.forecast.first_visits import FirstVisits
from softlaunch.forecast.gate_paths import (
    LARGEST_FACTOR,
    CopyOutlook,
    SampledPaths,
    StoppingTimes,
    crossing,
    observations,
)
from softlaunch.forecast.stage_users import StageUsers, UserEntries
from softlaunch.gates.bets import Known, assigned, fraction_growth
from softlaunch.gates.e_process import mixture
from softlaunch.gates.gate import PASSING_WEIGHTS
from softlaunch.gates.observations import Floats
from softlaunch.gates.reference import LEVELS, RECENT, log_buckets
from softlaunch.gates.returning_units import SUSPICIOUS
from softlaunch.gates.rules import GateRule
from softlaunch.gates.unit_entries import PASSING_BY, RETURNING, Way

_ROUNDED = 0.02  # nats by which a window's centre may move without being looked at
_MOST_IN_A_LOOK = 1e12


@dataclass(frozen=True)
class UnitOutlook:
    """One gate in a stage in which users meet either arm.

    `visits` are stable's; at least ENOUGH of them, see `is_known`. `share` is the candidate's, `units_per_look` how
    many of its units arrive between two looks, and `comes_back` whether users do, which divides the gate's alpha.
    """

    rule: GateRule
    visits: FirstVisits
    share: float
    units_per_look: float = 0.0
    sampled: SampledPaths = field(default_factory=SampledPaths)
    comes_back: bool = False

    @property
    def is_known(self) -> bool:
        """Whether enough visits of stable are known to foresee anything."""
        return len(self.visits) > 0 and self._known[Way.VISIT][self._users.main].is_enough

    @property
    def largest_harm(self) -> float:
        """The largest harm that a candidate can do."""
        if self._is_relative:
            return LARGEST_FACTOR
        return 1 - (
            self._users.bad_rate if self._users.is_binary else float(self._users.columns[self._users.main].mean())
        )

    @property
    def fewest(self) -> int:
        """Candidate units below which no harm can be shown, however large.

        A unit of the candidate multiplies the e-value of a bet by at most one over the share, each of the many of
        stable's beside it by at most one over the rest; and a bet has only its part of the capital.
        """
        needed = -math.log(self.rule.alpha * max(self._parts[way] for way in self._ways) * max(self._weights))
        beside = (1 - self.share) / self.share
        return math.ceil(needed / -(math.log(self.share) + beside * math.log1p(-self.share)))

    def stopping_times(self, harm: float = 0.0) -> StoppingTimes:
        """What happens to a candidate that is worse than stable by `harm`, in the margin's unit."""
        candidate = self._users.worse(harm)
        centres = {way: self._centres(way, candidate) for way in self._ways}
        counts = self.sampled.counts(f"{self.rule.metric} candidate visits", candidate.rates())
        terms = [self._terms(way, candidate, centres[way], is_candidate=True) for way in self._ways]
        terms.append(self._safety(candidate, is_candidate=True))
        sums = candidate.gathered(np.concatenate(terms, axis=1)).T @ counts + self._stable_sums(centres)
        ways = np.split(sums, np.cumsum([one.shape[1] for one in terms])[:-1], axis=0)
        shown = {way: self._shown(part) for way, part in zip(self._ways, ways[:-1], strict=True)}
        fails = {way: self._fails(way, *one) for way, one in shown.items()}
        below, estimates = np.split(ways[-1], [len(PASSING_WEIGHTS)], axis=0)
        contradicted: NDArray[np.bool_] = np.any(estimates > 0, axis=0)
        if self.rule.margin > self.rule.material:
            suspected = [(evidence >= math.log(SUSPICIOUS)) & material for evidence, material in shown.values()]
            contradicted |= np.any(suspected, axis=0)
        passes = crossing(mixture(below.T, PASSING_WEIGHTS), -math.log(1 - self.rule.confidence), ~contradicted)
        return StoppingTimes(passes, fails[Way.FIRST], fails.get(Way.VISIT, np.full(self.sampled.paths, np.inf)))

    def _shown(self, sums: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """The evidence of harm, and whether harm is material, at each time of each path; shape (paths * times,)."""
        bets, estimates = np.split(sums, [len(self._weights)], axis=0)
        return mixture(bets.T, self._weights), np.asarray(np.any(estimates > 0, axis=0))

    def _fails(self, way: Way, evidence: Floats, material: NDArray[np.bool_]) -> Floats:
        return crossing(evidence, -math.log(self.rule.alpha * self._parts[way]), material)

    @property
    def _ways(self) -> tuple[Way, ...]:
        return (Way.FIRST, Way.VISIT) if self.comes_back else (Way.FIRST,)

    @property
    def _parts(self) -> Mapping[Way, float]:
        return RETURNING if self.comes_back else PASSING_BY

    @property
    def _in_a_look(self) -> float:
        """Users of both arms in a look that sees one at all."""
        return min(max(self.units_per_look / self.share, 1.0), _MOST_IN_A_LOOK)

    @cached_property
    def _users(self) -> StageUsers:
        return StageUsers(self.rule, self.visits)

    @property
    def _is_relative(self) -> bool:
        return self.rule.metric.is_relative

    @cached_property
    def _known(self) -> dict[Way, dict[str, Known]]:
        """What is known of each way's entries before the stage."""
        columns = np.stack([self._users.columns[name] for name in self._users.channel.names], axis=1)
        entries = {Way.FIRST: columns[self.visits.start], Way.VISIT: self.visits.means(columns)}
        known = {way: self._users.channel.known() for way in entries}
        for way, table in entries.items():
            for name, column in self._users.named(table).items():
                if name in known[way]:
                    known[way][name].add(np.exp(column) if name == "log" else column)
        return known

    @cached_property
    def _weights(self) -> Floats:
        """The weight of each bet, all kinds together."""
        kinds = self._users.channel.odds(self._stable.visit, self._known[Way.VISIT])
        weights = self._users.channel.weights
        return np.concatenate([*(weights[kind] for kind in kinds), weights.get("mean", np.empty(0))])

    @cached_property
    def _gate(self) -> CopyOutlook:
        """The gate that passes: it sees each visit as one value."""
        columns = self.visits.means(self._users.columns[self._users.main][:, None])[:, 0]
        return CopyOutlook(self.rule, observations(self._in_own_unit(columns)), self.share, sampled=self.sampled)

    def _in_own_unit(self, column: Floats) -> Floats:
        if self._is_relative:
            return np.exp(column)
        return 1 - column if self.rule.metric.higher_is_better else column

    @cached_property
    def _stable(self) -> UserEntries:
        return self._users.worse(0.0)

    def _centres(self, way: Way, candidate: UserEntries) -> tuple[Floats, float]:
        """What a look's own entries move the bets' centres by: log of the odds' mean, shape (tilts,), and the mean."""
        part = self._in_a_look / (self._in_a_look + RECENT)

        def mean(column: Floats, entries: UserEntries) -> Floats:
            return np.asarray(entries.weight @ column)

        arms = ((candidate, self.share), (self._stable, 1 - self.share))
        logs = []
        for kind, (_, usual) in self._users.channel.odds(self._stable.of(way), self._known[way]).items():
            odds = [
                share * mean(np.exp(self._users.channel.odds(one.of(way), self._known[way])[kind][0]), one)
                for one, share in arms
            ]
            logs.append(np.log(part * sum(odds) + (1 - part) * usual) - np.log(usual))
        main = sum(share * float(mean(one.of(way)[self._users.main], one)) for one, share in arms)
        shift = np.rint(np.concatenate(logs) / _ROUNDED) * _ROUNDED if logs else np.empty(0)
        return shift, round(part * main, 3)

    def _terms(self, way: Way, entries: UserEntries, centre: tuple[Floats, float], *, is_candidate: bool) -> Floats:
        """What each user adds to every bet of one way, and to the estimates that say whether harm is material.

        A user's own entry is among those that its bet is centred on, which takes from what is rare.
        """
        columns, known = entries.of(way), self._known[way]
        arm = np.full(len(entries.weight), is_candidate)
        parts, place = [], 0
        for log_odds, usual in self._users.channel.odds(columns, known).values():
            relative = log_odds - np.log(usual)
            shift = centre[0][place : place + len(usual)] + np.log1p(np.expm1(relative) / (RECENT + self._in_a_look))
            place += len(usual)
            parts.append(assigned(relative - shift, arm, self.share))
        if "mean" in self._users.channel.weights:
            part = self._in_a_look / (self._in_a_look + RECENT)
            usual_mean = (1 - part) * known[self._users.main].mean(np.empty(0)) + centre[1]
            parts.append(
                fraction_growth(columns[self._users.main], float(np.clip(usual_mean, 0.001, 0.999)), arm, self.share)
            )
        return np.concatenate([*parts, self._estimates(way, entries, is_candidate=is_candidate)], axis=1)

    def _estimates(self, way: Way, entries: UserEntries, *, is_candidate: bool) -> Floats:
        """Terms whose sum is above zero when the estimated harm is more than material; shape (n, estimates)."""
        columns, stable = entries.of(way), self._stable.of(way)
        weight = self._stable.weight
        accepted = math.log1p(self.rule.material) if self._is_relative else self.rule.material
        usual = float(weight @ stable[self._users.main])
        odds = self.share / (1 - self.share)
        found = [
            columns[self._users.main] - usual - accepted
            if is_candidate
            else -odds * (columns[self._users.main] - usual)
        ]
        if self._is_relative:
            slow = self._users.channel.names[1]
            rate = float(weight @ stable[slow])
            beyond = columns[self._users.channel.names[-1]] - rate
            found.append(beyond if is_candidate else -odds * (columns[slow] - rate))
        return np.stack(found, axis=1)

    def _safety(self, entries: UserEntries, *, is_candidate: bool) -> Floats:
        """What each user's visit adds to the bets that let the gate pass, and to the estimates that forbid it."""
        column, gate = entries.visit[self._users.main], self._gate
        index = log_buckets(np.exp(column)) if self._is_relative else np.rint(column * LEVELS).astype(np.int64)
        if is_candidate:
            return np.concatenate([gate.safety_terms(index), gate.excess(index, self.rule.margin)], axis=1)
        odds = self.share / (1 - self.share)
        return np.concatenate([gate.stable_safety_terms(index), -odds * gate.excess(index, 0.0)], axis=1)

    @cached_property
    def _stable_counts(self) -> Floats:
        odds = self.share / (1 - self.share)
        return self.sampled.counts(f"{self.rule.metric} stable visits", self._stable.rates() / odds)

    @cached_property
    def _held_sums(self) -> dict[bytes, Floats]:
        return {}

    def _stable_sums(self, centres: Mapping[Way, tuple[Floats, float]]) -> Floats:
        """What stable's users add to every bet and estimate, in all paths and at all times."""
        key = b"".join(logs.tobytes() + np.float64(mean).tobytes() for logs, mean in centres.values())
        if key not in self._held_sums:
            self._held_sums.clear()
            terms = [self._terms(way, self._stable, centre, is_candidate=False) for way, centre in centres.items()]
            terms.append(self._safety(self._stable, is_candidate=False))
            gathered = self._stable.gathered(np.concatenate(terms, axis=1))
            self._held_sums[key] = np.asarray(gathered.T @ self._stable_counts)
        return self._held_sums[key]


Outlook = CopyOutlook | UnitOutlook
"""One gate in one stage, foreseen: on copies, or where users see both arms."""
