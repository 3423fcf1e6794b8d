"""The predictions of a stage: for each gate on ratings that judges' scores predict, its corrected ratings."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Prediction, Verdict
from softlaunch.gates.corrected_ratings import CorrectedRatings
from softlaunch.gates.observations import NO_EVENTS, Window
from softlaunch.gates.prediction_powered import Pairs, difference
from softlaunch.gates.rules import GateRule


@dataclass(slots=True, eq=False)
class Predictions:
    """Corrected ratings by metric; none where no gate is predicted."""

    by_metric: Mapping[Metric, CorrectedRatings] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: Iterable[GateRule], drawn: Collection[str], state: Mapping[str, Any] | None = None) -> Self:
        """Nothing said as yet, by what was dumped of the time before the stage.

        `drawn` are the metrics that people label of answers drawn at random.
        """
        found = {
            rule.metric: (CorrectedRatings.of_labels if rule.metric in drawn else CorrectedRatings)(
                rule.metric, rule.predicted_by
            )
            for rule in rules
            if rule.predicted_by is not None
        }
        for metric, pairs in (state or {}).items():
            found[Metric.reported(metric)].before = Pairs.load(pairs)
        return cls(found)

    def learn(self, history: Window) -> Window:
        """Know stable's past; returns it with ratings as they are once corrected."""
        if not self.by_metric:
            return history
        learnt = {
            metric: one.learn(history.ratings[metric], history.ratings.get(one.by, NO_EVENTS))
            for metric, one in self.by_metric.items()
            if len(history.ratings.get(metric, NO_EVENTS))
        }
        return replace(history, ratings={**history.ratings, **learnt})

    def correct(self, window: Window) -> Window:
        """Fold in a window; returns it with the ratings that are settled in the place of those that came."""
        if not self.by_metric:
            return window
        settled = {
            metric: one.take(window.ratings.get(metric, NO_EVENTS), window.ratings.get(one.by, NO_EVENTS), window.until)
            for metric, one in self.by_metric.items()
        }
        return replace(window, ratings={**window.ratings, **settled})

    def recall(self, other: Self) -> None:
        """Know what is known elsewhere with the same gates."""
        for metric, one in self.by_metric.items():
            one.recall(other.by_metric[metric])

    def told(self, verdict: Verdict, rule: GateRule) -> Verdict:
        """The verdict of a predicted gate with what scores add to its ratings."""
        one = self.by_metric.get(rule.metric)
        if one is None:
            return verdict
        prediction = _prediction(one)
        reason = f"{verdict.reason} ({self._words(one, prediction)})"
        return replace(verdict, reason=reason, prediction=prediction)

    @staticmethod
    def _words(one: CorrectedRatings, prediction: Prediction | None) -> str:
        arms = one.samples
        scored = round(arms.candidate.pairs.count + arms.stable.pairs.count)
        ratings = round(arms.candidate.ratings.count + arms.stable.ratings.count)
        if not scored:
            return f"not helped by {one.by}: none of {ratings} rated answers has a score"
        if one.selects_unequally:
            return f"not helped by {one.by}: by its scores, other answers are rated on the candidate than on stable"
        heard = f"{scored} of {ratings} rated answers have a score of {one.by}"
        return heard if prediction is None else f"{heard}, interval {100 * prediction.narrower:.0f} % narrower by it"

    def dump(self) -> dict[str, Any]:
        """What is known from before the stage, as JSON values: the rest is read again."""
        return {metric.value: one.before.dump() for metric, one in self.by_metric.items()}


def _prediction(one: CorrectedRatings) -> Prediction | None:
    plain, powered = difference(one.samples, powered=False), difference(one.samples, powered=True)
    if plain is None or powered is None:
        return None
    arms = (one.samples.candidate, one.samples.stable)
    ratings = round(sum(arm.ratings.count for arm in arms))
    return Prediction(one.by, ratings, round(sum(arm.pairs.count for arm in arms)), plain, powered)
