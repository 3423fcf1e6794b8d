"""Ratings corrected by what judges say of answers, so that few of them tell as much as more would.

Each rating `y` whose answer has a score `f` becomes `y - (g(f) - mean of g)`, where the mean is over scores of answers
of the same arm that nobody rated, none of which was used before, and `g` foretells a rating from a score. If
raters are like the others of their arm, the mean of a corrected rating is that of a rating, whatever the judge thinks
and however differently it likes the arms: what the judge is off is taken away with every rating. What it is right about
is gone from the variance. `g` is fitted on what was paired before, so that an e-process on corrected ratings is one.

This is prediction-powered inference (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453) rating by rating: with `m`
scores of others for each, the slope of PPI++ is the regression's times `m / (m + 1)`, and so is the gain in variance.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.foretelling import Foretelling, Pool
from softlaunch.gates.observations import Events, Flags, Floats, Units
from softlaunch.gates.prediction_powered import Pairs, Sample
from softlaunch.gates.reference import ENOUGH
from softlaunch.gates.visits import Booked

PATIENCE = 600.0
"""Seconds that a rating waits for a score of its answer, and a score for a rating."""
_LABELLED_LATER = 86_400.0
_FEWEST_PAIRS = 20
_DOUBT = 2.0  # squares of standard errors: what a slope is less sure than is not bet on
_SURELY = 3.0  # standard errors
_FEWEST_COMPARED = 30
_SAID = np.dtype(
    [
        ("at", np.float64),
        ("unit", np.int64),
        ("candidate", np.bool_),
        ("answer", np.int64),
        ("value", np.float64),
    ]
)
Said = NDArray[np.void]


@dataclass(slots=True, eq=False)
class CorrectedRatings:
    """One metric's ratings, corrected by the scores of another, in the order in which they are settled.

    A rating is settled when its answer has a score, or after `PATIENCE` without one. A score may be paired for `memory`
    seconds, and is one of the others' once it found no rating for `held_for`: where that is as long, each answer is
    used once. Each unit is used once for the sums and for the pools. What is settled depends on what was said and when,
    and not on when somebody looked. `before` are pairs of stable's past.
    """

    metric: Metric
    by: Metric
    before: Pairs = field(default_factory=Pairs.none)
    memory: float = PATIENCE
    held_for: float = PATIENCE
    samples: ByArm[Sample] = field(default_factory=lambda: ByArm(Sample.none(), Sample.none()))
    _ratings: Said = field(default_factory=lambda: np.empty(0, _SAID))
    _scores: Said = field(default_factory=lambda: np.empty(0, _SAID))
    _pools: ByArm[Pool] = field(default_factory=lambda: ByArm(Pool(), Pool()))
    _scored: Booked = field(default_factory=Booked)
    _pooled: Booked = field(default_factory=Booked)
    _heard: Booked = field(default_factory=Booked)
    _reached: float = -np.inf

    @classmethod
    def of_labels(cls, metric: Metric, by: Metric) -> Self:
        """Ratings by people who label answers that were drawn at random, hours later as it may be.

        Whom they label has nothing to do with what they say, so that nobody is waited for; a score may first be one of
        the others' and then that of a label.
        """
        return cls(metric, by, memory=_LABELLED_LATER, held_for=0.0)

    def take(self, ratings: Events, scores: Events, now: float) -> Events:
        """Fold in what was said up to `now` (epoch seconds); returns the ratings that are settled, in order."""
        if ratings.answers is None and len(ratings):
            return ratings  # whose answers they are isn't told
        self._ratings = np.concatenate([self._ratings, _said(ratings, self.metric)])
        self._scores = np.concatenate([self._scores, self._fresh(_said(scores, self.by))])
        settled, found, paired = self._settled(now)
        self._fill_pools(now)
        first = self._first_of_unit(settled)
        values = [
            self._corrected(rating, None if place < 0 else float(paired["value"][place]), is_first)
            for rating, place, is_first in zip(settled, found.tolist(), first.tolist(), strict=True)
        ]
        return Events(
            settled["at"].copy(),
            settled["unit"].copy(),
            settled["candidate"].copy(),
            {self.metric: np.array(values, dtype=np.float64)},
        )

    def _fresh(self, scores: Said) -> Said:
        """Each answer's first score, turned so that more of it is better where more of the rating is."""
        _, first = np.unique(scores["answer"], return_index=True)
        scores = scores[np.sort(first)]
        scores = scores[~self._scored.holds(scores["answer"])]
        self._scored = self._scored.together_with(np.sort(scores["answer"]))
        if self.metric.higher_is_better is not self.by.higher_is_better:
            scores["value"] = 1 - scores["value"]
        return scores

    def _settled(self, now: float) -> tuple[Said, Units, Said]:
        """The ratings that are settled, by when they are, and the place of each one's score in the last; -1: none."""
        ratings, scores = self._ratings, self._scores
        order = np.argsort(scores["answer"], kind="stable")
        place = _places(scores["answer"][order], ratings["answer"])
        score_at = np.where(place >= 0, scores["at"][order][place] if len(scores) else np.inf, np.inf)
        paired = _firsts(place, (place >= 0) & self._fits(score_at - ratings["at"]))
        at = np.where(paired, np.maximum(score_at, ratings["at"]), ratings["at"] + PATIENCE)
        done = at < now
        used = order[place[paired & done]]
        settled = ratings[done]
        settled["at"] = at[done]
        found, known = np.where(paired, place, -1)[done], scores[order]
        self._ratings = ratings[~done]
        self._scores = np.delete(scores, used)
        in_order = np.argsort(settled["at"], kind="stable")
        return settled[in_order], found[in_order], known

    def _fits(self, later: Floats) -> Flags:
        """Whether a score that came so many seconds later than a rating is still that rating's."""
        return np.asarray((later <= PATIENCE) & (-later <= self.memory))

    def _fill_pools(self, now: float) -> None:
        """Take scores that found no rating in time into the pools, each unit's first."""
        free_at = self._scores["at"] + self.held_for
        others = self._scores[(free_at < now) & (free_at >= self._reached)]
        self._scores = self._scores[self._scores["at"] + self.memory >= now]
        self._reached = now
        others = others[np.argsort(others["at"], kind="stable")]
        _, first = np.unique(others["unit"], return_index=True)
        others = others[np.sort(first)]
        others = others[~self._pooled.holds(others["unit"])]
        self._pooled = self._pooled.together_with(np.sort(others["unit"]))
        for pool, of_arm in ((self._pools.candidate, others["candidate"]), (self._pools.stable, ~others["candidate"])):
            pool.add(others["at"][of_arm] + self.held_for, others["value"][of_arm])

    def _first_of_unit(self, settled: Said) -> Flags:
        _, earliest = np.unique(settled["unit"], return_index=True)
        first = np.zeros(len(settled), np.bool_)
        first[earliest] = True
        first &= ~self._heard.holds(settled["unit"])
        self._heard = self._heard.together_with(np.sort(settled["unit"][first]))
        return first

    def _corrected(self, rating: np.void, score: float | None, is_first: bool) -> float:  # noqa: FBT001
        """The rating as it is bet on; what is known of the arm grows afterwards."""
        is_candidate, value = bool(rating["candidate"]), float(rating["value"])
        arm = self.samples.candidate if is_candidate else self.samples.stable
        corrected = value
        if score is not None:
            pool = self._pools.candidate if is_candidate else self._pools.stable
            arm.others.add(pool.until(float(rating["at"])))
            others = pool.draw(arm.others.count)
            if len(others):
                foretold = self.foretelling(len(others))
                corrected -= float(foretold(np.array([score]))[0] - foretold(others).mean())
        if is_first:
            arm.ratings.include(value)
            if score is not None:
                arm.pairs.add(score, value)
        return corrected

    def foretelling(self, others: int) -> Foretelling:
        """What ratings are likely to be by their scores, as known so far, for so many scores of others.

        The slope is the regression's within arms. It is smaller the less sure it is, so that a useless judge is left
        out, and zero where raters evidently differ from the others otherwise than in the other arm.
        """
        known = (self.before, self.samples.candidate.pairs, self.samples.stable.pairs)
        count = sum(pairs.count for pairs in known)
        usual_score = sum(pairs.scores.total for pairs in known) / max(count, 1.0)
        usual_rating = sum(pairs.ratings.total for pairs in known) / max(count, 1.0)
        spread = sum(pairs.scores.deviations for pairs in known)
        if count < _FEWEST_PAIRS or spread <= 0 or self.selects_unequally:
            return Foretelling(usual_score, usual_rating, 0.0)
        slope = sum(pairs.codeviations for pairs in known) / spread
        left = max(sum(pairs.ratings.deviations for pairs in known) - slope**2 * spread, 0.0)
        doubt = _DOUBT * left / (count - 1) / spread
        sure = max(1 - doubt / slope**2, 0.0) if slope > 0 else 0.0
        return Foretelling(usual_score, usual_rating, slope * sure * others / (others + 1))

    @property
    def selects_unequally(self) -> bool:
        """Whether the scores show that raters of the two arms differ from the others of their arm unequally."""
        gap, variance = 0.0, 0.0
        for arm, sign in ((self.samples.candidate, 1), (self.samples.stable, -1)):
            for some, turn in ((arm.pairs.scores, sign), (arm.others, -sign)):
                if some.count < _FEWEST_COMPARED:
                    return False
                gap += turn * some.mean
                variance += some.deviations / some.count**2
        return abs(gap) > _SURELY * float(np.sqrt(variance))

    def learn(self, ratings: Events, scores: Events) -> Events:
        """Know stable's pairs of before the stage; returns what its ratings are like once corrected."""
        first = type(self)(self.metric, self.by, memory=self.memory)
        first.take(ratings, scores, np.inf)
        self.before = first.samples.stable.pairs
        again = type(self)(self.metric, self.by, self.before, self.memory, held_for=0.0)
        corrected = again.take(ratings, scores, np.inf)
        changed = np.isin(corrected.values[self.metric], ratings.values[self.metric], invert=True)
        return corrected.only(changed) if changed.sum() >= ENOUGH else corrected

    def recall(self, other: Self) -> None:
        """Know what another object knows that was told the same; each goes on by itself."""
        self.before, self.samples = other.before, deepcopy(other.samples)
        self._ratings, self._scores, self._pools = other._ratings, other._scores, deepcopy(other._pools)
        self._scored, self._pooled, self._heard = other._scored, other._pooled, other._heard
        self._reached = other._reached


def _said(events: Events, metric: Metric) -> Said:
    if not len(events) or events.answers is None:
        return np.empty(0, _SAID)
    rows = np.empty(len(events), _SAID)
    rows["at"], rows["unit"], rows["candidate"] = events.at, events.units, events.candidate
    rows["answer"], rows["value"] = events.answers, events.values[metric]
    return np.asarray(rows[~np.isnan(rows["value"])])


def _firsts(place: Units, chosen: Flags) -> Flags:
    """Of the chosen ones, shape (n,), the first of each place."""
    kept = np.zeros(len(place), np.bool_)
    rows = np.flatnonzero(chosen)
    _, first = np.unique(place[rows], return_index=True)
    kept[rows[first]] = True
    return kept


def _places(known: Units, wanted: Units) -> Units:
    """Where each wanted one is among known ones, ascending; -1 where it isn't."""
    place = np.searchsorted(known, wanted)
    inside = place < len(known)
    inside[inside] = known[place[inside]] == wanted[inside]
    return np.where(inside, place, -1)
