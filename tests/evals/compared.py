"""What arms are compared by, and what came of it."""

from softlaunch.core.verdict import Outcome
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.policy.evals import EvalPolicy

POLICY = EvalPolicy(golden_set="golden.jsonl")
RIGHT, WRONG, NONE = (1.0,), (0.0,), (None,)


def outcomes(report: EvalReport) -> dict[str, Outcome]:
    """Outcomes by gate."""
    return {verdict.gate: verdict.outcome for verdict in report.verdicts}
