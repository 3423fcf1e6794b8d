"""How much the outputs themselves have changed, against how much they vary from one repeat to the next. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from rapidfuzz.distance import Indel
from scipy import special  # scipy.stats alone would take a second to import

from softlaunch.core.verdict import Interval
from softlaunch.evals.calls.answers import EvalAnswer, EvalArm

_MOST_REPEATS = 3  # of each side, compared with each other: more cost time and show nothing new
_LONGEST = 4000  # characters of an answer that are compared
_FEW = 5


@dataclass(frozen=True, slots=True)
class OutputChange:
    """Outputs of the same cases then and now.

    `changed_share` is the share of pairs (one answer then, one now) whose text differs at all, `similarity` their mean
    similarity in [0, 1]. `noise_changed_share` and `noise_similarity` are the same between repeats of one and the same
    run; None where cases were asked once. `beyond_noise` is by how much similarity fell below theirs, with an interval
    over cases.
    """

    cases: int
    changed_share: float
    similarity: float
    noise_changed_share: float | None = None
    noise_similarity: float | None = None
    beyond_noise: float | None = None
    interval: Interval | None = None

    @property
    def is_shown(self) -> bool:
        """Whether outputs are shown to differ by more than repeats of one run do."""
        return self.interval is not None and self.interval.lower > 0


def change_of_outputs(answers: Iterable[EvalAnswer], confidence: float) -> OutputChange | None:
    """Compare the baseline's answers (arm stable) with today's (arm candidate); None where no case has both."""
    texts: dict[tuple[str, EvalArm], list[str]] = defaultdict(list)
    for answer in sorted(answers, key=lambda one: one.key):
        if answer.answer is not None and len(texts[answer.key.case_id, answer.key.arm]) < _MOST_REPEATS:
            texts[answer.key.case_id, answer.key.arm].append(" ".join(answer.answer.split())[:_LONGEST])
    cases = sorted({case_id for case_id, _ in texts})
    across, within = [], []
    for case_id in cases:
        then, now = texts.get((case_id, EvalArm.STABLE), []), texts.get((case_id, EvalArm.CANDIDATE), [])
        if not then or not now:
            continue
        across.append(_compared(list(product(then, now))))
        repeats = [*combinations(then, 2), *combinations(now, 2)]
        within.append(_compared(repeats) if repeats else None)
    if not across:
        return None
    return _summary(across, within, confidence)


def _compared(pairs: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """Mean similarity of pairs of texts, and the share that differs."""
    similarities = [Indel.normalized_similarity(one, other) for one, other in pairs]
    return float(np.mean(similarities)), float(np.mean([one != other for one, other in pairs]))


def _summary(
    across: Sequence[tuple[float, float]], within: Sequence[tuple[float, float] | None], confidence: float
) -> OutputChange:
    both = [(here, noise) for here, noise in zip(across, within, strict=True) if noise is not None]
    plain = OutputChange(
        cases=len(across),
        changed_share=float(np.mean([changed for _, changed in across])),
        similarity=float(np.mean([similarity for similarity, _ in across])),
    )
    if len(both) < _FEW:
        return plain
    falls = np.array([noise[0] - here[0] for here, noise in both])
    error = float(falls.std(ddof=1) / np.sqrt(len(falls)))
    reach = -float(special.stdtrit(len(falls) - 1, (1 - confidence) / 2)) * error
    mean = float(falls.mean())
    return OutputChange(
        cases=plain.cases,
        changed_share=plain.changed_share,
        similarity=plain.similarity,
        noise_changed_share=float(np.mean([noise[1] for _, noise in both])),
        noise_similarity=float(np.mean([noise[0] for _, noise in both])),
        beyond_noise=mean,
        interval=Interval(mean - reach, mean + reach),
    )
