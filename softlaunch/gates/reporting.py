"""Whether a metric that apps report can be judged fairly: of how many of each arm's units a value came.

Where one arm is reported less often, those that are missing there may be the good ones or the bad ones. What their
absence could hide or feign is bounded as in Lee 2009, "Training, Wages, and Sample Selection" (Review of Economic
Studies 76), section 2: of the arm that is reported more often the excess share is taken away, at its best or at its
worst. A verdict that doesn't hold for both is none.
"""

from dataclasses import dataclass, replace

import numpy as np

from softlaunch.core.arms import ByArm
from softlaunch.core.formatting import show_share
from softlaunch.core.verdict import Interval, Outcome, Verdict
from softlaunch.gates.rules import GateRule

_BEYOND_CHANCE = 2.0  # standard errors; beyond it by chance a verdict waits, and nothing is decided wrongly
_SURELY = 3.0  # more, because what is decided on it is looked at again and again


@dataclass(frozen=True, slots=True)
class Reporting:
    """Of how many `units` of each arm a value was `heard`."""

    heard: ByArm[float]
    units: ByArm[int]

    @property
    def rates(self) -> ByArm[float] | None:
        """Each arm's share of units with a value, in [0, 1]; None where an arm has no units."""
        if not (self.units.candidate and self.units.stable):
            return None
        candidate, stable = self.heard.candidate / self.units.candidate, self.heard.stable / self.units.stable
        return ByArm(min(candidate, 1.0), min(stable, 1.0))

    @property
    def is_unequal(self) -> bool:
        """Whether the arms' rates differ by more than twice what chance explains."""
        rates = self.rates
        if rates is None:
            return False
        heard = self.heard.candidate + self.heard.stable
        both = min(heard / (self.units.candidate + self.units.stable), 1.0)
        error = np.sqrt(both * (1 - both) * (1 / self.units.candidate + 1 / self.units.stable))
        return bool(abs(rates.candidate - rates.stable) > _BEYOND_CHANCE * error)

    @property
    def words(self) -> str:
        """`reported for 40.2 % of the candidate's users, 39.8 % of stable's`; empty where an arm has none."""
        rates = self.rates
        if rates is None:
            return ""
        candidate, stable = show_share(rates.candidate), show_share(rates.stable)
        return f"reported for {candidate} of the candidate's users, {stable} of stable's"

    def harm(self, candidate: float, stable: float, errors: float = _SURELY) -> Interval:
        """What the harm can be, as a fraction, of arms with these mean harms in [0, 1], whoever is missing.

        What chance adds to the rates and to the harm is allowed for by so many standard errors.
        """
        rates = self.rates
        if rates is None or not (rates.candidate and rates.stable):
            return Interval(-1.0, 1.0)
        of_ratio = (1 - rates.candidate) / self.heard.candidate + (1 - rates.stable) / self.heard.stable
        ratio = min(rates.candidate, rates.stable) / max(rates.candidate, rates.stable)
        excess = 1 - ratio * float(np.exp(-errors * np.sqrt(of_ratio)))
        spread = candidate * (1 - candidate) / self.heard.candidate + stable * (1 - stable) / self.heard.stable
        chance = errors * float(np.sqrt(spread))
        if rates.candidate > rates.stable:
            lowest, highest = _trimmed(candidate, excess)
            return Interval(lowest - stable - chance, highest - stable + chance)
        lowest, highest = _trimmed(stable, excess)
        return Interval(candidate - highest - chance, candidate - lowest + chance)


def _trimmed(mean: float, share: float) -> tuple[float, float]:
    """The least and the largest mean that values in [0, 1] with this mean can have without a share of them."""
    return max(0.0, (mean - share) / (1 - share)), min(1.0, mean / (1 - share))


def judged_fairly(verdict: Verdict, rule: GateRule, reporting: Reporting) -> Verdict:
    """The verdict with each arm's rate in its reason; inconclusive where unequal rates could explain it."""
    words = reporting.words
    if not words:
        return verdict
    if (
        verdict.outcome in {Outcome.PASS, Outcome.FAIL}
        and reporting.is_unequal
        and not _holds(verdict, rule, reporting)
    ):
        why = f"can't be judged fairly: {words}, and those who are missing could be why one looks better"
        return replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=why)
    return replace(verdict, reason=f"{verdict.reason} ({words})")


def _holds(verdict: Verdict, rule: GateRule, reporting: Reporting) -> bool:
    """Whether a pass or a fail stands whoever is missing; of magnitudes nobody can say."""
    candidate, stable = verdict.candidate_value, verdict.stable_value
    if rule.metric.is_relative or candidate is None or stable is None:
        return False
    flipped = rule.metric.higher_is_better
    harm = reporting.harm(1 - candidate, 1 - stable) if flipped else reporting.harm(candidate, stable)
    return harm.lower > rule.material if verdict.outcome is Outcome.FAIL else harm.upper <= rule.margin
