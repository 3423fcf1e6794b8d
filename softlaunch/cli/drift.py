"""Commands that check whether the production variant still serves as it did."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli.actor import who
from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, print_json, print_table, print_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from softlaunch.drift.judgement import Step
    from softlaunch.drift.runs import DriftRun

App = Annotated[str, typer.Argument(help="The app, as clients call it.")]


def register(app: typer.Typer) -> None:
    """Add the group `drift`."""
    group = typer.Typer(help="Detect prompt drift: changed answers of an unchanged variant.", no_args_is_help=True)
    group.command("check")(check)
    group.command("baseline")(baseline)
    group.command("report")(report)
    group.command("act")(act)
    group.command("compare")(compare)
    app.add_typer(group, name="drift")


def check(app: App, json: bool = JSON_OPTION) -> None:
    """Ask the golden set again, and compare with the baseline.

    Exit codes: 0 no drift, 5 drift or too little evidence, 2 bad input.
    """
    from softlaunch.core.clock import utc_now
    from softlaunch.drift.check import check_drift

    with ledger() as database:
        run = check_drift(database, app, str(who()), utc_now())
    _show(run, json)


def baseline(app: App, json: bool = JSON_OPTION) -> None:
    """Record the production variant's answers as the baseline of later checks."""
    from softlaunch.core.clock import utc_now
    from softlaunch.drift.check import freeze_baseline

    with ledger() as database:
        run = freeze_baseline(database, app, str(who()), utc_now())
    if json:
        print_json({"id": run.id, "app": app, "variant": run.variant_digest, "summary": run.summary})
    else:
        print_text(f"{run.id} is the baseline of {app}: {run.summary}")


def report(app: App, json: bool = JSON_OPTION) -> None:
    """Show an app's newest check, and write its page."""
    from softlaunch.drift.runs import latest_check

    with ledger() as database, database.read() as session:
        run = latest_check(session, app)
    _show(run, json)


def act(
    app: App,
    step: Annotated[
        str | None, typer.Option(help="pin, roll_back or new_baseline. Left out: the proposed one.")
    ] = None,
    without_prefect: Annotated[bool, typer.Option(help="Drive the release of the step pin in this process.")] = False,
    json: bool = JSON_OPTION,
) -> None:
    """Take the next step that the newest check proposes.

    pin releases the dated model of the baseline, roll_back rolls back the newest release, and new_baseline records a
    new baseline.
    """
    from softlaunch.cli.release import finish
    from softlaunch.cli.starting import start_release
    from softlaunch.core.clock import utc_now
    from softlaunch.drift.next_step import act as do

    with ledger() as database:
        result = do(database, app, _step(step), who(), utc_now())
    if result.request is not None:
        finish(app, start_release(result.request, without_prefect=without_prefect, quiet=json), json)
    elif json:
        print_json({"app": app, "step": result.step, "done": result.message})
    else:
        print_text(f"{result.message}.")


def compare(
    recorded: Annotated[list[Path], typer.Option("--recorded", help="CSV, JSON lines or a JSON list, also .gz.")],
    then: Annotated[str, typer.Option(help="The baseline's name in the model column.")],
    now: Annotated[str, typer.Option(help="The name of the current outputs in the model column.")],
    metric: Annotated[list[str] | None, typer.Option(metavar="SPEC", help="As for 'softlaunch eval compare'.")] = None,
    mapped: Annotated[
        list[str] | None, typer.Option("--map", metavar="ROLE=COLUMN", help="Which column is which.")
    ] = None,
    json: bool = JSON_OPTION,
) -> None:
    """Compare recorded outputs, paired by id.

    Exit codes: 0 no drift, 5 drift or too little evidence, 2 bad input.
    """
    from softlaunch.drift.document import to_document
    from softlaunch.drift.recorded import check_recorded
    from softlaunch.evals.recordings.files import read_rows
    from softlaunch.policy.drift import DriftPolicy

    rows = [row for path in recorded for row in read_rows(path)]
    found = check_recorded(rows, (then, now), metric or [], mapped or [], DriftPolicy())
    document = to_document(found.figures, (), found.setting, found.judgement)
    if json:
        print_json(document)
    else:
        _print_document(document)
    raise typer.Exit(_exit_code(document))


def _step(name: str | None) -> "Step | None":
    from softlaunch.core.errors import SoftlaunchError
    from softlaunch.drift.judgement import Step

    known = [Step.PIN, Step.ROLL_BACK, Step.NEW_BASELINE]
    if name is None:
        return None
    if name not in known:
        raise SoftlaunchError(f"--step is {name!r}, expected one of {', '.join(known)}")
    return Step(name)


def _show(run: "DriftRun", json: bool) -> None:
    from softlaunch.core.settings import Settings
    from softlaunch.reports.drift_page import write_drift_page

    checked_at = run.ended_at or run.opened_at
    page = write_drift_page(run.app, run.id, run.report, checked_at, Settings().reports_dir)
    if json:
        print_json({"id": run.id, "app": run.app, "checked_at": checked_at, **run.report, "page": str(page)})
    else:
        _print_document(run.report)
        print_text(f"Page: {page}")
    raise typer.Exit(_exit_code(run.report))


def _exit_code(document: "Mapping[str, Any]") -> Exit:
    """0 where nothing has drifted and that is known; reports of older versions don't say whether it is."""
    return Exit.OK if document.get("clear", not document["drifted"]) else Exit.INCONCLUSIVE


def _print_document(document: "Mapping[str, Any]") -> None:
    from softlaunch.drift.judgement import Cause, Step
    from softlaunch.drift.notices import in_words
    from softlaunch.reports.drift_words import show_metric_change, show_metric_name, show_metric_value

    print_text(f"{document['summary'][0].upper()}{document['summary'][1:]}.\n")
    rows = [
        (
            show_metric_name(one),
            show_metric_value(one, one["then"]),
            show_metric_value(one, one["now"]),
            show_metric_change(one),
        )
        for one in document["metrics"]
    ]
    print_table(f"{document['cases']:,} cases", ("", "then", "now", "change"), rows)
    for remark in document["remarks"]:
        print_text(f"{remark['weight']}: {remark['sentence']}")
    cause, step = in_words(Cause(document["cause"]), Step(document["step"]))
    for sentence in (cause, f"Next: {step}." if step else ""):
        if sentence:
            print_text(sentence)
