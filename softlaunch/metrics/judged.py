"""Metrics that ask judges: a rubric for one answer, the claims of one answer, and which of two answers is better."""

import asyncio
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from softlaunch.metrics.asking import AskingMetric, Finding, Heard, Helpers, PairMetric, together, total
from softlaunch.metrics.interface import AnyMetric, Sample, Score
from softlaunch.metrics.judge_replies import Preferred, read_claims, read_grade, read_preference, reason_in

RUBRIC = "judge-rubric"
PAIRWISE = "judge-pairwise"
HALLUCINATION = "judge-hallucination"
JUDGE_PROMPTS = (RUBRIC, PAIRWISE, HALLUCINATION)
"""Names of the prompts that judges are asked with."""
_HELPFUL = "The answer is correct, complete, and helps the person who asked."
_SHARES = {Preferred.A: 1.0, Preferred.TIE: 0.5, Preferred.B: 0.0}


class Rubric(AskingMetric):
    """Judges grade the answer by a criterion; the score is the mean grade on the scale from 0 to 1."""

    name: ClassVar = "rubric"
    criterion: Annotated[str, Field(min_length=1)] = _HELPFUL
    """What a good answer does."""
    scale: Annotated[int, Field(ge=2, le=100)] = 5
    """The best grade; the worst is 1."""

    async def score(self, sample: Sample, helpers: Helpers) -> Score:
        """The judges' mean, with their reasons."""
        variables = {
            "criterion": self.criterion,
            "scale": str(self.scale),
            "answer": sample.answer,
            **_about(sample),
        }
        heard = await helpers.hear(RUBRIC, variables)
        return together([self._finding(one) for one in heard], total(heard))

    def _finding(self, heard: Heard) -> Finding:
        grade = None if heard.text is None else read_grade(heard.text, self.scale)
        if heard.text is None or grade is None:
            return Finding(None, heard.nonsense)
        return Finding((grade - 1) / (self.scale - 1), f"{heard.judge}: {grade:g}. {reason_in(heard.text)}")


class Pairwise(PairMetric):
    """Judges tell which answer is better, each in both orders; a judge that contradicts itself counts as a tie."""

    name: ClassVar = "pairwise"
    criterion: Annotated[str, Field(min_length=1)] = _HELPFUL
    """What makes an answer the better one."""

    async def compare(self, stable: Sample, candidate: Sample, helpers: Helpers) -> Score:
        """The mean over judges of: the candidate wins 1, neither wins 0.5, stable wins 0."""
        about = {"criterion": self.criterion, **_about(candidate)}
        first, second = await asyncio.gather(
            helpers.hear(PAIRWISE, {**about, "answer_a": candidate.answer, "answer_b": stable.answer}),
            helpers.hear(PAIRWISE, {**about, "answer_a": stable.answer, "answer_b": candidate.answer}),
        )
        findings = [_preference(*orders) for orders in zip(first, second, strict=True)]
        return together(findings, total(first) + total(second))


class Unit(StrEnum):
    """What a share of hallucination counts."""

    ANSWERS = "answers"
    CLAIMS = "claims"


class Hallucination(AskingMetric):
    """Judges check the answer's claims against the case's context; 1 means that no claim is unsupported."""

    name: ClassVar = "hallucination"
    of: Unit = Unit.ANSWERS
    """answers: 0 if any claim is unsupported. claims: the share of claims that are supported."""
    needs_context: bool = True
    """false: claims without a context are checked against the judge's knowledge; true: such answers are unscored."""

    async def score(self, sample: Sample, helpers: Helpers) -> Score:
        """The judges' mean, with the claims that nothing supports."""
        if self.needs_context and not sample.context:
            return Score(None, "the case has no context to check claims against")
        variables = {"question": sample.question, "context": sample.context or "", "answer": sample.answer}
        heard = await helpers.hear(HALLUCINATION, variables)
        return together([self._finding(one) for one in heard], total(heard))

    def _finding(self, heard: Heard) -> Finding:
        claims = None if heard.text is None else read_claims(heard.text)
        if claims is None:
            return Finding(None, heard.nonsense)
        wrong = [claim for claim in claims if not claim.supported]
        share = 1 - len(wrong) / len(claims) if claims else 1.0
        named = "; ".join(f"{claim.claim} ({claim.reason})" if claim.reason else claim.claim for claim in wrong)
        reason = f"{heard.judge}: {len(wrong)} of {len(claims)} claims unsupported{': ' if named else ''}{named}"
        return Finding(share if self.of is Unit.CLAIMS else float(not wrong), reason)


def asks_judges(metric: AnyMetric) -> bool:
    """Whether a metric needs a panel of judges."""
    return isinstance(metric, Rubric | Pairwise | Hallucination)


def _about(sample: Sample) -> dict[str, str]:
    expected = None if sample.expected is None else str(sample.expected)
    return {
        "question": sample.question,
        "context": sample.context or "",
        "reference": sample.reference or expected or "",
    }


def _preference(candidate_first: Heard, stable_first: Heard) -> Finding:
    """One judge's verdicts in both orders, from the candidate's side."""
    verdicts = [None if one.text is None else read_preference(one.text) for one in (candidate_first, stable_first)]
    for heard, verdict in zip((candidate_first, stable_first), verdicts, strict=True):
        if verdict is None:
            return Finding(None, heard.nonsense)
    as_first, as_second = _SHARES[verdicts[0]], 1 - _SHARES[verdicts[1]]  # type: ignore[index]  # None has returned
    reason = f"{candidate_first.judge}: {reason_in(candidate_first.text or '')}"
    if as_first != as_second:
        return Finding(0.5, f"{candidate_first.judge} prefers another answer in the other order. {reason}")
    return Finding(as_first, reason)
