"""Commands that plan, run and read A/B tests."""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli import traffic_options
from softlaunch.cli.ab_pairs import compare
from softlaunch.cli.actor import who
from softlaunch.cli.candidate_options import FALLBACK_OPTION, PARAMETERS_OPTION, changes_of
from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, console, errors, print_json

if TYPE_CHECKING:
    from softlaunch.ab.opening import TrialRequest
    from softlaunch.ab.views import TrialView
    from softlaunch.core.quantities import Margin
    from softlaunch.releases.changes import Changes
    from softlaunch.store.database import Database


App = Annotated[str, typer.Argument(help="The app, as clients call it.")]
DEPLOYMENT = "ab-test/ab-test"


def register(app: typer.Typer) -> None:
    """Add the group `ab`."""
    group = typer.Typer(help="Run A/B tests, which compare two variants on live traffic.", no_args_is_help=True)
    group.command("plan")(plan)
    group.command("start")(start)
    group.command("status")(status)
    group.command("stop")(stop)
    group.command("report")(report)
    group.command("promote")(promote)
    group.command("compare")(compare)
    app.add_typer(group, name="ab")


def plan(
    app: App,
    policy: Annotated[Path | None, typer.Option(help="Another policy file than the app's.")] = None,
    effect: Annotated[str | None, typer.Option(help="The minimum detectable effect, such as '3 points'.")] = None,
    requests_per_hour: traffic_options.RequestsPerHour = None,
    requests_per_user: Annotated[float | None, typer.Option(min=1, help="Requests per user.")] = None,
    satisfaction: traffic_options.Satisfaction = None,
    rating_share: traffic_options.RatingShare = None,
    quality: traffic_options.Quality = None,
    scored_share: traffic_options.ScoredShare = None,
    json: bool = JSON_OPTION,
) -> None:
    """Plan a test: how many users and days it takes to detect a difference.

    The plan uses the app's own recent traffic; a value given by an option replaces the measured one.
    """
    from softlaunch.ab.planning import foresee_trial
    from softlaunch.cli.ab_output import plan_json, show_plan
    from softlaunch.core.clock import utc_now
    from softlaunch.core.live_metrics import Metric
    from softlaunch.core.settings import Settings
    from softlaunch.forecast.stated import Stated
    from softlaunch.reports.ab_page import write_plan_page

    levels = traffic_options.stated_levels({Metric.SATISFACTION: satisfaction}, quality)
    shares = traffic_options.stated_shares({Metric.SATISFACTION: rating_share, Metric.QUALITY: scored_share})
    stated = Stated(requests_per_hour, requests_per_user, levels, shares)
    with ledger() as database:
        planned = foresee_trial(
            database, app, utc_now().timestamp(), policy_file=policy, stated=stated, effect=_margin(effect)
        )
    page = write_plan_page(planned, Settings().reports_dir)
    if json:
        print_json({**plan_json(planned), "page": str(page)})
        return
    show_plan(planned, page)


def start(
    app: App,
    variant: Annotated[str | None, typer.Option(help="B: a recorded variant, by name, alias or digest.")] = None,
    prompt: Annotated[str | None, typer.Option(help="B has this prompt version, such as support@1.1.0.")] = None,
    model: Annotated[str | None, typer.Option(help="B has this recorded model version.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="B has this sampling temperature.")] = None,
    parameters: str | None = PARAMETERS_OPTION,
    fallback: list[str] = FALLBACK_OPTION,
    duration: Annotated[
        str | None, typer.Option(help="The planned duration, such as '14 d'. Left out: the plan's.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="Another policy file, for this test only.")] = None,
    allow_same: Annotated[bool, typer.Option(help="Test the variant that serves against itself (A/A).")] = False,
    without_prefect: Annotated[bool, typer.Option(help="Drive the test in this process, until it is over.")] = False,
    json: bool = JSON_OPTION,
) -> None:
    """Start a test of B against A, the variant that serves now.

    If Prefect's API is configured, the deployment ab-test/ab-test drives it, and this command returns once it has
    started; otherwise this process drives it until it is over.
    """
    from softlaunch.core.variant import Sampling

    sampling = Sampling(temperature=temperature)
    changes = changes_of(variant, prompt, model, sampling, parameters, fallback)
    trial_id = _begin(_request(app, changes, duration, policy, allow_same=allow_same), without_prefect=without_prefect)
    trial = _read(app, trial_id)
    _show(trial, json)
    if not trial.view.release.state.live:
        raise typer.Exit(_exit_code(trial))


def _request(
    app: str, changes: "Changes", duration: str | None, policy: Path | None, *, allow_same: bool
) -> "TrialRequest":
    from softlaunch.ab.opening import TrialRequest
    from softlaunch.core.errors import SoftlaunchError
    from softlaunch.core.quantities import parse_duration

    try:
        seconds = None if duration is None else parse_duration(duration)
    except ValueError as error:
        raise SoftlaunchError(f"--duration: {error}") from error
    return TrialRequest(
        app=app,
        changes=changes,
        duration=seconds,
        policy_file=None if policy is None else str(policy.resolve()),
        allow_same=allow_same,
        actor=who().name,
        origin="command line",
    )


def _begin(request: "TrialRequest", *, without_prefect: bool) -> str:
    from softlaunch.cli.prefect_api import prefect_configured
    from softlaunch.cli.starting import await_opening, order_run

    with ledger() as database:
        if without_prefect or not prefect_configured():
            return _drive_here(database, request)
        named = request.model_copy(update={"origin": f"{request.origin}, request {uuid.uuid4().hex[:8]}"})
        run = order_run(DEPLOYMENT, {"request": named.model_dump(mode="json")})
        errors.print("Prefect accepted the test; waiting for a worker to start it.", style="dim")
        return await_opening(database, named.app, named.origin, run.id)


def _drive_here(database: "Database", request: "TrialRequest") -> str:
    from softlaunch.ab.opening import open_trial
    from softlaunch.ab.planning import planned_duration
    from softlaunch.core.clock import utc_now
    from softlaunch.core.settings import Settings
    from softlaunch.releases.controller import Controller
    from softlaunch.wiring import build_driver

    now = utc_now()
    trial_id = open_trial(database, request, planned_duration(database, request, now.timestamp()), now)
    errors.print(
        f"{trial_id} is driven by this process until it is over. If it dies, gateways serve A alone, and 'softlaunch "
        f"reconcile' resumes the test.",
        style="dim",
        soft_wrap=True,
    )
    Controller(
        build_driver(database, "command line"),
        Settings().poll_seconds,
        report=lambda progress: errors.print(progress.message, style="dim", markup=False, soft_wrap=True),
        warn=lambda text: errors.print(text, style="yellow", markup=False),
    ).run(trial_id)
    return trial_id


def status(app: App, json: bool = JSON_OPTION) -> None:
    """Show an app's newest test, with each metric's result so far."""
    _show(_read(app), json)


def stop(
    app: App,
    reason: Annotated[str, typer.Option("--reason", help="The reason; kept in the ledger.")] = "stopped by hand",
    json: bool = JSON_OPTION,
) -> None:
    """End a live test without a conclusion; A serves alone."""
    from softlaunch.cli.decisions import show_ended
    from softlaunch.core.clock import utc_now
    from softlaunch.core.errors import NotFoundError
    from softlaunch.ledger.releases import find_live
    from softlaunch.policy.release import Kind
    from softlaunch.releases.ending import abort

    with ledger() as database:
        with database.begin() as session:
            live = find_live(session, app)
            if live is None or live.kind != Kind.AB_TEST:
                what = "nothing is live" if live is None else f"{live.id} is a release"
                raise NotFoundError(f"{app} has no live A/B test: {what}")
            ended = abort(session, app, who(), reason, utc_now())
        show_ended(database, app, ended, json)


def report(
    app: App,
    sheet: Annotated[bool, typer.Option(help="Ask both variants the golden set, and write a blind sheet.")] = False,
    json: bool = JSON_OPTION,
) -> None:
    """Write the page of an app's newest test.

    With --sheet it also writes a blind page of paired answers, so that people can decide when the metrics can't.
    """
    from softlaunch.ab.sheet import ask_both
    from softlaunch.core.settings import Settings
    from softlaunch.reports.ab_page import write_sheet, write_trial_page

    trial = _read(app)
    folder = Settings().reports_dir
    pages = {"page": str(write_trial_page(trial, folder))}
    if sheet:
        with ledger() as database:
            pairs = ask_both(database, trial.view.release)
        pages["sheet"] = str(write_sheet(trial.view.release, pairs, folder))
    if json:
        print_json({"id": trial.view.release.id, **pages})
        return
    for what, where in pages.items():
        console.print(f"{what}: {where}", markup=False, highlight=False, soft_wrap=True)


def promote(
    app: App,
    force: Annotated[bool, typer.Option("--force", help="Release B although the test did not choose it.")] = False,
    without_prefect: Annotated[bool, typer.Option(help="Drive the release in this process.")] = False,
    json: bool = JSON_OPTION,
) -> None:
    """Release the winner of an app's newest test, through eval, canary and gates."""
    from softlaunch.ab.conclusion import Choice
    from softlaunch.cli.release import finish
    from softlaunch.cli.starting import start_release
    from softlaunch.core.errors import SoftlaunchError
    from softlaunch.releases.changes import Changes
    from softlaunch.releases.opening import ReleaseRequest

    trial = _read(app)
    release = trial.view.release
    if trial.choice is not Choice.B and not force:
        became = release.reason or "no conclusion yet"
        raise SoftlaunchError(f"{release.id} did not choose B ({release.state}: {became}); release it with --force")
    request = ReleaseRequest(
        app=app,
        changes=Changes(variant=release.candidate.digest),
        actor=who().name,
        origin=f"command line, winner of {release.id}",
    )
    finish(app, start_release(request, without_prefect=without_prefect, quiet=json), json)


def _read(app: str, trial_id: str | None = None) -> "TrialView":
    from softlaunch.ab.views import read_trial
    from softlaunch.core.clock import utc_now
    from softlaunch.ledger.releases import find_latest
    from softlaunch.policy.release import Kind
    from softlaunch.store.tables import ReleaseRow

    with ledger() as database, database.read() as session:
        latest = trial_id is None
        row = find_latest(session, app, Kind.AB_TEST) if latest else session.get_one(ReleaseRow, trial_id)
        return read_trial(session, row, utc_now())


def _show(trial: "TrialView", json: bool) -> None:
    from softlaunch.ab.views import trial_json
    from softlaunch.cli.ab_output import show_trial

    if json:
        print_json(trial_json(trial))
    else:
        show_trial(trial)


def _exit_code(trial: "TrialView") -> Exit:
    """0 when B is chosen, 3 when A stays, 4 when B was taken from users, 5 when people must decide, 6 when stopped."""
    from softlaunch.core.verdict import Outcome
    from softlaunch.policy.release import State

    release = trial.view.release
    if release.state is State.CONCLUDED:
        return {Outcome.PASS: Exit.OK, Outcome.FAIL: Exit.REJECTED}.get(
            release.outcome or Outcome.ERROR, Exit.INCONCLUSIVE
        )
    return Exit.ROLLED_BACK if release.state is State.ROLLED_BACK else Exit.ABORTED


def _margin(effect: str | None) -> "Margin | None":
    from softlaunch.core.errors import SoftlaunchError
    from softlaunch.core.quantities import Margin, MarginKind

    if effect is None:
        return None
    try:
        margin = Margin.parse(effect)
    except ValueError as error:
        raise SoftlaunchError(f"--effect: {error}") from error
    if margin.kind is not MarginKind.POINTS:
        raise SoftlaunchError(f"--effect is {effect!r}, expected points, such as '3 points'")
    return margin
