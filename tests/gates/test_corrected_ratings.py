"""Ratings corrected by scores: what they cost, what they gain, and that no judge can bias them."""

from itertools import pairwise

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.corrected_ratings import PATIENCE, CorrectedRatings
from softlaunch.gates.observations import NO_EVENTS, Events, Floats
from softlaunch.gates.rules import REACH
from tests.support.judged_ratings import RATED, SCORED, JudgedAnswers


def said(metric: str, *rows: tuple[float, int, float], candidate: bool = False) -> Events:
    """Values of answers, as (when, answer, value); each answer is of a unit of its own."""
    at, answers, values = (np.array(column) for column in zip(*rows, strict=True))
    column = {RATED if metric == "ratings" else SCORED: values.astype(np.float64)}
    return Events(at.astype(np.float64), answers, np.full(len(at), candidate), column, answers=answers)


def corrected(answers: JudgedAnswers, seed: int, looks: int = 60, count: int = 200) -> tuple[CorrectedRatings, Events]:
    """Everything that is settled of so many minutes of answers."""
    rng, one, found = np.random.default_rng(seed), CorrectedRatings(RATED, SCORED), NO_EVENTS
    for look in range(looks):
        window = answers.window(rng, count, 60.0 * look)
        found = found.together(one.take(window.ratings[RATED], window.ratings[SCORED], window.until))
    return one, found


def of_arm(events: Events, *, candidate: bool) -> Floats:
    """The values of one arm."""
    return np.asarray(events.values[RATED][events.candidate == candidate])


def test_a_rating_waits_for_the_score_of_its_answer() -> None:
    """It is settled when the score arrives, and not before."""
    one = CorrectedRatings(RATED, SCORED)
    assert len(one.take(said("ratings", (10.0, 1, 1.0)), NO_EVENTS, 20.0)) == 0
    settled = one.take(NO_EVENTS, said("scores", (30.0, 1, 0.4)), 40.0)
    assert settled.at.tolist() == [30.0]
    assert one.samples.stable.pairs.count == 1


def test_a_rating_whose_answer_is_not_scored_is_settled_as_it_is() -> None:
    """After ten minutes nobody waits for a judge any more."""
    one = CorrectedRatings(RATED, SCORED)
    one.take(said("ratings", (10.0, 1, 0.25)), NO_EVENTS, 20.0)
    assert len(one.take(NO_EVENTS, NO_EVENTS, 10.0 + PATIENCE)) == 0
    settled = one.take(NO_EVENTS, said("scores", (11.0 + PATIENCE, 1, 1.0)), 12.0 + PATIENCE)
    assert (settled.at.tolist(), settled.values[RATED].tolist()) == ([10.0 + PATIENCE], [0.25])
    assert one.samples.stable.pairs.count == 0


def test_a_score_that_no_rating_found_is_one_of_the_others() -> None:
    """A rating that comes later than ten minutes is not paired, because its score was used already."""
    one = CorrectedRatings(RATED, SCORED)
    one.take(NO_EVENTS, said("scores", (10.0, 1, 1.0), (11.0, 2, 0.0)), 20.0)
    one.take(said("ratings", (20.0 + PATIENCE, 1, 1.0)), NO_EVENTS, 30.0 + PATIENCE)
    settled = one.take(said("ratings", (40.0 + PATIENCE, 3, 1.0)), said("scores", (40.0 + PATIENCE, 3, 1.0)), 2000.0)
    assert len(settled) == 2
    assert one.samples.stable.pairs.count == 1
    assert one.samples.stable.others.count == 2


def test_an_answer_is_scored_once() -> None:
    """What a second judge says of an answer, or what users rate of it again, is no second pair."""
    one = CorrectedRatings(RATED, SCORED)
    one.take(said("ratings", (10.0, 1, 1.0), (11.0, 1, 0.0)), said("scores", (12.0, 1, 1.0), (13.0, 1, 0.0)), 20.0)
    one.take(NO_EVENTS, said("scores", (21.0, 1, 0.5)), 30.0)
    one.take(NO_EVENTS, NO_EVENTS, 2000.0)
    assert one.samples.stable.pairs.count == 1
    assert one.samples.stable.others.count == 0


def test_labels_of_drawn_answers_find_the_scores_of_hours_before() -> None:
    """Who labels has nothing to do with what is said, so that others' scores are free at once and may be paired yet."""
    one = CorrectedRatings.of_labels(RATED, SCORED)
    one.take(NO_EVENTS, said("scores", (10.0, 1, 1.0), (11.0, 2, 0.0)), 20.0)
    one.take(said("ratings", (7210.0, 1, 1.0)), NO_EVENTS, 7300.0)
    assert one.samples.stable.pairs.count == 1
    assert one.samples.stable.others.count == 2
    assert len(one.take(said("ratings", (90_000.0, 2, 1.0)), NO_EVENTS, 90_010.0)) == 0  # a day later it waits in vain
    one.take(NO_EVENTS, NO_EVENTS, 91_000.0)
    assert one.samples.stable.pairs.count == 1


def test_a_source_that_does_not_tell_answers_apart_corrects_nothing() -> None:
    """Ratings without the answers that they are of go on as they came."""
    ratings = Events(np.array([1.0]), np.array([1]), np.array([True]), {RATED: np.array([0.5])})
    assert CorrectedRatings(RATED, SCORED).take(ratings, NO_EVENTS, 2.0) is ratings


@pytest.mark.parametrize("seed", range(3))
def test_how_time_is_cut_changes_no_digit(seed: int) -> None:
    """One long window settles the same as many short ones, in the same order, and so does who took over half-way."""
    window = JudgedAnswers().window(np.random.default_rng(seed), 6000, 0.0, 3600.0)
    ratings, scores = window.ratings[RATED], window.ratings[SCORED]
    whole = CorrectedRatings(RATED, SCORED).take(ratings, scores, 3600.0)
    one, found, edges = CorrectedRatings(RATED, SCORED), NO_EVENTS, np.linspace(0.0, 3600.0, 97)
    for begin, end in pairwise(edges.tolist()):
        rated, scored = (each.only((each.at >= begin) & (each.at < end)) for each in (ratings, scores))
        found = found.together(one.take(rated, scored, end))
        heir = CorrectedRatings(RATED, SCORED)
        heir.recall(one)
        one.take(said("ratings", (end, 5, 1.0)), said("scores", (end, 5, 0.0)), np.inf)  # whose step was lost
        one = heir
    assert found.at.tolist() == whole.at.tolist()
    assert found.units.tolist() == whole.units.tolist()
    assert found.values[RATED].tolist() == whole.values[RATED].tolist()


@pytest.mark.long
@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(JudgedAnswers(), id="a judge that treats both alike"),
        pytest.param(JudgedAnswers(liking=0.5), id="a judge that likes the candidate"),
        pytest.param(JudgedAnswers(scored=(1.0, 0.2)), id="a fifth of stable's answers scored"),
        pytest.param(JudgedAnswers(rated=(0.3, 0.1)), id="the candidate rated three times as often"),
        pytest.param(JudgedAnswers(harm=0.1, liking=0.3), id="a harmed candidate that the judge likes"),
    ],
)
def test_no_bias_of_the_judge_counts(answers: JudgedAnswers) -> None:
    """The mean of corrected ratings is that of what users would say, in each arm."""
    settled = [corrected(answers, seed, looks=25, count=400)[1] for seed in range(5)]
    for candidate, mean in ((True, answers.content - answers.harm), (False, answers.content)):
        values = np.concatenate([of_arm(one, candidate=candidate) for one in settled])
        assert values.mean() == pytest.approx(mean, abs=3.5 * values.std() / np.sqrt(len(values)))


@pytest.mark.parametrize(("agreement", "rate"), [(0.7, 0.05), (0.7, 0.2), (0.4, 0.1), (0.0, 0.1)])
def test_the_variance_is_that_of_the_paper(agreement: float, rate: float) -> None:
    """It falls by the square of the correlation, times the share of answers that nobody rated."""
    rated = (rate, rate)
    values = np.concatenate(
        [of_arm(corrected(JudgedAnswers(agreement=agreement, rated=rated), seed)[1], candidate=True) for seed in (1, 2)]
    )
    known = values[len(values) // 3 :]  # the first ones are corrected by what is hardly known
    assert known.var() / 0.16 == pytest.approx(1 - agreement**2 * (1 - rate), abs=0.1)


def test_a_useless_judge_costs_next_to_nothing() -> None:
    """Scores that have nothing to do with ratings leave these as they are, but for a hundredth."""
    one, settled = corrected(JudgedAnswers(agreement=0.0), 3)
    assert one.foretelling(10).slope < 0.1
    values = of_arm(settled, candidate=True)
    assert values.var() < 1.01 * values.mean() * (1 - values.mean())


def test_corrected_ratings_stay_within_reach() -> None:
    """However a judge's scores lie, no value is further beyond [0, 1] than bets reckon with."""
    one, settled = corrected(JudgedAnswers(agreement=1.0, liking=0.9, rated=(0.5, 0.02)), 4)
    assert -REACH <= settled.values[RATED].min() < -0.05
    assert settled.values[RATED].max() <= 1 + REACH
    assert one.foretelling(100).slope > 0.5


def test_scores_of_what_is_worse_count_the_other_way_round() -> None:
    """Hallucinations foretell that fewer are content."""
    window = JudgedAnswers().window(np.random.default_rng(5), 4000, 0.0)
    scores = window.ratings[SCORED]
    column = {Metric.HALLUCINATION: 1 - scores.values[SCORED]}
    worse = Events(scores.at, scores.units, scores.candidate, column, answers=scores.answers)
    usual, turned = CorrectedRatings(RATED, SCORED), CorrectedRatings(RATED, Metric.HALLUCINATION)
    same = usual.take(window.ratings[RATED], scores, 60.0).values[RATED].tolist()
    assert turned.take(window.ratings[RATED], worse, 60.0).values[RATED].tolist() == same
    assert turned.foretelling(9).slope == pytest.approx(usual.foretelling(9).slope) != 0


def test_raters_who_differ_by_arm_end_the_prediction() -> None:
    """Where content users rate the candidate far more often, as the judge sees too, ratings stand for themselves."""
    fair, _ = corrected(JudgedAnswers(), 6)
    unfair, _ = corrected(JudgedAnswers(mood=5.0, rated=(0.1, 0.1)), 6)
    assert not fair.selects_unequally
    assert unfair.selects_unequally
    assert unfair.foretelling(10).slope == 0.0


def test_stable_s_past_teaches_the_slope() -> None:
    """A stage begins with what judges' scores were worth before it, and with how ratings were spread once corrected."""
    past = JudgedAnswers(share=0.0).window(np.random.default_rng(7), 3000, 0.0)
    one = CorrectedRatings(RATED, SCORED)
    usual = one.learn(past.ratings[RATED], past.ratings[SCORED])
    assert one.foretelling(9).slope == pytest.approx(0.7 * 0.9, abs=0.1)
    assert usual.values[RATED].var() < 0.75 * past.ratings[RATED].values[RATED].var()
