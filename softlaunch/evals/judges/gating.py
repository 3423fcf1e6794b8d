"""Who judges an eval by its policy, and which metrics may decide nothing because nobody showed that the judges can."""

from collections.abc import Sequence

from sqlmodel import Session

from softlaunch.catalog.records import get_model, get_prompt
from softlaunch.core.variant import Sampling
from softlaunch.core.verdict import Role
from softlaunch.evals.judges.calibration import PROMPT_OF
from softlaunch.evals.judges.labels import Kind
from softlaunch.evals.judges.panel import JudgeError, Judges
from softlaunch.evals.judges.recorded_judgements import newest_calibration
from softlaunch.evals.statistics.report import MetricPlan
from softlaunch.evals.suites.case import Case
from softlaunch.metrics import ACCURACY, AnyMetric
from softlaunch.metrics.judged import Hallucination, Pairwise, Rubric, asks_judges
from softlaunch.policy.evals import EvalPolicy, JudgePolicy

_KINDS: tuple[tuple[type[AnyMetric], Kind], ...] = (
    (Rubric, Kind.GRADE),
    (Pairwise, Kind.PREFERENCE),
    (Hallucination, Kind.HALLUCINATION),
)


def judges_of(session: Session, policy: JudgePolicy | None) -> Judges:
    """The judges that a policy names. Raises NotFoundError for a model or prompt that isn't recorded."""
    if policy is None:
        return Judges(())
    models = tuple(get_model(session, name) for name in policy.models)
    prompts = {name: get_prompt(session, reference) for name, reference in policy.prompts.items()}
    return Judges(models, prompts, Sampling(temperature=policy.temperature))


def metric_plans(session: Session, policy: EvalPolicy, cases: Sequence[Case]) -> list[MetricPlan]:
    """What an eval compares: accuracy where cases have metrics of their own, then the policy's metrics."""
    judges = judges_of(session, policy.judge)
    own = [metric for case in cases for metric in case.own_metrics]
    plans = [MetricPlan(ACCURACY, withheld=_withheld(session, policy, own, judges))] if own else []
    for metric in policy.metrics:
        withheld = "" if metric.role is Role.MUTED else _withheld(session, policy, [metric.parsed], judges)
        plans.append(MetricPlan(metric.parsed.key, metric.margin, role=metric.role, withheld=withheld))
    if not plans:
        raise JudgeError("no case has a metric of its own and the policy names none; name some under eval.metrics")
    return plans


def objection_to(session: Session, policy: EvalPolicy, metric: AnyMetric) -> str:
    """Why judges' scores of one metric may decide nothing; empty where they may."""
    return _withheld(session, policy, [metric], judges_of(session, policy.judge))


def _withheld(session: Session, policy: EvalPolicy, metrics: Sequence[AnyMetric], judges: Judges) -> str:
    """Why metrics may decide nothing: the first kind of judging that nobody has shown to be good enough."""
    kinds = {kind for metric in metrics if asks_judges(metric) for known, kind in _KINDS if isinstance(metric, known)}
    reasons = (_below(session, policy.judge, judges, kind) for kind in sorted(kinds))
    return next((reason for reason in reasons if reason), "")


def _below(session: Session, policy: JudgePolicy | None, judges: Judges, kind: Kind) -> str:
    if policy is None:
        raise JudgeError("the golden set's cases ask judges: name their models under eval.judge.models in the policy")
    names = " and ".join(policy.models)
    known = newest_calibration(session, judges.digest(PROMPT_OF[kind]), kind)
    how = f"'softlaunch judge calibrate LABELS --kind {kind} --app APP'"
    if known is None:
        return f"{names} can't gate: it hasn't been compared with people's labels; run {how}"
    if known.kappa is None or known.kappa_lower is None:
        return f"{names} can't gate: people's labels are all the same, so kappa is unknown; label others and run {how}"
    if known.kappa_lower < policy.minimum_kappa:
        return (
            f"{names} can't gate: kappa {known.kappa:.2f} against people on {known.items} labels, at least "
            f"{known.kappa_lower:.2f}, and the policy wants {policy.minimum_kappa:g}; take another judge or prompt"
        )
    return ""
