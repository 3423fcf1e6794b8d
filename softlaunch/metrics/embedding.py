"""The similarity of meaning of an answer and a good one, by an embedding model."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from softlaunch.metrics.asking import AskingMetric, Helpers
from softlaunch.metrics.interface import Sample, Score, Spent
from softlaunch.metrics.similarity import reference_of

_MILLION = 1_000_000


class Embedding(AskingMetric):
    """Cosine similarity of the answer and the case's reference, from any endpoint with /v1/embeddings."""

    name: ClassVar = "embedding"
    endpoint: Annotated[str, Field(pattern=r"^https?://")]
    """The base URL up to and including /v1."""
    model: Annotated[str, Field(min_length=1)]
    """The exact model id."""
    api_key_env: str | None = None
    """The environment variable that holds the key."""
    input_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    """USD per million tokens. Left out: the cost is unknown."""
    at_least: Annotated[float, Field(gt=0, le=1)] | None = None
    """The answer is right from this similarity on, otherwise wrong. Left out: the similarity itself is the score."""

    async def score(self, sample: Sample, helpers: Helpers) -> Score:
        """The similarity, opposite meanings counting as 0."""
        reference = reference_of(sample)
        if reference is None:
            return Score(None, "the case has no reference to compare with")
        if not sample.answer.strip():
            return Score(0.0, "the answer is empty")
        vectors = await helpers.embed(self.endpoint, self.model, self.api_key_env, (sample.answer, reference))
        spent = Spent(1, self._cost(vectors.input_tokens))
        cosine = _cosine(*vectors.values) if vectors.values is not None else None
        if cosine is None:
            return Score(None, f"{self.model}: {vectors.error or 'no direction'}", spent)
        value = min(1.0, max(0.0, cosine))
        return Score(
            value if self.at_least is None else float(value >= self.at_least), f"similarity {cosine:.3f}", spent
        )

    def _cost(self, tokens: int | None) -> float | None:
        if tokens is None or self.input_usd_per_million is None:
            return None
        return tokens * self.input_usd_per_million / _MILLION


def _cosine(one: Sequence[float], other: Sequence[float]) -> float | None:
    """None where a vector is zero or not finite, or the two have different lengths."""
    length = math.hypot(*one) * math.hypot(*other)
    if len(one) != len(other) or not length or not math.isfinite(length):
        return None
    return sum(left * right for left, right in zip(one, other, strict=True)) / length
