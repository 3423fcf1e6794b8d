"""Opening a release: from what a person asks for to a frozen release that holds the app's lock."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session

from softlaunch.catalog.candidates import preview_candidate
from softlaunch.catalog.records import check_app, record_variant
from softlaunch.core.content import Name
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.prices import is_priced
from softlaunch.core.variant import Variant, differences
from softlaunch.core.verdict import Per, Role
from softlaunch.evals.suites.suite import load_suite
from softlaunch.ledger.notices import Message, notify
from softlaunch.ledger.releases import Actor, Opening, Origin, ReleaseLockedError, find_live, held_by, is_driven
from softlaunch.ledger.releases import open_release as open_in_ledger
from softlaunch.ledger.routes import serving_to_json
from softlaunch.ledger.traffic_rate import read_unnamed
from softlaunch.policy.load import golden_set_path, load_policy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Kind
from softlaunch.policy.route import Serving
from softlaunch.releases.apis import check_candidate, check_evaluation, check_probed
from softlaunch.releases.changes import Changes
from softlaunch.releases.emergency import check_stable
from softlaunch.releases.ending import end_topline
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, ReleaseRow, RouteRow, VariantRow

_MOST_UNNAMED = 0.5


class NothingChangesError(SoftlaunchError):
    """The candidate is what serves already."""


class UnpricedError(SoftlaunchError):
    """A cost gate is required, but what an answer costs is unknown."""


class UnnamedError(SoftlaunchError):
    """A gate counts sessions or users, but most requests name nobody."""


class NoEmergencyError(SoftlaunchError):
    """An emergency release was asked for, and stable isn't known to fail."""


class ReleaseRequest(BaseModel):
    """Release a candidate to an app. What is left empty stays as it serves now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: Name = Field(
        title="App",
        description="The app to release to, as clients call it, such as support-bot.",
        examples=["support-bot"],
    )
    changes: Changes = Field(
        title="Candidate", description="What the candidate has other than what serves now; at least one thing."
    )
    policy_file: str | None = Field(
        default=None,
        title="Policy override",
        description="Path, on the worker, of another policy file than the app's, for this release only.",
        examples=["/etc/softlaunch/careful.yaml"],
    )
    allow_same: bool = Field(
        default=False, title="Rehearse", description="Release what serves already, to rehearse the pipeline (A/A)."
    )
    emergency: bool = Field(
        default=False,
        title="Emergency",
        description="Stable doesn't answer: nothing is compared, the candidate is judged by its own answers.",
    )
    even_though_stable_answers: bool = Field(
        default=False,
        title="Even though stable answers",
        description="With an emergency: what stable answers is what is wrong. Needs a reason.",
    )
    reason: str = Field(
        default="",
        title="Why",
        description="Why there is an emergency, besides what the request log says; kept in the ledger.",
        examples=["the provider's region is down"],
    )
    actor: str = Field(
        default="unknown", title="Who", description="Who releases, such as anna; kept in the ledger.", examples=["anna"]
    )
    origin: Origin = "prefect"


def open_release(database: Database, request: ReleaseRequest, now: datetime) -> str:
    """Check a request, freeze it and take the app's lock; returns the release's id.

    A request for what a live release without a driver releases already resumes that one. Raises SoftlaunchError,
    with what to change, before anything is written.
    """
    why = _emergency(database, request, now)
    _check_readable(database, request, now)  # files are read, and patterns tried, before others wait for the ledger
    with database.begin() as session:
        app, actor = check_app(session, request.app), Actor(request.actor, request.origin)
        end_topline(session, request.app, actor, "another release starts", now)
        session.get_one(
            RouteRow, request.app, with_for_update=True
        )  # of two at once the second sees what the first did
        held = find_live(session, request.app)
        if held is not None:
            return _resume(session, held, request, now)
        frozen = _freeze(session, app, request)
        record_variant(session, frozen.candidate, now)
        opening = Opening(
            request.app,
            frozen.stable.digest,
            frozen.candidate.digest,
            frozen.policy,
            str(frozen.policy_path.resolve()),
            emergency=why,
        )
        release_id = open_in_ledger(session, opening, actor, now)
        serve_by(session, app, frozen.policy, now)
        how = f" as an emergency, compared with nothing: {why}" if why else ""
        notify(
            session,
            Message(request.app, release_id, f"{release_id}: {actor} releases {frozen.candidate.label}{how}."),
            now,
        )
        return release_id


def _emergency(database: Database, request: ReleaseRequest, now: datetime) -> str:
    """Why a request may do without any comparison, in words; empty where it doesn't ask for that.

    Raises NoEmergencyError where stable answers, unless the request says why that doesn't matter.
    """
    if not request.emergency:
        if request.even_though_stable_answers:
            raise NoEmergencyError(
                "--even-though-stable-answers is for emergencies only: add --emergency, or leave it out"
            )
        return ""
    with database.read() as session:
        check_app(session, request.app)
    stable = check_stable(database, request.app, now)
    if stable.failing:
        return "; ".join(part for part in (request.reason, stable.message) if part)
    if request.even_though_stable_answers and request.reason:
        return f"{request.reason} (even though stable answers: {stable.message})"
    raise NoEmergencyError(
        f"stable of {request.app} isn't known to fail: {stable.message}. An emergency release skips eval, shadow "
        "and gates, so it is only for a stable that doesn't answer: release as usual, without --emergency, or go back "
        f"to a version that served well ('softlaunch rollback {request.app} --to ...'). If stable's answers are the "
        "emergency, give a reason: --even-though-stable-answers --reason '...'"
    )


def check_request(database: Database, request: ReleaseRequest, now: datetime) -> None:
    """Raise what `open_release` would, writing nothing: for those to whom starting costs something."""
    _check_readable(database, request, now)
    _emergency(database, request, now)


def _check_readable(database: Database, request: ReleaseRequest, now: datetime) -> None:
    with database.read() as session:
        app = check_app(session, request.app)
        held = find_live(session, request.app)
        if held is None or held.kind == Kind.TOPLINE:
            _freeze(session, app, request)
        else:
            _check_resumable(session, held, request, now)


@dataclass(frozen=True, slots=True)
class _Frozen:
    """What a release is held to, whatever changes meanwhile."""

    policy: Policy
    policy_path: Path
    stable: Variant
    candidate: Variant


def _freeze(session: Session, app: AppRow, request: ReleaseRequest) -> _Frozen:
    """What a request asks for, checked."""
    policy_path = Path(request.policy_file or app.policy_path)
    policy = Policy.model_validate(app.policy) if request.policy_file is None else load_policy(policy_path)
    stable = serving_variant(session, request.app)
    same = request.allow_same and request.changes == Changes()
    candidate = stable if same else preview_candidate(session, request.app, stable, request.changes.change)
    _check_differs(policy, stable, candidate, allow_same=request.allow_same)
    check_candidate(session, policy, stable, candidate)
    if not request.emergency:
        check_evaluation(session, policy, policy_path, stable, candidate)
        _check(policy, policy_path, Path(app.policy_path), stable, candidate)
        _check_named(session, policy, policy_path)
    else:
        check_probed(session, policy, stable, candidate)
    return _Frozen(policy, policy_path, stable, candidate)


def describe(session: Session, request: ReleaseRequest) -> str:
    """What a request does, for the name of its run: `support-bot: 1.3.0 -> 1.4.0`. Raises SoftlaunchError as opening.

    Nothing is written.
    """
    check_app(session, request.app)
    stable = serving_variant(session, request.app)
    if request.allow_same and request.changes == Changes():
        return f"{request.app}: rehearsal with {stable.label}"
    before, after = differences(stable, preview_candidate(session, request.app, stable, request.changes.change))
    return f"{request.app}: {before} -> {after}"


def find_to_continue(database: Database, request: ReleaseRequest, now: datetime) -> str | None:
    """Id of the live release that a request would resume; None when it would open one.

    Raises ReleaseLockedError when the app's live release is somebody else's.
    """
    with database.begin() as session:
        held = find_live(session, request.app)
        return None if held is None or held.kind == Kind.TOPLINE else _resume(session, held, request, now)


def _resume(session: Session, held: ReleaseRow, request: ReleaseRequest, now: datetime) -> str:
    _check_resumable(session, held, request, now)
    asked_by = Actor(request.actor, request.origin)
    notify(session, Message(held.app, held.id, f"{held.id}: {asked_by} resumes it; it had no driver."), now)
    return held.id


def _check_resumable(session: Session, held: ReleaseRow, request: ReleaseRequest, now: datetime) -> None:
    if held.kind != Kind.RELEASE or is_driven(held, now) or not _wants(session, held, request):
        raise ReleaseLockedError(held_by(held, now))


def _wants(session: Session, held: ReleaseRow, request: ReleaseRequest) -> bool:
    """Whether a request names the candidate of a live release, and wants it compared in the same way."""
    if request.emergency != bool(held.emergency):
        return False
    if request.changes == Changes():
        return request.allow_same and held.candidate_digest == held.stable_digest
    stable = Variant.model_validate(session.get_one(VariantRow, held.stable_digest).content)
    candidate = preview_candidate(session, request.app, stable, request.changes.change)
    return candidate.digest == held.candidate_digest


def serve_by(session: Session, app: AppRow, policy: Policy, now: datetime) -> None:
    """Let gateways serve by the policy that the release was frozen with."""
    row = session.get_one(RouteRow, app.name)
    serving = serving_to_json(Serving.of(app.salt, policy))
    if row.serving != serving:
        row.serving, row.revision, row.changed_at = serving, row.revision + 1, now


def serving_variant(session: Session, app: str) -> Variant:
    """The variant that an app's route has as stable."""
    route = session.get_one(RouteRow, app)
    return Variant.model_validate(session.get_one(VariantRow, route.stable_digest).content)


def _check_differs(policy: Policy, stable: Variant, candidate: Variant, *, allow_same: bool) -> None:
    if candidate.digest == stable.digest and not allow_same:
        raise NothingChangesError(
            f"{policy.app} already serves {stable.label}; name what changes (--prompt, --model, --temperature, ...), "
            "or rehearse the pipeline with it (--allow-same)"
        )


def _check(policy: Policy, policy_path: Path, app_path: Path, stable: Variant, candidate: Variant) -> None:
    """What would make a release fail later is said now."""
    if policy.eval.golden_set is not None:
        load_suite(golden_set_path(policy, policy_path, app_path.parent))
    waits_for_cost = any(gate.metric is Metric.COST and gate.role is Role.REQUIRED for gate in policy.gates)
    models = [model for variant in (stable, candidate) for model in (variant.model, *variant.fallbacks)]
    unpriced = sorted({model.name for model in models if not is_priced(model)})
    if waits_for_cost and unpriced:
        raise UnpricedError(
            f"{policy_path}: the cost gate is required, but the price of {', '.join(unpriced)} is unknown, so it could "
            "not be judged; set input_usd_per_million and output_usd_per_million in models.yaml, or make the gate "
            "'guard'"
        )


def _check_named(session: Session, policy: Policy, policy_path: Path) -> None:
    """Raise UnnamedError where a request would be a session of its own, because it doesn't say who asks."""
    counting = [gate for gate in policy.gates if gate.per is not Per.REQUEST]
    unnamed = read_unnamed(session, policy.app) if counting else 0.0
    if unnamed > _MOST_UNNAMED:
        raise UnnamedError(
            f"{policy_path}: the gate on {counting[0].metric} counts{counting[0].per.words}, but {unnamed:.0%} of the "
            "newest requests name no user, so each would be a separate session; send 'user' or 'safety_identifier' "
            "with them, configure 'unit', or leave 'per' out"
        )
