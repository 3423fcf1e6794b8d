"""`softlaunch suite power` and `suite flicker`: what a golden set can show, and how steady its cases are."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, print_json, print_table, print_text
from softlaunch.evals.foresight import ASSUMED, Foresight, measured_variation
from softlaunch.evals.foresight_wording import costs_in_words, in_words, table, to_json
from softlaunch.evals.suites.golden_set import Suite
from softlaunch.evals.suites.suite import load_suite
from softlaunch.policy.evals import EvalPolicy

if TYPE_CHECKING:
    from softlaunch.evals.flicker import CaseHistory

_FILE = Annotated[Path, typer.Argument(metavar="GOLDEN_SET", help="JSON Lines, or YAML by its file name.")]
_SHOWN = 40


def power(
    file: _FILE,
    app: Annotated[str | None, typer.Option("--app", help="The app whose policy and earlier evals are used.")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="Another policy file than the app's.")] = None,
    as_json: bool = JSON_OPTION,
) -> None:
    """Show what a golden set can detect: how likely true differences are to pass and fail, and how many calls that
    takes.

    How much answers vary is taken from the app's earlier evals; if there are none it is assumed, and the output says
    so. It also writes a page with the plot.
    """
    from softlaunch.cli.pages import write_page
    from softlaunch.reports.suite_power_plot import render_power

    foresight = foresee_suite(load_suite(file), app, policy)
    page = write_page(f"{file.stem}-power.html", render_power(foresight, file.name))
    if as_json:
        print_json({"file": str(file), **to_json(foresight), "page": str(page)})
        return
    print_table("", ("true difference, points", "passes", "fails", "calls expected"), table(foresight))
    print_text(f"\n{sentences(foresight)}\nPlot: {page}")


def flicker(
    file: _FILE,
    app: Annotated[str, typer.Option("--app", help="The app whose evals are used.")],
    every: Annotated[bool, typer.Option("--all", help="Also show the steady cases.")] = False,
    as_json: bool = JSON_OPTION,
) -> None:
    """Show how steady each case was over the app's evals: always right, always wrong, or flickering, with its rate.

    A case whose answers got worse from the earlier half of the evals to the later half is marked as slipping.
    """
    from softlaunch.evals.flicker import Stability, histories

    suite = load_suite(file)
    with ledger() as database, database.read() as session:
        found = histories(session, app, suite.cases)
    if as_json:
        print_json({"file": str(file), "cases": [_to_json(one) for one in found]})
        return
    counts = Counter(one.stability for one in found)
    print_text(", ".join(f"{counts[kind]:,} {kind}" for kind in Stability if counts[kind]) + ".")
    shown = [one for one in found if every or one.stability is Stability.FLICKERING or one.slipping]
    shown.sort(key=lambda one: (not one.slipping, one.rate if one.rate is not None else 1.0))
    rows = [_cells(one) for one in (shown if every else shown[:_SHOWN])]
    if rows:
        print_table("", ("case", "", "right", "answers", "by eval, the oldest first"), rows)
    if len(shown) > len(rows):
        print_text(f"{len(shown) - len(rows):,} more; --all shows them")


def sentences(foresight: Foresight) -> str:
    """What a golden set can show, and what an eval costs, for people."""
    return f"{_begun(in_words(foresight))}.\n{_begun(costs_in_words(foresight))}."


def foresee_suite(suite: Suite, app: str | None = None, policy_file: Path | None = None) -> Foresight:
    """By a policy file, else the app's policy, else the default; from the app's earlier evals, where there are any."""
    from softlaunch.policy.load import load_policy

    policy = EvalPolicy(golden_set="golden.jsonl") if policy_file is None else load_policy(policy_file).eval
    if app is None:
        return Foresight.of(suite.cases, policy, ASSUMED)
    from softlaunch.catalog.records import check_app
    from softlaunch.policy.model import Policy

    with ledger() as database, database.read() as session:
        row = check_app(session, app)
        policy = Policy.model_validate(row.policy).eval if policy_file is None else policy
        return Foresight.of(suite.cases, policy, measured_variation(session, app, suite.cases))


def foresee_app(app: str, policy_file: Path | None = None) -> Foresight | None:
    """What the eval of an app's next release can show; None where it has no golden set. Raises SoftlaunchError."""
    from softlaunch.catalog.records import check_app
    from softlaunch.policy.load import golden_set_path, load_policy
    from softlaunch.policy.model import Policy

    with ledger() as database, database.read() as session:
        row = check_app(session, app)
    own = Path(row.policy_path)
    policy = Policy.model_validate(row.policy) if policy_file is None else load_policy(policy_file)
    if policy.eval.golden_set is None:
        return None
    return foresee_suite(load_suite(golden_set_path(policy, policy_file or own, own.parent)), app, policy_file)


def _cells(one: "CaseHistory") -> tuple[object, ...]:
    evals = " ".join(f"{tally.scored:g}/{tally.of}" for tally in one.evals)
    what = f"{one.stability}, slipping" if one.slipping else str(one.stability)
    return one.case_id, what, "" if one.rate is None else f"{one.rate:.0%}", f"{one.answers:,}", evals


def _to_json(one: "CaseHistory") -> dict[str, object]:
    return {
        "id": one.case_id,
        "stability": one.stability.value,
        "slipping": one.slipping,
        "rate": one.rate,
        "answers": one.answers,
        "evals": [{"score": tally.scored, "answers": tally.of} for tally in one.evals],
    }


def _begun(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
