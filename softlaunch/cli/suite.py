"""`softlaunch suite`: checks a golden set, shows its statistics, and adds cases."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, print_json, print_table, print_text
from softlaunch.cli.suite_power import flicker, foresee_suite, power, sentences
from softlaunch.evals.foresight_wording import to_json
from softlaunch.evals.suites.case import Case
from softlaunch.evals.suites.golden_set import Suite
from softlaunch.evals.suites.suite import SuiteError, load_suite
from softlaunch.evals.suites.suite_growth import (
    PROPOSED,
    SAME_QUESTION_SIMILARITY,
    append_cases,
    grown_by,
    propose,
    write_suite,
)
from softlaunch.evals.suites.suite_imports import Source, import_cases

_FILE = Annotated[Path, typer.Argument(metavar="GOLDEN_SET", help="JSON Lines, or YAML by its file name.")]
_SHOWN = 5
_Similarity = Annotated[
    float,
    typer.Option("--alike", min=0.5, max=1.0, help="Questions with this word similarity or more count as duplicates."),
]


def register(app: typer.Typer) -> None:
    """Add the group `suite`."""
    group = typer.Typer(help="Check golden sets, and add cases to them.", no_args_is_help=True)
    group.command("check")(check)
    group.command("stats")(stats)
    group.command("add")(add)
    group.command("refresh")(refresh)
    group.command("power")(power)
    group.command("flicker")(flicker)
    app.add_typer(group, name="suite")


def check(
    file: _FILE,
    app: Annotated[str | None, typer.Option("--app", help="The app whose policy and earlier evals are used.")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="The policy file that it belongs to.")] = None,
    as_json: bool = JSON_OPTION,
) -> None:
    """Check a golden set: every line, key and value, its age, and what its number of cases can show.

    Exit codes: 0 sound (warnings are printed), 2 broken.
    """
    suite = load_suite(file)
    warnings = suite.warnings(date.today())  # noqa: DTZ011  (a golden set's dates are those of people's calendars)
    foresight = foresee_suite(suite, app, policy)
    if as_json:
        document = [{"kind": one.kind, "text": one.text} for one in warnings]
        about = {"file": str(file), "cases": len(suite.cases), "digest": suite.digest, "warnings": document}
        print_json({**about, "can_show": to_json(foresight)})
        return
    print_text(f"{file} is sound: {_count(len(suite.cases), 'case')}, digest {suite.digest[:12]}.")
    for one in warnings:
        print_text(f"  warning: {one.text}")
    print_text(sentences(foresight))


def stats(file: _FILE, as_json: bool = JSON_OPTION) -> None:
    """Show statistics of a golden set: cases by tag and metric, weights, dates, and similar questions."""
    suite = load_suite(file)
    document = _stats(suite)
    if as_json:
        print_json({"file": str(file), **document})
        return
    header = {
        key: " ".join(value) if isinstance(value, list) else value for key, value in document["header"].items() if value
    }
    print_text(f"{file}: {_count(document['cases'], 'case')}, digest {suite.digest[:12]}")
    print_text(
        ", ".join(f"{key} {value}" for key, value in header.items()) or "It has no header: owner and dates are unknown."
    )
    for what in ("metrics", "tags"):
        print_table("", (what, "cases"), list(document[what].items()))
    for one in document["alike"]:
        print_text(f"  similar: {one}")


def add(
    file: _FILE,
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The file with new cases.")],
    source: Annotated[
        Source | None,
        typer.Option("--from", help="The format of NEW. Left out: a golden set, or CSV by its file name."),
    ] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="KEY=COLUMN", help="The CSV column for a key, such as expected=Answer."),
    ] = None,
    alike: _Similarity = SAME_QUESTION_SIMILARITY,
    as_json: bool = JSON_OPTION,
) -> None:
    """Add cases to a golden set, or create one: from another golden set, promptfoo, MT-Bench, AlpacaEval, or CSV.

    Questions that the golden set already has are skipped. To accept proposals of 'suite refresh', add their file; the
    golden set then counts as refreshed today. Comments in a YAML file are lost.
    """
    source = source or (Source.CSV if new.suffix.lower() == ".csv" else None)
    columns = dict(_pair(one) for one in mapped or [])
    cases, notes = import_cases(new, source, columns) if source else (_golden(new, columns), ())
    accepted = any(PROPOSED in case.tags for case in cases)
    cases = tuple(
        case.model_copy(update={"tags": tuple(tag for tag in case.tags if tag != PROPOSED)}) for case in cases
    )
    grown = grown_by(load_suite(file) if file.exists() else None, cases, alike)
    today = date.today()  # noqa: DTZ011  (a golden set's dates are those of people's calendars)
    if grown.added:
        append_cases(file, grown.added, today, refreshed=accepted)
    if as_json:
        added = [case.id for case in grown.added]
        print_json({"file": str(file), "added": added, "known": list(grown.known), "notes": list(notes)})
        return
    print_text(f"Added {_count(len(grown.added), 'case')} to {file}{_left_out(grown.known)}.")
    for note in notes:
        print_text(f"  note: {note}")


def _golden(path: Path, columns: dict[str, str]) -> tuple[Case, ...]:
    if columns:
        raise SuiteError(f"--map names columns of a CSV, and {path} is a golden set by its name; add --from csv")
    try:
        return load_suite(path).cases
    except SuiteError as error:
        known = ", ".join(Source)
        raise SuiteError(f"{error}\nA file of another tool is read with --from: {known}.") from error


def _pair(text: str) -> tuple[str, str]:
    key, equals, column = text.partition("=")
    if not (key and equals and column):
        raise SuiteError(f"--map {text}: expected KEY=COLUMN, such as expected=Answer")
    return key, column


def _left_out(known: Sequence[str]) -> str:
    """What was there already, or asks what another case asks; the first few by name."""
    if not known:
        return ""
    more = f" and {len(known) - _SHOWN:,} more" if len(known) > _SHOWN else ""
    return f"; {len(known):,} ask what is there already: {', '.join(known[:_SHOWN])}{more}"


def refresh(
    file: _FILE,
    app: Annotated[str, typer.Option("--app", help="The app whose logged questions are sampled.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write the proposals.")],
    count: Annotated[int, typer.Option("--count", min=1, help="How many cases to propose.")] = 50,
    seed: Annotated[int, typer.Option("--seed", help="The seed of the sample.")] = 0,
    alike: _Similarity = SAME_QUESTION_SIMILARITY,
    as_json: bool = JSON_OPTION,
) -> None:
    """Propose new cases from users' recent questions; a person completes them, and 'suite add' accepts them.

    Only questions whose texts the app's policy keeps (texts.keep: true) can be drawn. Each proposal has stable's
    answer, which nobody has checked: correct what is expected, or delete the line.
    """
    from softlaunch.evals.suites.logged_questions import logged_questions

    suite = load_suite(file)
    with ledger() as database, database.read() as session:
        logged = logged_questions(session, app)
    proposals = propose(suite, logged, count, seed, alike)
    if not proposals:
        raise SuiteError(
            f"{_count(len(logged), 'logged question')} of {app}, and none that {file} lacks; texts are kept only with "
            "texts.keep in the policy, and only for texts.retention; those that are there until they are judged "
            "(until_judged) can't be drawn"
        )
    write_suite(out, suite.header, proposals)
    if as_json:
        print_json({"file": str(out), "proposed": len(proposals), "logged": len(logged)})
        return
    print_text(
        f"Wrote {_count(len(proposals), 'proposal')} to {out}, from {_count(len(logged), 'logged question')} of {app}."
    )
    print_text(f"Correct what is expected of each, delete what doesn't belong, then: softlaunch suite add {file} {out}")


def _stats(suite: Suite) -> dict[str, Any]:
    metrics = Counter(metric.key for case in suite.cases for metric in case.own_metrics)
    weights = [case.weight for case in suite.cases]
    alike = [f"{case} asks the same as an earlier case" for case in grown_by(None, suite.cases).known]
    return {
        "cases": len(suite.cases),
        "digest": suite.digest,
        "header": suite.header.model_dump(mode="json"),
        "metrics": dict(metrics.most_common()),
        "tags": dict(Counter(tag for case in suite.cases for tag in case.tags).most_common()),
        "weight": {"lowest": min(weights), "highest": max(weights), "sum": sum(weights)},
        "alike": alike,
    }


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
