"""What uses which recorded version: a cleanup never deletes these."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlmodel import Session, col

from softlaunch.drift.runs import RunKind, RunState
from softlaunch.store.tables import AliasMoveRow, AliasRow, DriftRunRow, EvalRunRow, ReleaseRow, RouteRow, VariantRow


@dataclass(frozen=True, slots=True)
class Uses:
    """Keys in use, and by what (`production of my-bot`)."""

    prompts: dict[str, str]
    parameters: dict[str, str]
    models: dict[str, str]
    variants: dict[str, str]
    evals: dict[str, str]


def lock_uses(session: Session) -> None:
    """Keep aliases and releases as they are until this transaction ends."""
    if session.get_bind().dialect.name == "postgresql":  # a writing transaction on SQLite is alone anyway
        session.connection().execute(text("LOCK TABLE aliases, routes, releases IN SHARE MODE"))


def read_uses(session: Session, recent_releases: int) -> Uses:
    """What aliases, routes, live releases, each app's newest releases and drift baselines refer to.

    Variants are kept longer: whatever any release or alias ever pointed at, so that what served can be read again.
    """
    releases = dict(_releases(session, recent_releases))
    drift_runs = list(_drift_runs(session))
    compared = [(variant, reason) for _, variant, reason, in_force in drift_runs if in_force]
    serving = _first([*_pointed(session), *_released(session, releases), *compared])
    prompts, parameters, models = _parts(session, serving)
    references = {id_: reason for id_, _, reason, in_force in drift_runs if in_force}
    evals = {**dict(_evals(session, releases, serving)), **references}
    referenced = [(variant, reason) for _, variant, reason, _ in drift_runs]
    return Uses(prompts, parameters, models, _first([*serving.items(), *_served(session), *referenced]), evals)


def _parts(session: Session, serving: dict[str, str]) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The prompts, parameters and models, fallback models among them, that serving variants are put together from."""
    prompts: dict[str, str] = {}
    parameters: dict[str, str] = {}
    models: dict[str, str] = {}
    columns = (VariantRow.prompt_name, VariantRow.prompt_version, VariantRow.model_name)
    query = select(col(VariantRow.digest), *map(col, columns), col(VariantRow.parameters), col(VariantRow.fallbacks))
    for digest, name, version, model, own, fallbacks in session.execute(query).yield_per(1000):
        if digest not in serving:
            continue
        prompts.setdefault(f"{name}@{version}", serving[digest])
        if own is not None:
            parameters.setdefault(own, serving[digest])
        for one in (model, *(fallbacks or ())):
            models.setdefault(one, serving[digest])
    return prompts, parameters, models


def _first(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    first: dict[str, str] = {}
    for key, reason in found:
        first.setdefault(key, reason)
    return first


def _pointed(session: Session) -> Iterator[tuple[str, str]]:
    for alias in session.execute(select(AliasRow).order_by(col(AliasRow.app), col(AliasRow.alias).desc())).scalars():
        yield alias.variant_digest, f"{alias.alias} of {alias.app}"
    for route in session.execute(select(RouteRow)).scalars():
        yield route.stable_digest, f"served by {route.app}"
        if route.candidate_digest is not None:
            yield route.candidate_digest, f"served by {route.app}"


def _releases(session: Session, recent: int) -> Iterator[tuple[str, str]]:
    newest = dict(
        session.execute(select(col(ReleaseRow.app), func.max(ReleaseRow.number)).group_by(col(ReleaseRow.app)))
        .tuples()
        .all()
    )
    for id_, app, number, live in session.execute(
        select(col(ReleaseRow.id), col(ReleaseRow.app), col(ReleaseRow.number), col(ReleaseRow.live_app))
    ):
        if live is not None:
            yield id_, f"live release {id_}"
        elif number > newest[app] - recent:
            yield id_, f"recent release {id_}"


def _released(session: Session, releases: dict[str, str]) -> Iterator[tuple[str, str]]:
    for id_, stable, candidate in session.execute(
        select(col(ReleaseRow.id), col(ReleaseRow.stable_digest), col(ReleaseRow.candidate_digest))
    ):
        if id_ in releases:
            yield stable, releases[id_]
            yield candidate, releases[id_]


def _evals(session: Session, releases: dict[str, str], serving: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The evals of releases that are live or recent, and of variants that serve: those are references."""
    columns = select(col(EvalRunRow.id), col(EvalRunRow.release_id), col(EvalRunRow.candidate_digest))
    for id_, release_id, candidate in session.execute(columns).yield_per(1000):
        if release_id in releases:
            yield id_, releases[release_id]
        elif candidate in serving:
            yield id_, f"eval of {serving[candidate]}"


def _drift_runs(session: Session) -> Iterator[tuple[str, str, str, bool]]:
    """Every drift run: its id, its variant, and whether it is under way or the baseline that checks compare with."""
    newest: set[str] = set()
    for run in session.execute(select(DriftRunRow).order_by(col(DriftRunRow.number).desc())).scalars():
        is_baseline = run.kind == RunKind.BASELINE and run.state == RunState.DONE and run.app not in newest
        if is_baseline:
            newest.add(run.app)
        reason = f"drift baseline of {run.app}" if is_baseline else f"drift run {run.id}"
        yield run.id, run.variant_digest, reason, is_baseline or run.state == RunState.RUNNING


def _served(session: Session) -> Iterator[tuple[str, str]]:
    """Variants that the history refers to."""
    for id_, stable, candidate in session.execute(
        select(col(ReleaseRow.id), col(ReleaseRow.stable_digest), col(ReleaseRow.candidate_digest))
    ):
        yield stable, f"release {id_}"
        yield candidate, f"release {id_}"
    for app, digest in session.execute(select(col(AliasMoveRow.app), col(AliasMoveRow.variant_digest)).distinct()):
        yield digest, f"served by {app} once"
