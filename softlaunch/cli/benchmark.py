"""`softlaunch benchmark`: MT-Bench and AlpacaEval with their published protocols."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from softlaunch.catalog.records import get_model, get_variant
from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, print_json, print_table, print_text
from softlaunch.core.variant import ModelVersion, Variant
from softlaunch.evals.benchmarks.alpaca_eval import WinRates, win_rates
from softlaunch.evals.benchmarks.mt_bench import MtBench, MtBenchResult, load_mt_bench, run_mt_bench
from softlaunch.evals.calls.call import CallOptions
from softlaunch.evals.judges.agreement import Estimate
from softlaunch.evals.judges.rounds import open_ask
from softlaunch.evals.recordings.files import read_rows


def register(app: typer.Typer) -> None:
    """Add the group `benchmark`."""
    group = typer.Typer(help="Run published benchmarks: MT-Bench and AlpacaEval.", no_args_is_help=True)
    group.command("mt-bench")(mt_bench)
    group.command("alpaca-eval")(alpaca_eval)
    app.add_typer(group, name="benchmark")


def mt_bench(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="MT-Bench's published files.")],
    app: Annotated[str, typer.Option("--app", help="The app whose variant answers.")],
    judge: Annotated[str, typer.Option(help="The model that grades, by its name in the ledger.")],
    variant: Annotated[str, typer.Option(help="Which variant: an alias or a digest.")] = "production",
    as_json: bool = JSON_OPTION,
) -> None:
    """Ask a variant MT-Bench's two-turn questions and have a judge grade both turns from 1 to 10.

    Questions whose published reference answer is wrong are skipped and named. Turns without a grade are counted; if
    they are one in twenty or more, the exit code is 5.

    Exit codes: 0 graded, 5 too many turns without a grade, 2 bad input.
    """
    bench = load_mt_bench(folder)
    with ledger() as database, database.read() as session:
        chosen, grading = get_variant(session, app, variant), get_model(session, judge)
    result = asyncio.run(_run(bench, chosen, grading))
    if as_json:
        print_json(_mt_bench_document(bench, result))
    else:
        _show_mt_bench(bench, result, chosen, grading)
    raise typer.Exit(Exit.INCONCLUSIVE if 20 * len(result.ungraded) > len(result.turns) else Exit.OK)


def alpaca_eval(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Annotations: JSON Lines or a JSON list, also .gz.")
    ],
    as_json: bool = JSON_OPTION,
) -> None:
    """Compute win rates from AlpacaEval's annotations, one file per model: plain, and length-controlled.

    Rows have instruction, output, reference_output, and the judge's preference from 1 (reference) to 2 (output).
    Annotations that can't be read are counted. Length-controlled rates are for comparing the files given here: the
    public leaderboard also fits the difficulty of instructions and variants of the reference that aren't published with
    the annotations, so its figures differ. If nearly all outputs are shorter, the interval is wide.
    """
    found = [win_rates(read_rows(path)) for path in files]
    if as_json:
        print_json([asdict(one) for one in found])
        return
    columns = ("model", "win rate", "length-controlled", "shorter", "unreadable")
    print_table(f"AlpacaEval, {found[0].instructions} instructions", columns, [_row(one) for one in found])


async def _run(bench: MtBench, variant: Variant, judge: ModelVersion) -> MtBenchResult:
    options = CallOptions()
    async with open_ask(options) as ask:
        return await run_mt_bench(bench, variant, judge, ask, options.concurrency)


def _row(one: WinRates) -> tuple[object, ...]:
    return (
        one.model,
        _percent(one.win_rate),
        _percent(one.length_controlled),
        f"{100 * one.is_shorter:.0f} %",
        one.unreadable,
    )


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} % [{100 * estimate.lower:.1f}, {100 * estimate.upper:.1f}]"


def _categories(result: MtBenchResult) -> list[str]:
    return sorted({turn.category for turn in result.turns})


def _mt_bench_document(bench: MtBench, result: MtBenchResult) -> dict[str, object]:
    return {
        "score": result.score(),
        "turns": {str(turn): result.score(turn=turn) for turn in (1, 2)},
        "categories": {category: result.score(category) for category in _categories(result)},
        "graded": len(result.turns) - len(result.ungraded),
        "ungraded": [asdict(turn) for turn in result.ungraded],
        "left_out": list(bench.left_out),
        "answering": asdict(result.answering),
        "judging": asdict(result.judging),
    }


def _show_mt_bench(bench: MtBench, result: MtBenchResult, variant: Variant, judge: ModelVersion) -> None:
    print_text(f"{variant.label}, graded by {judge.name}")
    rows = [
        (category, _grade(result.score(category, 1)), _grade(result.score(category, 2)), _grade(result.score(category)))
        for category in _categories(result)
    ]
    rows.append(("all", _grade(result.score(turn=1)), _grade(result.score(turn=2)), _grade(result.score())))
    print_table("", ("category", "turn 1", "turn 2", "both"), rows)
    print_text(f"\n{len(result.ungraded)} of {len(result.turns)} turns have no grade.")
    for turn in result.ungraded[:5]:
        print_text(f"  question {turn.question}, turn {turn.turn}: {turn.problem}")
    left_out = ", ".join(map(str, bench.left_out))
    print_text(f"Left out, because their published reference answers are wrong: {left_out or 'none'}.")


def _grade(grade: float | None) -> str:
    return "-" if grade is None else f"{grade:.2f}"
