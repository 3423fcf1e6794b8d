"""Commands that release and watch."""

import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from sqlmodel import Session

from softlaunch.catalog.records import check_app
from softlaunch.cli.actor import who
from softlaunch.cli.candidate_options import FALLBACK_OPTION, PARAMETERS_OPTION, changes_of
from softlaunch.cli.closing import print_closing
from softlaunch.cli.decisions import show_ended
from softlaunch.cli.exits import Exit
from softlaunch.cli.going_on import advance, unfreeze
from softlaunch.cli.ledger import ledger
from softlaunch.cli.live import render, watch_until_over
from softlaunch.cli.output import JSON_OPTION, console, errors, print_commands, print_json, print_table
from softlaunch.core.clock import utc_now
from softlaunch.core.variant import Sampling
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.approvals import pending_approvals
from softlaunch.ledger.releases import find_latest, find_live, list_releases
from softlaunch.policy.release import Release, State
from softlaunch.releases.ending import abort
from softlaunch.releases.views import ReleaseView, read_view, to_json
from softlaunch.store.tables import ReleaseRow

if TYPE_CHECKING:
    from softlaunch.releases.opening import ReleaseRequest

App = Annotated[str, typer.Argument(help="The app, as clients call it.")]
Reason = Annotated[str, typer.Option("--reason", help="The reason; kept in the ledger.")]
_EvenThoughStableAnswers = Annotated[
    bool, typer.Option(help="With --emergency and --reason: stable answers, but its answers are the emergency.")
]

_Wait = Annotated[bool, typer.Option("--wait", help="If no release is live, wait for the next one to start.")]
_WAIT_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    """Add the group `release`."""
    group = typer.Typer(help="Release a candidate, and watch it.", no_args_is_help=True)
    group.command("start")(start)
    group.command("status")(status)
    group.command("list")(list_all)
    group.command("watch")(watch)
    group.command("resume")(resume)
    group.command("abort")(stop)
    group.command("advance")(advance)
    group.command("unfreeze")(unfreeze)
    app.add_typer(group, name="release")


def start(
    app: App,
    variant: Annotated[str | None, typer.Option(help="A recorded variant: name, alias or digest.")] = None,
    prompt: Annotated[str | None, typer.Option(help="A prompt version, such as support@1.1.0.")] = None,
    model: Annotated[str | None, typer.Option(help="A recorded model version.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="Sampling temperature.")] = None,
    top_p: Annotated[float | None, typer.Option(min=0.001, max=1, help="Nucleus sampling.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Maximum answer length, in tokens.")] = None,
    parameters: str | None = PARAMETERS_OPTION,
    fallback: list[str] = FALLBACK_OPTION,
    policy: Annotated[Path | None, typer.Option(help="Another policy file, for this release only.")] = None,
    allow_same: Annotated[bool, typer.Option(help="Release the variant that already serves, as a rehearsal.")] = False,
    emergency: Annotated[bool, typer.Option(help="Stable doesn't answer: release fast, without a comparison.")] = False,
    even_though_stable_answers: _EvenThoughStableAnswers = False,
    reason: Annotated[str, typer.Option("--reason", help="The reason for the emergency; kept in the ledger.")] = "",
    without_prefect: Annotated[bool, typer.Option(help="Drive the release in this process, without Prefect.")] = False,
    json: bool = JSON_OPTION,
) -> None:
    """Release a candidate: stable with another prompt, model, sampling or parameters, or a recorded variant.

    If Prefect's API is configured (PREFECT_API_URL), the deployment release/release runs it, otherwise this process
    does. Starting the same release again resumes it, unless a driver is alive.

    --emergency replaces a stable variant whose provider is down: the candidate must answer some probes, takes over in
    two short steps, and is judged by its own answers alone. It is refused while stable answers.
    """
    from softlaunch.releases.opening import ReleaseRequest

    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens)
    request = ReleaseRequest(
        app=app,
        changes=changes_of(variant, prompt, model, sampling, parameters, fallback),
        policy_file=None if policy is None else str(policy.resolve()),
        allow_same=allow_same,
        emergency=emergency,
        even_though_stable_answers=even_though_stable_answers,
        reason=reason,
        **_asked_by(),
    )
    _run(request, without_prefect=without_prefect, json=json)


def _asked_by() -> dict[str, str]:
    """Who asks, as requests hold it."""
    return {"actor": who().name, "origin": who().origin}


def _run(request: "ReleaseRequest", *, without_prefect: bool, json: bool) -> None:
    from softlaunch.cli.starting import start_release

    policy = None if request.policy_file is None else Path(request.policy_file)
    _show_what_it_takes(request.app, policy, emergency=request.emergency, quiet=json)
    finish(request.app, start_release(request, without_prefect=without_prefect, quiet=json), json)


def _show_what_it_takes(app: str, policy: Path | None, *, emergency: bool, quiet: bool) -> None:
    """What a release will take, and who must approve it; an emergency isn't foreseen, only who is asked."""
    from softlaunch.cli.starting import show_who_approves, show_who_may_not_judge

    if quiet:
        return
    from softlaunch.cli.doctor import warn_before_release

    warn_before_release(app, policy)
    if not emergency:
        from softlaunch.cli.plan import print_freeze_ahead, print_outlook

        print_outlook(app, policy)
        print_freeze_ahead(app, policy)
        show_who_may_not_judge(app, policy)
    show_who_approves(app, policy, emergency=emergency)


def status(app: App, json: bool = JSON_OPTION) -> None:
    """Show an app's newest release.

    It shows the stages, their verdicts, pending approvals, and who was exposed to the candidate.
    """
    _show(_view(app), json)


def list_all(
    app: Annotated[str | None, typer.Argument(help="Only this app.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, newest first.")] = 20,
    json: bool = JSON_OPTION,
) -> None:
    """List releases, newest first."""
    with ledger() as database, database.read() as session:
        releases = list_releases(session, app, limit)
        waiting = {one.id for one in releases if one.state.live and _waits(session, one)}
    if json:
        print_json(
            [
                {
                    "id": one.id,
                    "app": one.app,
                    "state": one.state,
                    "outcome": one.outcome,
                    "reason": one.reason,
                    "candidate": one.candidate.label,
                    "opened_at": one.opened_at,
                    "ended_at": one.ended_at,
                    "waits_for_a_person": one.id in waiting,
                }
                for one in releases
            ]
        )
        return
    columns = ("release", "state", "candidate", "opened (UTC)", "why")
    print_table("Releases", columns, [_row(one, waits=one.id in waiting) for one in releases])
    for one in releases:
        if one.id in waiting:
            print_commands(f"{one.id} waits for you", [(f"softlaunch release status {one.app}", "what it asks")])


def _waits(session: Session, one: Release) -> bool:
    return bool(pending_approvals(session, one.id, one.position, utc_now()))


def _row(one: Release, *, waits: bool) -> tuple[str, ...]:
    why = textwrap.shorten(one.reason, 60, placeholder=" …")
    state = "waits for you" if waits else one.state
    return one.id, state, one.candidate.label, f"{one.opened_at:%Y-%m-%d %H:%M}", why


def watch(app: App, wait: _Wait = False, json: bool = JSON_OPTION) -> None:
    """Follow a release until it is over.

    The exit code is the release's. If none is live, --wait follows the next one.
    """
    if wait:
        _await_live(app)
    view = _view(app)
    if not json:
        watch_until_over(app, view.release.id)
    _finish(_view(app, view.release.id), json)


def _await_live(app: str) -> None:
    """Wait until an app has a live release; says so when there is none yet. Raises NotFoundError for no app."""
    said = False
    with ledger() as database:
        while True:
            with database.read() as session:
                check_app(session, app)
                if find_live(session, app) is not None:
                    return
            if not said:
                errors.print(f"No release of {app} is live; waiting for the next one. Ctrl-C ends it.", style="dim")
                said = True
            time.sleep(_WAIT_SECONDS)


def resume(app: App, json: bool = JSON_OPTION) -> None:
    """Resume a release whose driver has stopped.

    It is driven in this process, from the state in the ledger.
    """
    from softlaunch.cli.starting import resume_release

    view = _view(app)
    resume_release(view.release, quiet=json)
    _finish(_view(app, view.release.id), json)


def stop(app: App, reason: Reason = "aborted by hand", json: bool = JSON_OPTION) -> None:
    """End a live release; stable serves alone."""
    with ledger() as database:
        with database.begin() as session:
            ended = abort(session, app, who(), reason, utc_now())
        show_ended(database, app, ended, json)


def _view(app: str, release_id: str | None = None) -> ReleaseView:
    with ledger() as database, database.read() as session:
        row = find_latest(session, app) if release_id is None else session.get_one(ReleaseRow, release_id)
        return read_view(session, row, utc_now())


def _show(view: ReleaseView, json: bool) -> None:
    if json:
        print_json(to_json(view))
    else:
        console.print(render(view))
        print_closing(view)


def finish(app: str, release_id: str, json: bool) -> None:
    """Show how a release ended, and exit with the code of its outcome."""
    _finish(_view(app, release_id), json)


def _finish(view: ReleaseView, json: bool) -> None:
    _show(view, json)
    raise typer.Exit(exit_code(view))


def exit_code(view: ReleaseView) -> Exit:
    """The exit code of a release's state; too little evidence has one of its own."""
    if view.release.state.live or view.release.outcome in {Outcome.INCONCLUSIVE, Outcome.REVIEW, Outcome.ERROR}:
        return Exit.INCONCLUSIVE
    return {
        State.PROMOTED: Exit.OK,
        State.REJECTED: Exit.REJECTED,
        State.ROLLED_BACK: Exit.ROLLED_BACK,
    }.get(view.release.state, Exit.ABORTED)
