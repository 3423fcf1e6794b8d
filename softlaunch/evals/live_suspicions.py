"""What about the answers of an eval looks wrong, whatever the figures say: as of recorded outputs, of live ones.

A golden set's ids are unique, so nothing carries two questions. References that never vary are the set's own upkeep.
"""

from collections.abc import Iterator, Sequence

from softlaunch.core.arms import ByArm
from softlaunch.evals.calls.answers import EvalAnswer, EvalArm
from softlaunch.evals.recordings.suspicions import MANY, Suspicion, of_outputs

RELEASED = ByArm(candidate="the candidate's", stable="stable's")
_Measured = tuple[str | None, float | None]


def of_answers(answers: Sequence[EvalAnswer], names: ByArm[str] = RELEASED) -> Iterator[Suspicion]:
    """One text for every question, and calls of one arm that are the other's; `names` are whose outputs they are."""
    arms = ByArm(*([one for one in answers if one.key.arm is arm] for arm in (EvalArm.CANDIDATE, EvalArm.STABLE)))
    yield from of_outputs(ByArm(_outputs(arms.candidate), _outputs(arms.stable)), names)
    yield from _of_copies(arms)


def _outputs(answers: Sequence[EvalAnswer]) -> list[tuple[str, str]]:
    return [(one.key.case_id, one.answer) for one in answers if one.answer is not None]


def _of_copies(arms: ByArm[Sequence[EvalAnswer]]) -> Iterator[Suspicion]:
    """Answers can be the same twice; the time that each took is not, so that something stands between and repeats."""
    mine, other = _calls(arms.candidate), _calls(arms.stable)
    if len(mine) >= MANY and mine == other and len({latency for _, latency in mine.values()}) > 1:
        yield Suspicion("copies", f"the calls of both arms are the same, the time of each too ({len(mine):,} calls)")


def _calls(answers: Sequence[EvalAnswer]) -> dict[tuple[str, int], _Measured]:
    return {
        (one.key.case_id, one.key.repeat): (one.answer, one.latency_ms) for one in answers if one.answer is not None
    }
