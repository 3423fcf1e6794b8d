"""`softlaunch ab compare`: an A/B test on judgements that were recorded already."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli.exits import Exit
from softlaunch.cli.output import JSON_OPTION, print_json, print_text

if TYPE_CHECKING:
    from softlaunch.ab.recorded import JudgedPairs

_Segments = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="A column whose values are segments, besides tags; repeatable."),
]


def compare(
    a: Annotated[Path, typer.Option("--a", help="Judged answers of A: CSV, JSON lines or a JSON list, also .gz.")],
    b: Annotated[Path, typer.Option("--b", help="Judged answers of B to the same questions.")],
    question: Annotated[str, typer.Option(metavar="COLUMN", help="The column that pairs the answers to one question.")],
    metric: Annotated[str, typer.Option(metavar="SPEC", help="As for 'softlaunch eval compare'.")] = "preference",
    segment: _Segments = None,
    json: bool = JSON_OPTION,
) -> None:
    """Decide between A and B from recorded judgements of the same questions.

    The rules are those of a test at its last planned end: B wins, the two are equal, or people decide. Several rows of
    one question are repeats, and count as their mean. Questions that only one side has a judgement of are counted, but
    decide nothing. People also decide if these could change the winner in the worst case, if something looks wrong, or
    if B wins but is shown to be worse in a segment (a column tags, tag, segment or category, and --segment).

    Exit codes: 0 B is better, 3 A stays, 5 people decide.
    """
    from softlaunch.ab.document import to_json
    from softlaunch.ab.recorded import conclude_judged, judged_pairs
    from softlaunch.core.verdict import Outcome
    from softlaunch.metrics import parse_metric
    from softlaunch.policy.ab import AbPolicy

    pairs = judged_pairs(a, b, question, parse_metric(metric), segment or [])
    analysis, conclusion = conclude_judged(pairs, AbPolicy())
    if json:
        figures = {"choice": conclusion.choice, "reason": conclusion.reason, "analysis": to_json(analysis)}
        print_json({**figures, **_counts(pairs), "segments": pairs.lost(AbPolicy())})
    else:
        print_text(f"{len(pairs.questions):,} questions. {conclusion.reason}.")
        for sentence in (*pairs.remarks, *pairs.lost(AbPolicy())):
            print_text(f"{sentence}.")
    codes = {Outcome.PASS: Exit.OK, Outcome.FAIL: Exit.REJECTED}
    raise typer.Exit(codes.get(conclusion.choice.outcome, Exit.INCONCLUSIVE))


def _counts(pairs: "JudgedPairs") -> dict[str, object]:
    return {
        "questions": len(pairs.questions),
        "judged_of_a_only": len(pairs.only_a),
        "judged_of_b_only": len(pairs.only_b),
        "judged_of_neither": pairs.neither,
        "remarks": list(pairs.remarks),
    }
