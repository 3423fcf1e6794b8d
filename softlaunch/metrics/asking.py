"""Metrics that must ask somebody: what they get to ask with, and how several judges' answers become one score."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from softlaunch.metrics.interface import NOTHING_SPENT, AnyMetric, Sample, Score, Spent


@dataclass(frozen=True, slots=True)
class Heard:
    """What one judge said: a text, or the code of the error that came in its place."""

    judge: str
    text: str | None
    error: str | None
    spent: Spent

    @property
    def nonsense(self) -> str:
        """Why a text that can't be read, or no text, gives no score."""
        if self.text is None:
            return f"{self.judge}: {self.error}"
        return f"{self.judge} said what can't be read: {' '.join(self.text.split())[:80]!r}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one judge's answer came to: a value in [0, 1] with its reason, or None with what was wrong."""

    value: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Vectors:
    """Texts as an embedding model places them, or the code of the error that came in their place."""

    values: tuple[tuple[float, ...], ...] | None
    error: str | None
    input_tokens: int | None


class Helpers(Protocol):
    """Whom a metric can ask."""

    async def hear(self, prompt: str, variables: Mapping[str, str]) -> Sequence[Heard]:
        """What each judge says to a prompt with these variables, at least one, always in the same order."""

    async def embed(self, endpoint: str, model: str, api_key_env: str | None, texts: Sequence[str]) -> Vectors:
        """The vectors of some texts."""


class AskingMetric(AnyMetric):
    """A metric of one answer that asks judges or an endpoint, which takes time and money."""

    @abstractmethod
    async def score(self, sample: Sample, helpers: Helpers) -> Score:
        """The score of one answer. Nobody who could be asked, or nonsense said, makes it unscored."""


class PairMetric(AnyMetric):
    """A metric of two answers to the same question; stable's score is 1 minus the candidate's."""

    @abstractmethod
    async def compare(self, stable: Sample, candidate: Sample, helpers: Helpers) -> Score:
        """The candidate's score: 1 where it is better, 0.5 where neither is."""


def together(findings: Sequence[Finding], spent: Spent) -> Score:
    """The judges' mean where more than half of them can be read; else unscored, with what was wrong."""
    values = [found.value for found in findings if found.value is not None]
    reason = "\n".join(found.reason for found in findings if found.reason)
    if 2 * len(values) <= len(findings):
        return Score(None, reason, spent)
    return Score(sum(values) / len(values), reason, spent)


def total(heard: Sequence[Heard]) -> Spent:
    """What several answers of judges have cost."""
    return sum((one.spent for one in heard), NOTHING_SPENT)
