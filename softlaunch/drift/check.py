"""A drift check from its beginning to its report; killed anywhere, the next call resumes it."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlmodel import Session

from softlaunch.catalog.records import check_app
from softlaunch.core.arms import ByArm
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.variant import Variant
from softlaunch.drift.collect import Asking, collect, scored
from softlaunch.drift.document import to_document
from softlaunch.drift.figures import measure_drift
from softlaunch.drift.judgement import Identity, Judgement, Setting, judge_drift
from softlaunch.drift.notices import notify_of_check
from softlaunch.drift.runs import DriftRun, RunKind, RunSubject, conclude_run, find_baseline, open_run, read_run
from softlaunch.drift.trend import Trend, trend_of
from softlaunch.drift.weekly import read_weeks
from softlaunch.evals.calls.answers import EvalAnswer, EvalArm
from softlaunch.evals.calls.recorded_answers import read_answers
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.judges.gating import metric_plans
from softlaunch.evals.live_suspicions import of_answers
from softlaunch.evals.statistics.report import MetricPlan
from softlaunch.evals.suites.suite import Suite, load_suite
from softlaunch.ledger.notices import Message, notify
from softlaunch.policy.load import golden_set_path
from softlaunch.policy.model import Policy
from softlaunch.releases.opening import serving_variant
from softlaunch.store.database import Database

_SEED = 20_230_718  # shuffles of a trend are the same each time, so that a report can be made again
_RUNS = ByArm(candidate="today's", stable="the baseline's")
_DATED = re.compile(
    r"""
    \d{4}-\d{2}-\d{2}            # gpt-4o-2024-08-06
    | (?<!\d)20\d{6}(?!\d)       # claude-3-5-sonnet-20241022
    | -(?:0[1-9]|1[0-2])\d{2}$   # gpt-4-0613
    | -00\d$                     # gemini-1.5-pro-002
    | @(?:sha256:)?[0-9a-f]{3,}  # a digest or a dated version behind an at sign
    | -[0-9a-f]{12,}$
    """,
    re.VERBOSE,
)


class NoBaselineError(SoftlaunchError):
    """There is nothing that a check could compare with."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: the app's policy, what serves now, and the golden set."""

    app: str
    policy: Policy
    variant: Variant
    suite: Suite


def freeze_baseline(database: Database, app: str, actor: str, now: datetime) -> DriftRun:
    """Ask the production variant the golden set, and freeze the answers as what later checks compare with."""
    subject = read_subject(database, app)
    with database.begin() as session:
        run = open_run(session, _run_subject(subject, RunKind.BASELINE), actor, now)
    _ask(database, subject, run, EvalArm.STABLE, now)
    with database.begin() as session:
        summary = (
            f"{subject.variant.label} on {len(subject.suite.cases)} cases, {subject.policy.drift.repeats} times each"
        )
        if conclude_run(session, run.id, summary, {}, now):
            notify(session, Message(app, None, f"{app}: {actor} froze the drift baseline {run.id}: {summary}."), now)
        return read_run(session, run.id)


def check_drift(database: Database, app: str, actor: str, now: datetime) -> DriftRun:
    """Ask the production variant the golden set again and compare with the frozen baseline; returns the finished run.

    Every metric that the golden set and the policy name is compared, as in a release's regression eval. What has
    drifted, or can't be judged, opens an incident with the next step; what is well resolves an open one.
    Raises NoBaselineError, or SoftlaunchError when the golden set, the endpoint or the judges can't be used.
    """
    subject = read_subject(database, app)
    with database.begin() as session:
        plans = metric_plans(session, subject.policy.eval, subject.suite.cases)
        baseline = _baseline(session, subject)
        run = open_run(session, _run_subject(subject, RunKind.CHECK), actor, now, baseline.id)
    _ask(database, subject, run, EvalArm.CANDIDATE, now)
    judgement, document = _judge(database, subject, baseline, run, plans, now)
    with database.begin() as session:
        if conclude_run(session, run.id, judgement.summary, document, now):
            notify_of_check(session, app, run.id, judgement, document, now)
        return read_run(session, run.id)


def read_subject(database: Database, app: str) -> Subject:
    """The app as it is now. Raises NotFoundError for an unknown one and SuiteError for a broken golden set."""
    with database.read() as session:
        row = check_app(session, app)
        variant = serving_variant(session, app)
    policy = Policy.model_validate(row.policy)
    return Subject(app, policy, variant, load_suite(golden_set_path(policy, Path(row.policy_path))))


def _run_subject(subject: Subject, kind: RunKind) -> RunSubject:
    return RunSubject(subject.app, kind, subject.variant.digest, subject.suite.digest)


def _baseline(session: Session, subject: Subject) -> DriftRun:
    found = find_baseline(session, subject.app)
    if found is None:
        raise NoBaselineError(
            f"{subject.app} has no drift baseline; freeze one while all is well: "
            f"'softlaunch drift baseline {subject.app}'"
        )
    if found.suite_digest != subject.suite.digest:
        raise NoBaselineError(
            f"the golden set of {subject.app} has changed since the baseline {found.id} was frozen on "
            f"{found.opened_at:%Y-%m-%d}; freeze a new one: 'softlaunch drift baseline {subject.app}'"
        )
    return found


def _ask(database: Database, subject: Subject, run: DriftRun, arm: EvalArm, now: datetime) -> None:
    collect(database, _asking(subject, run, arm), now, random.Random(), Retries())


def _asking(subject: Subject, run: DriftRun, arm: EvalArm) -> Asking:
    policy = subject.policy
    return Asking(run.id, subject.app, arm, subject.variant, subject.suite, policy.drift.repeats, policy.eval)


def _judge(
    database: Database,
    subject: Subject,
    baseline: DriftRun,
    run: DriftRun,
    plans: Sequence[MetricPlan],
    now: datetime,
) -> tuple[Judgement, dict[str, Any]]:
    with database.read() as session:
        then, today = read_answers(session, baseline.id), read_answers(session, run.id)
        trends = _trends(session, subject, now)
    asking = _asking(subject, run, EvalArm.CANDIDATE)
    answers = scored(database, asking, [*then, *today], random.Random(), Retries())
    policy = subject.policy
    doubts = [one.sentence for one in of_answers([*then, *today], _RUNS)]
    figures = measure_drift(subject.suite.cases, answers, plans, policy.drift, policy.eval.maximum_unscored, doubts)
    setting = _setting(subject, baseline, identity_of(then), identity_of(today), now)
    judgement = judge_drift(figures, trends, setting, policy.drift)
    return judgement, to_document(figures, trends, setting, judgement)


def _trends(session: Session, subject: Subject, now: datetime) -> list[Trend]:
    until = now.timestamp()
    policy = subject.policy.drift
    declared = [one.metric for one in subject.policy.metrics if not one.metric.is_relative]
    found = [
        (metric, read_weeks(session, subject.app, metric, until - policy.trend, until))
        for metric in (Metric.SATISFACTION, Metric.QUALITY, *declared)
    ]
    rng = np.random.default_rng(_SEED)
    return [trend_of(metric, weeks, rng, policy.confidence) for metric, weeks in found if weeks]


def identity_of(answers: tuple[EvalAnswer, ...]) -> Identity:
    """Which models gave these answers, as far as the answers name them."""
    return Identity(
        frozenset(answer.resolved_model for answer in answers if answer.resolved_model),
        frozenset(answer.fingerprint for answer in answers if answer.fingerprint),
    )


def _setting(subject: Subject, baseline: DriftRun, then: Identity, today: Identity, now: datetime) -> Setting:
    prompt, model = subject.variant.prompt, subject.variant.model
    looked_at = subject.suite.header.as_of
    return Setting(
        then=then,
        now=today,
        same_variant=baseline.variant_digest == subject.variant.digest,
        model=model.model,
        floating=not is_dated(model.model),
        pinnable=pinnable(model.model, then.models),
        prompt=prompt.label,
        refresh_age=None if prompt.created is None else (now.date() - prompt.created).total_seconds(),
        golden_set_age=None if looked_at is None else (now.date() - looked_at).total_seconds(),
        frozen_at=baseline.opened_at,
    )


def is_dated(model: str) -> bool:
    """Whether a model's id carries a date, a numbered version or a digest, so that what it means can't change."""
    return _DATED.search(model) is not None


def pinnable(alias: str, answered_as: frozenset[str]) -> str | None:
    """The dated version that stood behind an alias, where its answers named exactly one; None otherwise."""
    dated = {name for name in answered_as if name != alias and is_dated(name)}
    return next(iter(dated)) if len(dated) == 1 else None
