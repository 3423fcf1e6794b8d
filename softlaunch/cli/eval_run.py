"""`softlaunch eval run`: ask candidate and stable the golden set now, outside of a release."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from softlaunch.cli.candidate_options import PARAMETERS_OPTION
from softlaunch.cli.comparisons import exit_code, show_comparison
from softlaunch.cli.output import JSON_OPTION, errors, print_json, print_text
from softlaunch.core.clock import utc_now
from softlaunch.core.quantities import parse_duration
from softlaunch.evals.statistics.document import to_document

if TYPE_CHECKING:
    from softlaunch.catalog.candidates import Change
    from softlaunch.evals.orders import EvalOrder, EvalProgress
    from softlaunch.evals.regression import RegressionEval
    from softlaunch.evals.standalone import Wanted

_STEP_SECONDS = 1.0
App = Annotated[str, typer.Argument(help="The app, as clients call it.")]
_Reuse = Annotated[str | None, typer.Option(metavar="AGE", help="Reuse recorded answers up to this age: '1 d'.")]


def run_eval(
    app: App,
    variant: Annotated[str | None, typer.Option(help="A recorded variant: name, alias or digest.")] = None,
    prompt: Annotated[str | None, typer.Option(help="A prompt version, such as support@1.1.0.")] = None,
    model: Annotated[str | None, typer.Option(help="A recorded model version.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="Sampling temperature.")] = None,
    parameters: str | None = PARAMETERS_OPTION,
    policy: Annotated[Path | None, typer.Option(help="Another policy file than the app's.")] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="How often each case is asked at first.")] = None,
    maximum_repeats: Annotated[int | None, typer.Option(min=1, help="How often if it is inconclusive.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Concurrent calls.")] = None,
    budget_calls: Annotated[int | None, typer.Option(min=1, help="Maximum number of calls.")] = None,
    budget_usd: Annotated[float | None, typer.Option(help="Maximum cost of the answers.")] = None,
    reuse: _Reuse = None,
    fresh: Annotated[bool, typer.Option(help="Start a new run even if an unfinished one exists.")] = False,
    json: bool = JSON_OPTION,
) -> None:
    """Compare a candidate with stable on the app's golden set; without options, stable with itself (A/A).

    An unfinished run of the same eval (killed, or out of budget) is resumed: no finished call is paid for twice.

    Exit codes: 0 pass, 3 fail, 5 inconclusive or review, 2 bad input.
    """
    from softlaunch.catalog.candidates import Change

    sampling = {} if temperature is None else {"temperature": temperature}
    change = Change(prompt=prompt, model=model, sampling=sampling, variant=variant, parameters=parameters)
    given = {
        "repeats": repeats,
        "maximum_repeats": max(repeats, maximum_repeats or repeats) if repeats else maximum_repeats,
        "concurrency": concurrency,
        "budget_calls": budget_calls,
        "budget_usd": budget_usd,
        "reuse": None if reuse is None else _age(reuse),
    }
    wanted = _wanted(app, change, policy)
    order, progress = _evaluate(
        wanted, {key: one for key, one in given.items() if one is not None}, fresh=fresh, quiet=json
    )
    _conclude(order, progress, json=json)


def _wanted(app: str, change: "Change", policy: Path | None) -> "Wanted":
    from softlaunch.catalog.candidates import Change
    from softlaunch.evals.standalone import Wanted
    from softlaunch.policy.load import load_policy

    own_policy = None if policy is None else (load_policy(policy), policy)
    return Wanted(app, None if change == Change() else change, own_policy)


def _conclude(order: "EvalOrder", progress: "EvalProgress", *, json: bool) -> None:
    """Show the report, and exit with its code."""
    assert progress.report is not None  # noqa: S101  (following ends with one)
    if json:
        print_json({"run": order.run_id, "halted": progress.halted, **to_document(progress.report)})
    else:
        print_text(f"{order.run_id}: {order.candidate.label} against {order.stable.label}")
        show_comparison(progress.report)
        print_text(f"Look at the answers: softlaunch review {order.run_id}")
    raise typer.Exit(exit_code(progress.report))


def _evaluate(
    wanted: "Wanted", overrides: dict[str, object], *, fresh: bool, quiet: bool
) -> "tuple[EvalOrder, EvalProgress]":
    """Plan the eval, or resume an unfinished one of the same, and work until there is a report."""
    from softlaunch.cli.ledger import ledger  # here: a comparison of recorded outputs needs no ledger and no client
    from softlaunch.evals.regression import RegressionEval
    from softlaunch.evals.standalone import plan_order, resumed

    with ledger() as database:
        evaluation = RegressionEval(database)
        order = plan_order(database, wanted, overrides, utc_now())
        order = order if fresh else resumed(database, evaluation, order)
        try:
            return order, _follow(evaluation, order, quiet=quiet)
        finally:
            evaluation.close()


def _age(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"--reuse {text}: {error}") from error


def _follow(evaluation: "RegressionEval", order: "EvalOrder", *, quiet: bool) -> "EvalProgress":
    """Work until there is a report, with a bar that says what was spent so far."""
    from softlaunch.core.formatting import show_cost

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[spent]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, disable=quiet, transient=True) as bar:
        task = bar.add_task(order.run_id, total=None, spent="")
        while True:
            progress = evaluation.work(order, _STEP_SECONDS)
            spent = "" if progress.cost_usd is None else f"{show_cost(progress.cost_usd)} so far"
            bar.update(task, completed=progress.done, total=progress.planned, spent=spent)
            if progress.report is not None:
                return progress
