"""An A/B test on judgements that exist already: the same questions, answered by both variants. Pure."""

from softlaunch.ab.analysis import Analysis, Moment, analyse_pairs
from softlaunch.ab.conclusion import Conclusion, conclude
from softlaunch.ab.samples import Floats
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric
from softlaunch.policy.ab import AbPolicy


class TooFewPairsError(SoftlaunchError):
    """Too few questions have a judgement of both variants."""


def conclude_pairs(a: Floats, b: Floats, policy: AbPolicy) -> tuple[Analysis, Conclusion]:
    """The conclusion from judgements in [0, 1], equally long and in the same order of questions.

    A question is its own control, so the differences are what varies. Raises TooFewPairsError.
    """
    analysis = analyse_pairs(Metric.QUALITY, a, b, policy, Moment(looks=1, number=1, planned=True))
    if analysis is None:
        raise TooFewPairsError(f"{len(a)} questions were judged for both; a comparison needs 20 at least")
    return analysis, conclude(analysis, policy, can_extend=False)
