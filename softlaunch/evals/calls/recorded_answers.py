"""Evals in the ledger: a run is opened once, an answer is written once, whoever comes first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Insert, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, col, select

from softlaunch.core.arms import ByArm
from softlaunch.core.errors import ConflictError
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.store.database import Database
from softlaunch.store.tables import EvalAnswerRow, EvalRunRow, JudgementRow


@dataclass(frozen=True, slots=True)
class ComparedDigests:
    """What a run compares: the digests of both variants, and of the golden set that they are asked."""

    suite: str
    variants: ByArm[str]


def open_run(
    database: Database, run_id: str, app: str, release_id: str | None, compared: ComparedDigests, now: datetime
) -> None:
    """Record that a run exists, or check that it is still the same one.

    Raises ConflictError when the run began with another golden set or other variants.
    """
    values = {
        "id": run_id,
        "app": app,
        "release_id": release_id,
        "suite_digest": compared.suite,
        "stable_digest": compared.variants.stable,
        "candidate_digest": compared.variants.candidate,
        "started_at": now,
    }
    with database.begin() as session:
        session.connection().execute(_insert(database, EvalRunRow), values)
        row = session.exec(select(EvalRunRow).where(EvalRunRow.id == run_id)).one()
        _check_same(row, app, compared)


def _check_same(row: EvalRunRow, app: str, compared: ComparedDigests) -> None:
    began = {"golden set": row.suite_digest, "stable variant": row.stable_digest, "candidate": row.candidate_digest}
    now = (compared.suite, compared.variants.stable, compared.variants.candidate)
    for (what, before), after in zip(began.items(), now, strict=True):
        if before != after:
            raise ConflictError(
                f"the {what} of eval {row.id} of {app} has changed since it started ({before[:12]} is now "
                f"{after[:12]}), so its answers can't be compared: restore it, or abort and start again"
            )


def add_answers(database: Database, run_id: str, answers: Sequence[EvalAnswer]) -> None:
    """Write answers in one transaction; one that is there already stays as it is."""
    if not answers:
        return
    rows = [_row(run_id, answer) for answer in answers]
    with database.begin() as session:
        session.connection().execute(_insert(database, EvalAnswerRow), rows)


def _insert(database: Database, table: type[SQLModel]) -> Insert:
    """An insert that leaves a row alone which is there already."""
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    return insert(table).on_conflict_do_nothing()


def finished_calls(session: Session, run_id: str) -> frozenset[CallKey]:
    """The calls of a run that have an outcome."""
    keys = select(EvalAnswerRow.arm, EvalAnswerRow.case_id, EvalAnswerRow.repeat).where(EvalAnswerRow.run_id == run_id)
    return frozenset(CallKey(EvalArm(arm), case_id, repeat) for arm, case_id, repeat in session.exec(keys))


def read_answers(session: Session, run_id: str) -> tuple[EvalAnswer, ...]:
    """All answers of a run, in the order of case, arm and repeat."""
    rows = session.exec(
        select(EvalAnswerRow)
        .where(EvalAnswerRow.run_id == run_id)
        .order_by(EvalAnswerRow.case_id, EvalAnswerRow.arm, col(EvalAnswerRow.repeat))
    )
    return tuple(_answer(row) for row in rows)


def paid_calls(session: Session, run_id: str) -> int:
    """Calls of a run that have an outcome and weren't taken from an earlier run, and those of its judges."""
    paid = select(func.count()).where(EvalAnswerRow.run_id == run_id, col(EvalAnswerRow.reused).is_(False))
    judging = select(func.coalesce(func.sum(JudgementRow.calls), 0)).where(JudgementRow.run_id == run_id)
    return session.exec(paid).one() + int(session.exec(judging).one())


def find_reusable(
    session: Session, run_id: str, variant_digests: Sequence[str], since: datetime
) -> dict[tuple[str, str, int], EvalAnswer]:
    """Scored answers of runs since then, the newest by variant, case digest and repeat; never those of this run.

    Left out are answers of a variant that has answered since then as another resolved model or fingerprint: the
    provider has changed what serves it.
    """
    rows = session.exec(
        select(EvalAnswerRow)
        .join(EvalRunRow, col(EvalRunRow.id) == EvalAnswerRow.run_id)
        .where(
            EvalAnswerRow.run_id != run_id,
            col(EvalRunRow.started_at) >= since,
            col(EvalAnswerRow.variant_digest).in_(variant_digests),
            EvalAnswerRow.status == Status.SCORED,
            EvalAnswerRow.case_digest != "",
            col(EvalAnswerRow.reused).is_(False),
        )
        .order_by(col(EvalRunRow.started_at))
    )
    found = list(rows)
    serving = {row.variant_digest: (row.resolved_model, row.fingerprint) for row in found} | _serving(
        session, variant_digests
    )
    return {
        (row.variant_digest, row.case_digest, row.repeat): _answer(row)
        for row in found
        if (row.resolved_model, row.fingerprint) == serving[row.variant_digest]
    }


def _serving(session: Session, variant_digests: Sequence[str]) -> dict[str, tuple[str | None, str | None]]:
    """As what each variant has answered last, in any run, this one among them."""
    last = (
        select(EvalAnswerRow.variant_digest, EvalAnswerRow.resolved_model, EvalAnswerRow.fingerprint)
        .join(EvalRunRow, col(EvalRunRow.id) == EvalAnswerRow.run_id)
        .where(
            col(EvalAnswerRow.variant_digest).in_(variant_digests),
            EvalAnswerRow.status == Status.SCORED,
            col(EvalAnswerRow.reused).is_(False),
        )
        .order_by(col(EvalRunRow.started_at))
    )
    return {digest: (model, fingerprint) for digest, model, fingerprint in session.exec(last)}


def spent_usd(session: Session, run_id: str) -> float | None:
    """USD that a run's answered calls and its judges have cost.

    None where nothing was answered, or the cost of any of it is unknown.
    """
    answered = select(func.count(), func.count(col(EvalAnswerRow.cost_usd)), func.sum(EvalAnswerRow.cost_usd)).where(
        EvalAnswerRow.run_id == run_id, EvalAnswerRow.status == Status.SCORED, col(EvalAnswerRow.reused).is_(False)
    )
    judged = select(func.count(), func.count(col(JudgementRow.cost_usd)), func.sum(JudgementRow.cost_usd)).where(
        JudgementRow.run_id == run_id, JudgementRow.calls > 0
    )
    parts = [session.exec(part).one() for part in (answered, judged)]
    known = [float(spent) for calls, priced, spent in parts if spent is not None and priced == calls]
    attempted = [calls for calls, _, _ in parts if calls]
    return sum(known) if attempted and len(known) == len(attempted) else None


def _row(run_id: str, answer: EvalAnswer) -> dict[str, object]:
    return {
        "run_id": run_id,
        "arm": answer.key.arm.value,
        "case_id": answer.key.case_id,
        "repeat": answer.key.repeat,
        "variant_digest": answer.variant_digest,
        "status": answer.status.value,
        "error": answer.error,
        "answer": None if answer.answer is None else answer.answer.replace("\0", "\ufffd"),  # PostgreSQL takes no NUL
        "scores": dict(answer.scores),
        "latency_ms": answer.latency_ms,
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "cost_usd": answer.cost_usd,
        "case_digest": answer.case_digest,
        "reused": answer.reused,
        "resolved_model": answer.resolved_model,
        "fingerprint": answer.fingerprint,
    }


def _answer(row: EvalAnswerRow) -> EvalAnswer:
    return EvalAnswer(
        key=CallKey(EvalArm(row.arm), row.case_id, row.repeat),
        variant_digest=row.variant_digest,
        status=Status(row.status),
        error=row.error,
        answer=row.answer,
        scores=row.scores,
        latency_ms=row.latency_ms,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_usd=row.cost_usd,
        case_digest=row.case_digest,
        reused=row.reused,
        resolved_model=row.resolved_model,
        fingerprint=row.fingerprint,
    )
