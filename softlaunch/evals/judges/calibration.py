"""Calibration: a judge's verdicts against people's labels, and whether it may gate."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from softlaunch.evals.judges.agreement import Agreement, PositionBias, agreement_of, among_people, position_bias
from softlaunch.evals.judges.labels import FIRST, NO, RIGHT, SECOND, TIE, WRONG, YES, Kind, Label, Labels
from softlaunch.metrics.asking import Heard, Helpers, total
from softlaunch.metrics.interface import NOTHING_SPENT, Sample, Spent
from softlaunch.metrics.judge_replies import Preferred, read_preference
from softlaunch.metrics.judged import HALLUCINATION, PAIRWISE, RUBRIC, Hallucination, Pairwise, Rubric

PROMPT_OF = {Kind.PREFERENCE: PAIRWISE, Kind.HALLUCINATION: HALLUCINATION, Kind.GRADE: RUBRIC}
"""The prompt that a judge is asked with for each kind of label."""
_AS_SHOWN = {Preferred.A: FIRST, Preferred.B: SECOND, Preferred.TIE: TIE}
_TURNED = {Preferred.A: SECOND, Preferred.B: FIRST, Preferred.TIE: TIE}
_PASSING_GRADE = 0.5


@dataclass(frozen=True, slots=True)
class Verdicts:
    """A judge's verdict on one item: None is unreadable. Pairs were asked in both orders, unless it was recorded."""

    verdict: str | None
    as_shown: str | None = None
    turned: str | None = None
    spent: Spent = NOTHING_SPENT


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge measured against people. `people_kappa` is what people reach among themselves, None for one person."""

    kind: Kind
    agreement: Agreement
    bias: PositionBias | None
    people_kappa: float | None
    split: int
    spent: Spent


def calibrate_recorded(labels: Labels) -> Calibration:
    """From verdicts that stand beside the labels; they were given in the order in which the answers stand."""
    return _calibration(labels, [Verdicts(item.judge, as_shown=item.judge) for item in labels.items])


async def calibrate(labels: Labels, helpers: Helpers, concurrency: int = 16) -> Calibration:
    """Ask the judges about every item, pairs in both orders."""
    gate = asyncio.Semaphore(concurrency)

    async def judged(item: Label) -> Verdicts:
        async with gate:
            return await _ASKED[labels.kind](item, helpers)

    return _calibration(labels, await asyncio.gather(*(judged(item) for item in labels.items)))


def below_minimum(calibration: Calibration, minimum_kappa: float) -> str | None:
    """Why a judge may not gate, None where it may. Kappa must be shown to reach the minimum: its lower bound counts."""
    kappa = calibration.agreement.kappa
    if kappa is None:
        return "people's labels are all the same, so the judge's kappa is unknown"
    if kappa.lower < minimum_kappa:
        return (
            f"kappa {kappa.value:.3f} [{kappa.lower:.3f}, {kappa.upper:.3f}] on {calibration.agreement.items} items "
            f"isn't shown to reach the minimum of {minimum_kappa:g}"
        )
    return None


def _calibration(labels: Labels, verdicts: Sequence[Verdicts]) -> Calibration:
    pairs = [(item.people, one.verdict) for item, one in zip(labels.items, verdicts, strict=True)]
    bias = None
    if labels.kind is Kind.PREFERENCE:
        shown = [(item.people, one.as_shown) for item, one in zip(labels.items, verdicts, strict=True)]
        orders = [(one.as_shown, one.turned) for one in verdicts if one.spent.calls]
        bias = position_bias(shown, FIRST, SECOND, orders)
    return Calibration(
        kind=labels.kind,
        agreement=agreement_of(pairs),
        bias=bias,
        people_kappa=among_people(item.votes for item in labels.items),
        split=labels.split,
        spent=sum((one.spent for one in verdicts), NOTHING_SPENT),
    )


async def _ask_preference(item: Label, helpers: Helpers) -> Verdicts:
    about = {
        "criterion": Pairwise().criterion,
        "question": item.question,
        "context": item.context,
        "reference": item.reference,
    }
    shown, turned = await asyncio.gather(
        helpers.hear(PAIRWISE, {**about, "answer_a": item.answer_a, "answer_b": item.answer_b}),
        helpers.hear(PAIRWISE, {**about, "answer_a": item.answer_b, "answer_b": item.answer_a}),
    )
    as_shown, as_turned = _voted(shown, _AS_SHOWN), _voted(turned, _TURNED)
    verdict = None if as_shown is None or as_turned is None else as_shown if as_shown == as_turned else TIE
    return Verdicts(verdict, as_shown, as_turned, total(shown) + total(turned))


def _voted(heard: Sequence[Heard], words: dict[Preferred, str]) -> str | None:
    """The judges' majority, a tie where there is none; None unless more than half of them can be read."""
    read = [read_preference(one.text) for one in heard if one.text is not None]
    votes = [words[one] for one in read if one is not None]
    if 2 * len(votes) <= len(heard):
        return None
    return max(set(votes), key=votes.count) if 2 * max(map(votes.count, votes)) > len(votes) else TIE


async def _ask_hallucination(item: Label, helpers: Helpers) -> Verdicts:
    sample = Sample(answer=item.answer, question=item.question, context=item.context or None)
    score = await Hallucination(needs_context=False).score(sample, helpers)
    verdict = None if score.value is None else NO if score.value > _PASSING_GRADE else YES
    return Verdicts(verdict, spent=score.spent)


async def _ask_grade(item: Label, helpers: Helpers) -> Verdicts:
    sample = Sample(
        answer=item.answer, question=item.question, context=item.context or None, reference=item.reference or None
    )
    score = await Rubric().score(sample, helpers)
    verdict = None if score.value is None else RIGHT if score.value >= _PASSING_GRADE else WRONG
    return Verdicts(verdict, spent=score.spent)


_ASKED = {
    Kind.PREFERENCE: _ask_preference,
    Kind.HALLUCINATION: _ask_hallucination,
    Kind.GRADE: _ask_grade,
}
