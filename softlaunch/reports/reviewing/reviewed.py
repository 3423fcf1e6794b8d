"""An eval as it is reviewed: the report on what is in the ledger, and the judges' reasons."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, col, select

from softlaunch.catalog.records import check_app
from softlaunch.core.arms import ByArm
from softlaunch.core.errors import NotFoundError
from softlaunch.core.variant import Variant
from softlaunch.evals.early import recorded_report
from softlaunch.evals.judges.recorded_judgements import read_judgements
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.evals.suites.suite import load_suite
from softlaunch.ledger.releases import read_release
from softlaunch.policy.load import folder_of_golden_set, golden_set_path
from softlaunch.policy.model import Policy
from softlaunch.reports.eval_page import JudgeReason
from softlaunch.store.database import Database
from softlaunch.store.tables import EvalRunRow, VariantRow


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A run with everything that its page shows."""

    run_id: str
    app: str
    labels: ByArm[str]
    report: EvalReport
    reasons: dict[str, Sequence[JudgeReason]]
    notes: str


def read_reviewed(database: Database, named: str) -> Reviewed:
    """The run of this id, or an app's newest. Raises NotFoundError, or SuiteError when its golden set can't be read."""
    with database.read() as session:
        run = _find(session, named)
        policy, path = _policy(session, run)
        suite = load_suite(golden_set_path(policy, path, folder_of_golden_set(policy, path)))
        said = read_judgements(session, run.id)
        report = recorded_report(session, run, suite, policy.eval)
        labels = ByArm(_label(session, run.candidate_digest), _label(session, run.stable_digest))
    reasons: dict[str, list[JudgeReason]] = defaultdict(list)
    for key, score in said.items():
        if score.reason:
            reasons[key.answer.case_id].append(JudgeReason(key.metric, key.answer.arm.value, score.value, score.reason))
    changed = "" if suite.digest == run.suite_digest else "The golden set has changed since this eval was run."
    return Reviewed(run.id, run.app, labels, report, dict(reasons), changed)


def _find(session: Session, named: str) -> EvalRunRow:
    found = session.get(EvalRunRow, named)
    newest = select(EvalRunRow).where(EvalRunRow.app == named).order_by(col(EvalRunRow.started_at).desc()).limit(1)
    found = found or session.exec(newest).first()
    if found is None:
        known = session.exec(select(EvalRunRow.id).order_by(col(EvalRunRow.started_at).desc()).limit(10))
        raise NotFoundError(f"there is no eval {named!r}, nor one of such an app; the newest: {', '.join(known)}")
    return found


def _policy(session: Session, run: EvalRunRow) -> tuple[Policy, Path]:
    if run.release_id is not None:
        release = read_release(session, run.release_id)
        return release.policy, Path(release.policy_path)
    app = check_app(session, run.app)
    return Policy.model_validate(app.policy), Path(app.policy_path)


def _label(session: Session, digest: str) -> str:
    row = session.get(VariantRow, digest)
    return digest[:12] if row is None else Variant.model_validate(row.content).label
