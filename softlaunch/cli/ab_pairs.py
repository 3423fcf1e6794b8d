"""`softlaunch ab compare`: an A/B test on judgements that were recorded already."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli.exits import Exit
from softlaunch.cli.output import JSON_OPTION, print_json, print_text

if TYPE_CHECKING:
    from softlaunch.metrics import AnyMetric


def compare(
    a: Annotated[Path, typer.Option("--a", help="Judged answers of A: CSV, JSON lines or a JSON list, also .gz.")],
    b: Annotated[Path, typer.Option("--b", help="Judged answers of B to the same questions.")],
    question: Annotated[str, typer.Option(metavar="COLUMN", help="The column that pairs the answers to one question.")],
    metric: Annotated[str, typer.Option(metavar="SPEC", help="As for 'softlaunch eval compare'.")] = "preference",
    json: bool = JSON_OPTION,
) -> None:
    """Decide between A and B by recorded judgements of the same questions.

    The rules are those of a test at its last planned end: B wins, the two are equal, or people decide. Exit codes: 0 B
    is better, 3 A stays, 5 people decide.
    """
    import numpy as np

    from softlaunch.ab.conclusion import conclude_pairs
    from softlaunch.ab.document import to_json
    from softlaunch.core.verdict import Outcome
    from softlaunch.metrics import parse_metric
    from softlaunch.policy.ab import AbPolicy

    judge = parse_metric(metric)
    in_a, in_b = _judged(a, question, judge), _judged(b, question, judge)
    both = sorted(in_a.keys() & in_b.keys())
    values = [np.array([side[one] for one in both], dtype=np.float64) for side in (in_a, in_b)]
    analysis, conclusion = conclude_pairs(values[0], values[1], AbPolicy())
    if json:
        print_json({"choice": conclusion.choice, "reason": conclusion.reason, "analysis": to_json(analysis)})
    else:
        print_text(f"{len(both):,} questions. {conclusion.reason}.")
    codes = {Outcome.PASS: Exit.OK, Outcome.FAIL: Exit.REJECTED}
    raise typer.Exit(codes.get(conclusion.choice.outcome, Exit.INCONCLUSIVE))


def _judged(path: Path, question: str, metric: "AnyMetric") -> dict[str, float]:
    """The judgement of each question in a file; rows without one are left out."""
    from softlaunch.evals.recordings.files import RecordingError, read_rows
    from softlaunch.evals.suites.scoring import score_with
    from softlaunch.metrics import Sample

    rows = read_rows(path)
    if question not in rows[0]:
        raise RecordingError(f"{path} has no column {question!r}; there are {', '.join(rows[0])}")
    scored = {str(row[question]): score_with(metric, Sample(answer="", fields=row)).value for row in rows}
    return {name: value for name, value in scored.items() if value is not None}
