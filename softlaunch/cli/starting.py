"""Starting a release: through Prefect's API where one is configured, in this process otherwise."""

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import UUID

import httpx
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from softlaunch.approvals.rules import who_else_in_an_emergency, who_else_is_needed
from softlaunch.catalog.records import check_app
from softlaunch.cli.ledger import ledger
from softlaunch.cli.live import showing
from softlaunch.cli.output import errors
from softlaunch.cli.prefect_api import prefect_configured, prefect_faults
from softlaunch.core.clock import utc_now
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings
from softlaunch.ledger.releases import find_opened_from, read_release
from softlaunch.live.standing import objection_of
from softlaunch.notify.senders import delivering
from softlaunch.policy.load import load_policy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release, StageKind
from softlaunch.releases.controller import Controller
from softlaunch.releases.driver import Progress
from softlaunch.releases.opening import ReleaseRequest, check_request, find_to_continue, open_release
from softlaunch.releases.views import read_view
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow
from softlaunch.wiring import build_driver

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

DEPLOYMENT = "release/release"
RESUMING = "resume-release/resume-release"
_HINT_SECONDS = 30.0
_EMERGENCY_POLL_SECONDS = 0.5
_UNCONFIGURED = (
    "Prefect isn't configured, so this process drives the release. To see the next one in Prefect's UI:\n"
    "  softlaunch up                                             # in its own terminal\n"
    "  export PREFECT_API_URL=http://127.0.0.1:4200/api          # here, before it"
)


class NotStartedError(SoftlaunchError):
    """Prefect took the request but no release came of it."""


def show_who_approves(app: str, policy_file: Path | None, *, emergency: bool) -> None:
    """Warn before a release begins that its starter's vote won't count, where no other approver is named."""
    with suppress(SoftlaunchError):  # the release itself says what is wrong in a moment
        with ledger() as database, database.read() as session:
            policy = _policy_in_force(session, app, policy_file)
        needed = (who_else_in_an_emergency if emergency else who_else_is_needed)(policy)
        if needed is not None:
            errors.print(needed, style="dim", markup=False, highlight=False, soft_wrap=True)


def show_who_may_not_judge(app: str, policy_file: Path | None) -> None:
    """Warn before a release begins that gates will wait for live judges whom nobody has compared with people."""
    with suppress(SoftlaunchError), ledger() as database, database.read() as session:
        policy = _policy_in_force(session, app, policy_file)
        found = [
            (one.metric, objection_of(session, policy, one)) for one in (policy.live.metrics if policy.live else ())
        ]
        for metric, objection in found:
            if objection:
                told = f"{metric} is judged live: {objection}"
                errors.print(told, style="yellow", markup=False, highlight=False, soft_wrap=True)


def _policy_in_force(session: Session, app: str, policy_file: Path | None) -> Policy:
    """The policy of a file, or the app's own. Raises SoftlaunchError where there is none."""
    recorded = check_app(session, app).policy
    return Policy.model_validate(recorded) if policy_file is None else load_policy(policy_file)


def start_release(request: ReleaseRequest, *, without_prefect: bool, quiet: bool) -> str:
    """Start a release and follow it until it is over; returns its id."""
    if without_prefect:
        return _drive_here(request, quiet=quiet)
    if prefect_configured():
        return _run_deployment(request, quiet=quiet)
    if not quiet:
        errors.print(_UNCONFIGURED, style="dim", markup=False, highlight=False, soft_wrap=True)
    return _drive_here(request, quiet=quiet)


def launch_release(request: ReleaseRequest) -> None:
    """Start a release that nobody here follows: a worker drives it where Prefect is configured, else this thread."""
    if not prefect_configured():
        _drive_here(request, quiet=True)
        return
    with ledger() as database:
        check_request(database, request, utc_now())
    order_run(DEPLOYMENT, {"request": request.model_dump(mode="json")})


def resume_release(release: Release, *, quiet: bool) -> None:
    """Drive a live release on in this process; raises FencedError while somebody else drives it."""
    with ledger() as database:
        _drive(database, release.app, release.id, Settings().poll_seconds, quiet=quiet)


def _drive_here(request: ReleaseRequest, *, quiet: bool) -> str:
    with ledger() as database:
        release_id = open_release(database, request, utc_now())
        poll_seconds = Settings().poll_seconds
        if request.emergency:
            poll_seconds = min(poll_seconds, _EMERGENCY_POLL_SECONDS)
        _drive(database, request.app, release_id, poll_seconds, quiet=quiet)
        return release_id


def _drive(database: Database, app: str, release_id: str, poll_seconds: float, *, quiet: bool) -> None:
    """Drive a release to its end, with its notices sent and its pages written as a flow does."""

    def report(step: Progress) -> None:
        with database.read() as session:
            stages = read_release(session, release_id).stages
        if stages[step.position].kind is StageKind.EVAL and step.next_position != step.position:
            write_release_page(database, release_id)  # no user is at risk yet, so that watching may wait for it

    with _shown(database, app, release_id, quiet=quiet), delivering(database, _nothing):
        try:
            Controller(build_driver(database, "command line"), poll_seconds, report, _warn).run(release_id)
        except KeyboardInterrupt:
            _warn(
                f"{release_id} has no driver any more, and stable serves alone within seconds. Go on: softlaunch "
                f"release resume {app}. End it: softlaunch release abort {app}"
            )
            raise
    write_release_page(database, release_id)


def write_release_page(database: Database, release_id: str) -> None:
    """Write a release's page into the reports folder; that it can't be written stops nothing."""
    from softlaunch.reports.pages import write_page

    try:
        with database.read() as session:
            view = read_view(session, session.get_one(ReleaseRow, release_id), utc_now())
        write_page(database, view, Settings().reports_dir)
    except (OSError, SQLAlchemyError) as error:
        _warn(f"the page of {release_id} can't be written: {error}")


def _nothing(_: str) -> None:
    """What is said to people without a chat is on the screen already."""


def _warn(text: str) -> None:
    errors.print(text, style="yellow", markup=False)


@contextmanager
def _shown(database: Database, app: str, release_id: str | None, *, quiet: bool) -> Iterator[None]:
    """Show the release while the block drives it; `quiet` shows nothing."""
    if quiet:
        yield
        return
    with showing(database, app, release_id) as screen, screen.following():
        yield


def _run_deployment(request: ReleaseRequest, *, quiet: bool) -> str:
    """Have a worker run the deployment, and follow the release in the ledger."""
    named = request.model_copy(update={"origin": f"{request.origin}, request {uuid.uuid4().hex[:8]}"})
    with ledger() as database:
        release_id = find_to_continue(database, named, utc_now())
        if release_id is None:
            _check_here(database, named)
            run = order_run(DEPLOYMENT, {"request": named.model_dump(mode="json")})
            errors.print("Prefect accepted the release; waiting for a worker to start it.", style="dim")
            release_id = await_opening(database, named.app, named.origin, run.id)
        else:
            order_run(RESUMING, {"release_id": release_id})
            errors.print(f"Prefect resumes {release_id}; waiting for a worker to start.", style="dim")
        with _shown(database, request.app, release_id, quiet=quiet):
            while _live(database, release_id):
                time.sleep(0.5)
        return release_id


def _check_here(database: Database, request: ReleaseRequest) -> None:
    """Raise at once what the worker would say later, where this machine has the files that it reads."""
    with database.read() as session:
        policy = Path(request.policy_file or check_app(session, request.app).policy_path)
    if policy.is_file():
        check_request(database, request, utc_now())


def order_run(deployment: str, parameters: Mapping[str, object]) -> "FlowRun":
    """Have Prefect run a deployment; raises NotStartedError when there is none."""
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    try:
        with prefect_faults("do it in this process: --without-prefect"):
            return cast("FlowRun", run_deployment(deployment, parameters=dict(parameters), timeout=0))
    except ObjectNotFound as error:
        raise NotStartedError(
            f"Prefect has no deployment {deployment}; run 'softlaunch deploy', or start with --without-prefect"
        ) from error


def await_opening(database: Database, app: str, origin: str, run_id: UUID) -> str:
    """The release or test that a flow run opened; raises NotStartedError, with its words, when it ends without."""
    from prefect.client.orchestration import get_client

    begun, hinted = time.monotonic(), False
    with get_client(sync_client=True) as client:
        while True:
            with database.read() as session:
                found = find_opened_from(session, app, origin)
            if found is not None:
                return found
            with suppress(httpx.TransportError):  # the worker may have the run already, so waiting goes on
                state = client.read_flow_run(run_id).state
                if state is not None and state.is_final():
                    raise NotStartedError(f"Prefect's run {run_id} ended before a release was opened: {state.message}")
            if not hinted and time.monotonic() - begun > _HINT_SECONDS:
                errors.print("No worker has picked it up yet; start one: prefect worker start --pool softlaunch")
                hinted = True
            time.sleep(0.5)


def _live(database: Database, release_id: str) -> bool:
    with database.read() as session:
        return read_release(session, release_id).state.live
