"""The similarity of an answer and a good one, by their letters and words."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field
from rapidfuzz import fuzz

from softlaunch.core.bounded import OURS
from softlaunch.metrics.folding import normalise
from softlaunch.metrics.interface import Metric, Sample, Score

_QUICK = 100_000_000  # pairs of letters: a hundredth of a second


class Method(StrEnum):
    """What is compared."""

    LETTERS = "letters"  # the share of letters that need no edit
    WORDS = "words"  # the same over sorted words, so that their order doesn't matter
    SHARED_WORDS = "shared_words"  # words that only one text has don't count


_METHODS = {
    Method.LETTERS: fuzz.ratio,
    Method.WORDS: fuzz.token_sort_ratio,
    Method.SHARED_WORDS: fuzz.token_set_ratio,
}


class Similarity(Metric):
    """The similarity of the answer to the case's reference, or to its expected text if it has no reference."""

    name: ClassVar = "similarity"
    method: Method = Method.LETTERS
    """letters, words (in any order), or shared_words."""
    at_least: Annotated[float, Field(gt=0, le=1)] | None = None
    """The answer is right from this similarity on, otherwise wrong. Left out: the similarity itself is the score."""

    def score(self, sample: Sample) -> Score:
        """The similarity in [0, 1], up to case and whitespace."""
        reference = reference_of(sample)
        if reference is None:
            return Score(None, "the case has no reference to compare with")
        similarity = similarity_of(self.method, normalise(sample.answer), normalise(reference))
        return Score(
            similarity if self.at_least is None else float(similarity >= self.at_least), f"similarity {similarity:.3f}"
        )


def similarity_of(method: Method, one: str, other: str) -> float:
    """The similarity of two texts in [0, 1]. Raises BeyondLimitsError: its time grows with the product of lengths."""
    if len(one) * len(other) <= _QUICK:
        return _similarity(method, one, other)
    return OURS.call(_similarity, method, one, other)


def _similarity(method: Method, one: str, other: str) -> float:
    return _METHODS[method](one, other) / 100


def reference_of(sample: Sample) -> str | None:
    """A good answer to compare with; None where the case has none."""
    if sample.reference is not None:
        return sample.reference
    return None if sample.expected is None else str(sample.expected)
