"""How a command about a release ends: what serves now, where the report is, and which command comes next."""

from sqlmodel import Session

from softlaunch.catalog.aliases import PRODUCTION
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import print_commands, print_text
from softlaunch.core.formatting import show_moment
from softlaunch.core.settings import Settings
from softlaunch.core.variant import Variant
from softlaunch.notify.links import Links, is_address
from softlaunch.policy.release import Stage, State
from softlaunch.releases.early import may_advance_early
from softlaunch.releases.views import ReleaseView
from softlaunch.store.tables import AliasRow, RouteRow, VariantRow


def print_closing(view: ReleaseView) -> None:
    """Print what serves, the report and the next command of a release."""
    for trouble in view.troubles:
        print_text(f"Open incident: {trouble} See softlaunch incidents list {view.release.app}.")
    with ledger() as database, database.read() as session:
        print_text(_serving(session, view))
    report = _report(view.release.id)
    if report:
        print_text(f"Report: {report}")
    print_commands("Next", _next(view))


def _serving(session: Session, view: ReleaseView) -> str:
    """`my-bot is served by my-bot@1.0.0 on tiny-1 (5c3c4d2afb47), since 2026-11-30 10:41:00 UTC`, as a sentence."""
    release = view.release
    route = session.get_one(RouteRow, release.app)
    stable = Variant.model_validate(session.get_one(VariantRow, route.stable_digest).content)
    if release.state.live and release.state.exposes_users and route.release_id == release.id:
        return (
            f"{release.app} is served by {stable.label}; {release.candidate.label} serves "
            f"{release.stage.weight_percent:g} % of {_whom(release.stage)} while it is watched."
        )
    moved = session.get(AliasRow, (release.app, PRODUCTION))
    since = "" if moved is None else f", since {show_moment(moved.moved_at)} UTC"
    return f"{release.app} is served by {stable.label} ({stable.digest[:12]}){since}."


def _whom(stage: Stage) -> str:
    return "the users" if stage.only is None else stage.only.words


def _report(release_id: str) -> str:
    """Where the report is; empty where there is none yet."""
    address = Links.of(Settings()).report(release_id)
    file = Settings().reports_dir / f"{release_id}.html"
    if not file.is_file():
        return ""
    return address if is_address(address) else str(file)


def _next(view: ReleaseView) -> list[tuple[str, str]]:
    release = view.release
    app = release.app
    if view.approvals:
        return [(f"softlaunch approve {app}", "continue"), (f"softlaunch reject {app}", "stop, and serve stable alone")]
    if release.state.live:
        early = [(f"softlaunch release advance {app} --reason ...", "start the next stage early, as the policy allows")]
        return [
            (f"softlaunch release watch {app}", "follow it"),
            *(early if may_advance_early(release) else []),
            (f"softlaunch rollback {app}", "roll it back"),
        ]
    match release.state:
        case State.PROMOTED:
            return [(f"softlaunch rollback {app}", "return to the previous variant, at any time")]
        case State.ROLLED_BACK:
            return [
                (f"softlaunch incidents list {app}", "open incidents, each with its runbook"),
                (f"softlaunch history {app}", "the audit trail"),
            ]
        case State.REJECTED:
            return [
                (f"softlaunch review {release.id}", "its answers next to stable's"),
                (f"softlaunch history {app}", "the audit trail"),
            ]
        case _:
            return [(f"softlaunch history {app}", "the audit trail")]
