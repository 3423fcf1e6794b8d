"""Recorded outputs of two models as the two arms of a comparison."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from softlaunch.core.arms import ByArm
from softlaunch.core.quantities import Margin
from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.recordings.columns import Columns, amount
from softlaunch.evals.recordings.files import RecordingError, Row
from softlaunch.evals.recordings.metrics import PREFERENCE, RecordedMetric
from softlaunch.evals.recordings.suspicions import suspicions
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.report import EvalReport, concluded
from softlaunch.metrics import Sample
from softlaunch.policy.evals import EvalPolicy


@dataclass(frozen=True, slots=True)
class RecordedCase:
    """What was asked of both models."""

    id: str
    asked: str
    wanted: str
    weight: float = 1.0
    tags: tuple[str, ...] = ()


def compare_recorded(
    arms: ByArm[Sequence[Row]],
    columns: Columns,
    metrics: Sequence[RecordedMetric],
    policy: EvalPolicy,
    segments: Sequence[str] = (),
) -> EvalReport:
    """Judge the rows of stable and of the candidate, paired by id; several rows of an id are repeats.

    Ids that only one of them has are left out of the pairs, counted and bounded by the worst; too many of them, and a
    pass is only inconclusive. What looks wrong about the rows is for people to review. `segments` are columns whose
    values are judged like tags. Raises RecordingError where no id is in both.
    """
    cases = cases_of(arms, columns, segments)
    report = compare(cases, answers_of(arms, columns, metrics), policy, metrics=[metric.plan for metric in metrics])
    report = _explained(report, arms, columns, metrics)
    for suspicion in suspicions(arms, columns, reads_reference=any(metric.reads_reference for metric in metrics)):
        reason = f"a person has to decide: {suspicion.sentence}"
        report = report.with_verdict(Verdict(suspicion.subject, Outcome.REVIEW, reason))
    for lacking in lacking_ids(arms, columns, policy.maximum_unscored):
        report = report.with_verdict(lacking)
    return report


def cases_of(arms: ByArm[Sequence[Row]], columns: Columns, segments: Sequence[str] = ()) -> list[RecordedCase]:
    """Everything that was asked. Raises RecordingError where nothing was asked of both models, or one is the other."""
    stable, candidate = ({columns.text(row, "id") for row in rows} for rows in (arms.stable, arms.candidate))
    if not stable & candidate - {None}:
        raise RecordingError(
            f"no id is in both models' outputs (column {columns.by_role['id']}); name the column that shows which "
            "outputs answer the same question with --map id=COLUMN"
        )
    unknown = next((name for name in segments if name not in columns.names), None)
    if unknown is not None:
        raise RecordingError(f"there is no column {unknown!r} of segments; there are {', '.join(columns.names)}")
    return _cases([*arms.stable, *arms.candidate], columns, segments)


def lacking_ids(arms: ByArm[Sequence[Row]], columns: Columns, allowed: Margin) -> list[Verdict]:
    """Verdicts on the ids that only one model has and on the rows that have none, as far as there are such."""
    return [one for one in (_missing_ids(arms, columns, allowed), _nameless(arms, columns, allowed)) if one is not None]


def _nameless(arms: ByArm[Sequence[Row]], columns: Columns, allowed: Margin) -> Verdict | None:
    """Rows without an id answer nobody knows what."""
    stable, candidate = (sum(columns.text(row, "id") is None for row in rows) for rows in (arms.stable, arms.candidate))
    worst = max(stable / len(arms.stable), candidate / len(arms.candidate))
    if not worst:
        return None
    return Verdict(
        gate="ids",
        outcome=Outcome.PASS if worst <= allowed.value else Outcome.INCONCLUSIVE,
        reason=f"{stable:,} of stable's {len(arms.stable):,} rows and {candidate:,} of the candidate's "
        f"{len(arms.candidate):,} have no id (column {columns.by_role['id']}) and are left out; {allowed} are allowed",
    )


def _missing_ids(arms: ByArm[Sequence[Row]], columns: Columns, allowed: Margin) -> Verdict | None:
    """A verdict on the ids that only one model has; None where there is none."""
    stable, candidate = ({columns.text(row, "id") for row in rows} - {None} for rows in (arms.stable, arms.candidate))
    missing, everything = len(stable ^ candidate), len(stable | candidate)
    if not missing:
        return None
    return Verdict(
        gate="pairs",
        outcome=Outcome.PASS if missing / everything <= allowed.value else Outcome.INCONCLUSIVE,
        reason=f"{missing:,} of {everything:,} ids have outputs of one model only ({len(stable - candidate):,} lack "
        f"the candidate's, {len(candidate - stable):,} stable's) and are left out; {allowed} are allowed",
    )


def answers_of(arms: ByArm[Sequence[Row]], columns: Columns, metrics: Sequence[RecordedMetric]) -> list[EvalAnswer]:
    """The rows of both arms as finished calls, scored by every metric."""
    return [
        answer
        for arm, rows in ((EvalArm.STABLE, arms.stable), (EvalArm.CANDIDATE, arms.candidate))
        for answer in _answers(arm, rows, columns, metrics)
    ]


def arms_of(rows: Sequence[Row], columns: Columns, stable: str, candidate: str) -> ByArm[Sequence[Row]]:
    """The outputs of both models. Raises RecordingError.

    In AlpacaEval's form a row has a judge's preference between an output and a reference: a stable that is only there
    as the reference gets its outputs, and the other side of the preferences, from there.
    """
    if stable == candidate:
        raise RecordingError(f"both are {stable}: that compares outputs with themselves")
    own = rows_of(rows, columns, candidate)
    models = {columns.text(row, "model") for row in rows}
    beside = [row for row in own if row.get(_REFERENCE_MODEL) == stable]
    if stable in models or not beside or PREFERENCE not in columns.names:
        other = rows_of(rows, columns, stable)
        if own[0] is other[0]:
            raise RecordingError(f"{stable} and {candidate} are one model: that compares outputs with themselves")
        return ByArm(own, other)
    return ByArm(own, [_as_reference(row, columns, stable) for row in beside])


_REFERENCE_MODEL, _REFERENCE = "reference_generator", "reference_output"


def _as_reference(row: Row, columns: Columns, name: str) -> Row:
    """The reference's side of a row; a preference from 1 to 2 is turned, 0 (a draw) and what is no number stay."""
    preference = amount(row.get(PREFERENCE))
    turned = {PREFERENCE: 3 - preference} if preference and 1 <= preference <= 2 else {}
    answer = {columns.by_role["answer"]: row.get(_REFERENCE)} if "answer" in columns.by_role else {}
    return {**row, columns.by_role["model"]: name, **answer, **turned}


def rows_of(rows: Sequence[Row], columns: Columns, name: str) -> list[Row]:
    """The outputs of a model, by its full name or by what follows the last slash. Raises RecordingError."""
    names = Counter(columns.text(row, "model") or "" for row in rows)
    ending = [known for known in names if known.rsplit("/", 1)[-1] == name]
    found = name if name in names else ending[0] if len(ending) == 1 else None
    if found is None:
        known = ", ".join(f"{one} ({count})" for one, count in names.most_common(20))
        raise RecordingError(f"there are no outputs of {name} (column {columns.by_role['model']}); there are {known}")
    return [row for row in rows if columns.text(row, "model") == found]


def _cases(rows: Sequence[Row], columns: Columns, segments: Sequence[str]) -> list[RecordedCase]:
    cases: dict[str, RecordedCase] = {}
    for row in rows:
        case_id = columns.text(row, "id")
        if case_id is not None and case_id not in cases:
            asked = columns.text(row, "question") or case_id
            wanted = columns.text(row, "reference") or ""
            cases[case_id] = RecordedCase(case_id, asked, wanted, tags=columns.tags(row, segments))
    return list(cases.values())


def _answers(
    arm: EvalArm, rows: Sequence[Row], columns: Columns, metrics: Sequence[RecordedMetric]
) -> list[EvalAnswer]:
    repeats: Counter[str] = Counter()
    answers = []
    for row in rows:
        case_id = columns.text(row, "id")
        if case_id is not None:
            answers.append(_answer(CallKey(arm, case_id, repeats[case_id]), row, columns, metrics))
            repeats[case_id] += 1
    return answers


def _answer(key: CallKey, row: Row, columns: Columns, metrics: Sequence[RecordedMetric]) -> EvalAnswer:
    """A row as a finished call: one with an error, or without the answer that it should have, is unscored."""
    text = columns.text(row, "answer")
    error = columns.error(row) or ("no_answer" if text is None and "answer" in columns.by_role else None)
    model = columns.text(row, "model") or ""
    if error is not None:
        return EvalAnswer(key, model, Status.UNSCORED, error=error)
    sample = _sample(row, columns)
    found = {metric.plan.metric: metric.read(sample) for metric in metrics}
    return EvalAnswer(
        key,
        model,
        Status.SCORED,
        answer=text,
        scores={name: one.value for name, one in found.items() if one.value is not None},
        unscored_because={name: one.why for name, one in found.items() if one.value is None},
        latency_ms=sample.latency_ms,
        cost_usd=sample.cost_usd,
    )


def _sample(row: Row, columns: Columns) -> Sample:
    reference = columns.text(row, "reference")
    return Sample(
        answer=columns.text(row, "answer") or "",
        question=columns.text(row, "question") or "",
        expected=reference,
        reference=reference,
        context=columns.text(row, "context"),
        latency_ms=columns.latency_ms(row),
        cost_usd=columns.number(row, "cost"),
        fields=row,
    )


def _explained(
    report: EvalReport,
    arms: ByArm[Sequence[Row]],
    columns: Columns,
    metrics: Sequence[RecordedMetric],
) -> EvalReport:
    """The report, saying of each metric that no output has a value for what was found in the first one."""
    reasons = {
        metric.plan.metric: found.why
        for metric in metrics
        if metric.plan.metric in report.unjudged
        for row in (arms.candidate[0], arms.stable[0])
        if (found := metric.read(_sample(row, columns))).value is None and found.why
    }
    verdicts = tuple(
        replace(one, reason=f"{one.reason}; the first: {reasons[one.gate]}") if one.gate in reasons else one
        for one in report.verdicts
    )
    outcome, reason = concluded(verdicts)
    return replace(report, verdicts=verdicts, outcome=outcome, reason=reason)
