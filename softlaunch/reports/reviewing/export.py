"""What people said in reviews, for others to use: labels for the judges' calibration, cases for the golden set."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from softlaunch.evals.judges.labels import Drawn
from softlaunch.evals.judges.votes import EvalLabel, Vote
from softlaunch.ledger.review_draws import LabelledAnswer

_RIGHT = 0.5
_WORDS = {Vote.STABLE: "first", Vote.CANDIDATE: "second", Vote.TIE: "tie"}


def calibration_rows(labels: Sequence[EvalLabel]) -> Iterator[dict[str, Any]]:
    """One row for each pair of answers, with everybody's votes, as `softlaunch judge calibrate` reads it."""
    for own in _by_pair(labels):
        first = own[0]
        yield {
            "id": f"{first.run_id}/{first.case_id}",
            "question": first.question,
            "reference": first.reference,
            "answer_a": first.stable_answer,
            "answer_b": first.candidate_answer,
            "votes": [_WORDS[label.vote] for label in own],
            "drawn": Drawn.PICKED.value,
        }


def random_rows(labels: Iterable[LabelledAnswer]) -> Iterator[dict[str, Any]]:
    """One row for each answer that was drawn at random, as `softlaunch judge calibrate --kind grade` reads it.

    What people put in the upper half is right.
    """
    for label in labels:
        yield {
            "id": label.request_id,
            "question": label.question,
            "answer": label.answer,
            "votes": ["right" if label.value >= _RIGHT else "wrong"],
            "value": label.value,
            "drawn": Drawn.RANDOM.value,
            "probability": label.probability,
        }


def golden_cases(labels: Sequence[EvalLabel]) -> Iterator[dict[str, Any]]:
    """One case for each question whose better answer people agreed on, with that answer as its reference.

    It is scored by its similarity to that answer; a person who knows a better metric names it before the case is added.
    """
    seen = set()
    for own in _by_pair(labels):
        votes = {label.vote for label in own}
        better = next(iter(votes)) if len(votes) == 1 else Vote.TIE
        if better is Vote.TIE or own[0].question in seen:
            continue
        seen.add(own[0].question)
        answer = own[0].stable_answer if better is Vote.STABLE else own[0].candidate_answer
        yield {
            "id": f"reviewed-{own[0].run_id}-{own[0].case_id}",
            "question": own[0].question,
            "reference": answer,
            "metric": "similarity",
            "tags": ["reviewed"],
        }


def _by_pair(labels: Iterable[EvalLabel]) -> Iterable[list[EvalLabel]]:
    pairs: dict[tuple[str, str], list[EvalLabel]] = defaultdict(list)
    for label in labels:
        pairs[label.run_id, label.case_id].append(label)
    return pairs.values()
