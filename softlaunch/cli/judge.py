"""`softlaunch judge`: measure a judge against people before it may decide anything."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlmodel import Session

from softlaunch.catalog.records import check_app
from softlaunch.cli.actor import who
from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, print_json, print_table, print_text
from softlaunch.core.clock import utc_now
from softlaunch.evals.calls.call import CallOptions
from softlaunch.evals.judges.agreement import Estimate
from softlaunch.evals.judges.calibration import PROMPT_OF, Calibration, below_minimum, calibrate, calibrate_recorded
from softlaunch.evals.judges.gating import judges_of
from softlaunch.evals.judges.labels import COLUMNS, Kind, Labels, LabelsError, read_labels
from softlaunch.evals.judges.panel import JudgeError, Judges, Panel
from softlaunch.evals.judges.recorded_judgements import record_calibration
from softlaunch.evals.judges.rounds import open_ask
from softlaunch.policy.evals import JudgePolicy
from softlaunch.policy.model import Policy
from softlaunch.store.database import Database

_MINIMUM_KAPPA = 0.4

_Verdicts = Annotated[
    Path | None, typer.Option(help="A judge's recorded verdicts, joined by id, instead of asking a judge.")
]
_Mapped = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="ROLE=COLUMN", help=f"Which column is which: {', '.join(COLUMNS)}."),
]
_MinimumKappa = Annotated[
    float | None, typer.Option(min=0.0, max=1.0, help="The minimum kappa. [default: the policy's, or 0.4]")
]


def register(app: typer.Typer) -> None:
    """Add the group `judge`."""
    group = typer.Typer(help="Calibrate judges against people's labels.", no_args_is_help=True)
    group.callback()(lambda: None)  # a group even with a single command
    group.command("calibrate")(calibrate_judge)
    app.add_typer(group, name="judge")


def calibrate_judge(
    labels_file: Annotated[
        Path, typer.Argument(metavar="LABELS", help="People's labels: CSV, JSON Lines or a JSON list.")
    ],
    kind: Annotated[Kind, typer.Option(help="What people were asked.")] = Kind.PREFERENCE,
    app: Annotated[str | None, typer.Option("--app", help="Ask the judges of this app's policy.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Ask these models of the ledger instead.")] = None,
    verdicts: _Verdicts = None,
    mapped: _Mapped = None,
    minimum_kappa: _MinimumKappa = None,
    as_json: bool = JSON_OPTION,
) -> None:
    """Compare a judge with people: agreement, Cohen's kappa, and its position bias.

    Votes of several people are in a list, or in several columns (--map votes=anna,ben); the majority counts. A
    preference is first, second or tie (or 1, 2, 0 and a, b, c), a hallucination yes or no, a grade right or wrong. A
    verdict that can't be read counts as disagreement. Pairs are asked in both orders. A column drawn tells for each
    case whether it is random or was picked; cases that people picked are no sample of what users get.

    The calibration of judges that were asked is recorded: from then on their metrics may gate if kappa is shown to
    reach the minimum. Recorded verdicts, from --verdicts or a column judge, are measured and change nothing.

    Exit codes: 0 may gate, 3 below the minimum, 2 bad input.
    """
    labels = read_labels(labels_file, kind, _columns(mapped or []), verdicts)
    if labels.recorded and not app and not model:
        minimum = minimum_kappa if minimum_kappa is not None else _MINIMUM_KAPPA
        found, asked = calibrate_recorded(labels), None
    else:
        with ledger() as database:
            found, asked, minimum = ask_about(database, labels, app, tuple(model or ()), minimum_kappa)
    below = below_minimum(found, minimum)
    if as_json:
        drawn = {way.value: number for way, number in labels.drawn.items()}
        print_json({**_document(found, minimum, below, asked), "drawn": drawn, "doubt": labels.doubt or None})
    else:
        _show(found, below, asked)
        if labels.doubt:
            print_text(f"But {labels.doubt}. Labels of a sample: softlaunch review APP --random.")
    raise typer.Exit(Exit.REJECTED if below else Exit.OK)


def ask_about(
    database: Database,
    labels: Labels,
    app: str | None,
    models: tuple[str, ...] = (),
    minimum_kappa: float | None = None,
) -> tuple[Calibration, list[str], float]:
    """Ask the judges about every label, and keep what came of it."""
    with database.read() as session:
        policy = _judge_policy(session, app, models)
        judges = judges_of(session, policy)
    found = asyncio.run(_calibrated(labels, judges))
    prompt = PROMPT_OF[labels.kind]
    with database.begin() as session:
        record_calibration(session, judges.digest(prompt), labels.digest, found, str(who()), utc_now())
    asked = [variant.label for variant in judges.variants(prompt)]
    return found, asked, policy.minimum_kappa if minimum_kappa is None else minimum_kappa


def _judge_policy(session: Session, app: str | None, models: tuple[str, ...]) -> JudgePolicy:
    """The app's judges; models that are named take their place, asked with the same prompts."""
    configured = Policy.model_validate(check_app(session, app).policy).eval.judge if app else None
    if models:
        return configured.model_copy(update={"models": models}) if configured else JudgePolicy(models=models)
    if configured is None:
        raise JudgeError(
            "no judge is named: give --app with a policy that has eval.judge, or --model with a model of the ledger "
            "('softlaunch models list'), or --verdicts with a judge's verdicts"
        )
    return configured


async def _calibrated(labels: Labels, judges: Judges) -> Calibration:
    options = CallOptions()
    async with open_ask(options) as ask:
        return await calibrate(labels, Panel(judges, ask), options.concurrency)


def _columns(mapped: list[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in mapped]
    wrong = [one for one, (role, equals, column) in zip(mapped, pairs, strict=True) if not (role and equals and column)]
    if wrong:
        raise LabelsError(f"--map {wrong[0]!r}: expected ROLE=COLUMN, such as votes=annotator1,annotator2")
    return {role.strip(): column.strip() for role, _, column in pairs}


def _document(found: Calibration, minimum: float, below: str | None, asked: list[str] | None) -> dict[str, Any]:
    agreement, bias = found.agreement, found.bias
    return {
        "kind": found.kind,
        "judges": asked,
        "items": agreement.items,
        "split": found.split,
        "unreadable": agreement.unreadable,
        "agreement": _estimate(agreement.agreement),
        "kappa": _estimate(agreement.kappa),
        "people_kappa": found.people_kappa,
        "position_bias": None
        if bias is None
        else {
            "bias": _estimate(bias.bias),
            "first": bias.first,
            "second": bias.second,
            "consistent": _estimate(bias.consistent),
        },
        "table": [
            {"people": people, "judge": judge, "count": count}
            for (people, judge), count in sorted(agreement.table.items())
        ],
        "calls": found.spent.calls,
        "cost_usd": found.spent.cost_usd,
        "minimum_kappa": minimum,
        "may_gate": below is None,
        "reason": below,
    }


def _estimate(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else {"value": estimate.value, "lower": estimate.lower, "upper": estimate.upper}


def _show(found: Calibration, below: str | None, asked: list[str] | None) -> None:
    agreement, bias = found.agreement, found.bias
    people = f"; {found.split} more left out, on which people are split" if found.split else ""
    print_text(f"{agreement.items:,} items judged by people{people}")
    for label in asked or ["recorded verdicts"]:
        print_text(f"  by {label}")
    print_text(f"\nagreement      {_percent(agreement.agreement)}")
    print_text(f"kappa          {_number(agreement.kappa)}")
    if found.people_kappa is not None:
        print_text(f"among people   {found.people_kappa:.3f}")
    if agreement.unreadable:
        print_text(f"unreadable     {agreement.unreadable:,}, counted as disagreement")
    if bias is not None:
        print_text(f"position bias  {_leaning(bias.bias)} (first {bias.first:,}, second {bias.second:,})")
        if bias.consistent is not None:
            print_text(f"both orders    {_percent(bias.consistent)} name the same answer")
    if found.spent.calls:
        cost = "unknown" if found.spent.cost_usd is None else f"{found.spent.cost_usd:.4f} USD"
        print_text(f"calls          {found.spent.calls:,}, cost {cost}")
    _table(agreement.table)
    print_text(f"\nBelow the minimum, so it can't gate: {below}." if below else "\nIt may gate.")


def _table(table: Mapping[tuple[str, str], int]) -> None:
    rows = sorted({people for people, _ in table})
    columns = sorted({judge for _, judge in table})
    print_text("\nrows: people, columns: the judge")
    print_table("", ("", *columns), [(row, *(table.get((row, one), 0) for one in columns)) for row in rows])


def _leaning(bias: Estimate) -> str:
    """A position bias towards the side that it leans to, so that the figure is never negative."""
    if bias.value >= 0:
        return f"{_points(bias)} towards the first"
    return f"{_points(Estimate(-bias.value, -bias.upper, -bias.lower))} towards the second"


def _number(estimate: Estimate | None) -> str:
    return "unknown" if estimate is None else f"{estimate.value:.3f} [{estimate.lower:.3f}, {estimate.upper:.3f}]"


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} % [{100 * estimate.lower:.1f}, {100 * estimate.upper:.1f}]"


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.value:+.1f} points [{100 * estimate.lower:+.1f}, {100 * estimate.upper:+.1f}]"
