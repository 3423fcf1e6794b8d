"""Segments of recorded judgements, by tags and columns: where B lost, however well it did elsewhere."""

from collections.abc import Sequence

import numpy as np

from softlaunch.ab.samples import Floats
from softlaunch.core.visible import one_line
from softlaunch.evals.statistics.multiplicity import holm
from softlaunch.evals.statistics.paired import PairedEstimate, estimate
from softlaunch.evals.statistics.segments import FEW_CASES
from softlaunch.policy.ab import AbPolicy

_SHOWN = 60


def lost_segments(tags: Sequence[Sequence[str]], a: Floats, b: Floats, policy: AbPolicy) -> list[str]:
    """The segments in which B is shown to be worse by more than the margin of equals, in sentences.

    `tags` are those of each question, `a` and `b` its judgements in [0, 1]. Segments of fewer than five questions are
    left out. All others share the test's error rate by Holm's method.
    """
    found = {
        tag: one
        for tag in dict.fromkeys(tag for own in tags for tag in own)
        if (one := _estimate(tag, tags, a, b, policy)) is not None
    }
    p_beyond = holm({tag: one.p_beyond for tag, one in found.items()})
    return [
        f"B is worse in {one_line(tag)[:_SHOWN]}, by {one.harm * 100:.1f} points over its {one.cases:,} questions"
        for tag, one in found.items()
        if p_beyond[tag] <= policy.alpha
    ]


def _estimate(tag: str, tags: Sequence[Sequence[str]], a: Floats, b: Floats, policy: AbPolicy) -> PairedEstimate | None:
    chosen = [position for position, own in enumerate(tags) if tag in own]
    if len(chosen) < FEW_CASES:
        return None
    return estimate(a[chosen], b[chosen], np.ones(len(chosen)), margin=policy.equal_within.value, level=policy.alpha)
