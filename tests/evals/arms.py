"""Answers of an eval as short as tests want to write them."""

from collections.abc import Iterable, Sequence

from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.suites.suite import Case
from softlaunch.metrics import ACCURACY


def cases(count: int) -> list[Case]:
    """So many cases, `c0`, `c1` and so on, all expecting `yes`."""
    return [Case(id=f"c{number}", question=f"question {number}", expected="yes") for number in range(count)]


def answers(arm: EvalArm, results: Iterable[Sequence[float | None]], **fields: float | None) -> list[EvalAnswer]:
    """One sequence per case: the score of each repeat, None for a call without one."""
    return [
        answer(CallKey(arm, f"c{number}", repeat), score, **fields)
        for number, scores in enumerate(results)
        for repeat, score in enumerate(scores)
    ]


def answer(key: CallKey, score: float | None, **fields: float | None) -> EvalAnswer:
    """A scored answer, or a timeout."""
    if score is None:
        return EvalAnswer(key, key.arm, Status.UNSCORED, error="timeout")
    text = "yes" if score == 1 else "no"
    known = {"latency_ms": 100.0, "cost_usd": 0.001, **fields}
    return EvalAnswer(key, key.arm, Status.SCORED, answer=text, scores={ACCURACY: score}, **known)  # type: ignore[arg-type]  # tests pass floats


def stable(results: Iterable[Sequence[float | None]], **fields: float | None) -> list[EvalAnswer]:
    """Answers of the stable arm."""
    return answers(EvalArm.STABLE, results, **fields)


def candidate(results: Iterable[Sequence[float | None]], **fields: float | None) -> list[EvalAnswer]:
    """Answers of the candidate arm."""
    return answers(EvalArm.CANDIDATE, results, **fields)
