"""The sheet that people read when figures can't decide: both variants' answers side by side, without saying whose."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from softlaunch.core.errors import SoftlaunchError
from softlaunch.evals.calls.answers import EvalArm, Status
from softlaunch.evals.calls.recorded_answers import read_answers
from softlaunch.evals.regression import RegressionEval
from softlaunch.evals.suites.suite import load_suite
from softlaunch.policy.release import Release
from softlaunch.releases.observe import eval_order
from softlaunch.store.database import Database

_SECONDS = 30.0  # an eval works this long before it is asked again


class NoSheetError(SoftlaunchError):
    """There is nothing to read: no two answers differ."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One question with both answers; `left_is_b` is for the key at the end of the sheet."""

    case_id: str
    asked: str
    left: str
    right: str
    left_is_b: bool


def ask_both(database: Database, release: Release) -> tuple[Pair, ...]:
    """Ask both variants the golden set once, where that wasn't done yet, and choose pairs for the sheet.

    Raises SoftlaunchError when the golden set or an endpoint can't be used, and NoSheetError.
    """
    order = eval_order(release)
    once = replace(
        order, policy=order.policy.model_copy(update={"repeats": 1, "maximum_repeats": 1, "early_stop": False})
    )
    evaluation = RegressionEval(database)
    while (progress := evaluation.work(once, _SECONDS)).report is None:
        if progress.halted:
            raise NoSheetError(f"the golden set can't be asked: {progress.halted}")
    with database.read() as session:
        answers = read_answers(session, once.run_id)
    given = {
        (answer.key.case_id, answer.key.arm): answer.answer
        for answer in answers
        if answer.status is Status.SCORED and answer.answer
    }
    asked = {case.id: case.asked for case in load_suite(once.golden_set).cases}
    both = [
        (case_id, question, given[case_id, EvalArm.STABLE] or "", given[case_id, EvalArm.CANDIDATE] or "")
        for case_id, question in asked.items()
        if (case_id, EvalArm.STABLE) in given and (case_id, EvalArm.CANDIDATE) in given
    ]
    return choose(both, release.policy.ab.sheet_pairs, random.Random(release.id))


def choose(both: Sequence[tuple[str, str, str, str]], most: int, rng: random.Random) -> tuple[Pair, ...]:
    """Pairs whose answers differ, at most so many, in a random order and with sides thrown by lot."""
    differing = [one for one in both if one[2].strip() != one[3].strip()]
    if not differing:
        raise NoSheetError("both variants gave the same answers to the whole golden set; there is nothing to compare")
    pairs = []
    for case_id, asked, a, b in rng.sample(differing, min(most, len(differing))):
        left_is_b = rng.random() < 0.5
        pairs.append(Pair(case_id, asked, b if left_is_b else a, a if left_is_b else b, left_is_b))
    return tuple(pairs)
