"""`softlaunch policy`: check a policy file, and publish the schema that editors use."""

from pathlib import Path
from typing import Any

import typer

from softlaunch.catalog.app_folder import MODELS_FILE
from softlaunch.catalog.model_files import load_models
from softlaunch.cli.endpoints import ask_endpoints, to_json
from softlaunch.cli.exits import Exit
from softlaunch.cli.output import JSON_OPTION, console, print_json, print_table, print_text
from softlaunch.core.clock import utc_now
from softlaunch.policy.effective import settings
from softlaunch.policy.freeze_windows import frozen_at, next_freeze
from softlaunch.policy.load import golden_set_path, load_policy, retired_keys
from softlaunch.policy.model import Policy
from softlaunch.policy.schema import policy_schema

_FILE = typer.Argument(Path("softlaunch.yaml"), help="The policy file.")


def register(app: typer.Typer) -> None:
    """Add `policy schema` and `policy check`."""
    group = typer.Typer(help="Check policies, and print their JSON schema.", no_args_is_help=True)
    group.command("schema")(schema)
    group.command("check")(check)
    app.add_typer(group, name="policy")


def schema() -> None:
    """Print the JSON schema of policy files."""
    print_json(policy_schema())


def check(
    file: Path = _FILE,
    ask: bool = typer.Option(False, "--probe", help="Probe the endpoints in the models.yaml next to it."),
    everything: bool = typer.Option(False, "--all", help="Show every value in force, including defaults."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Check a policy and its golden set, and show what it sets.

    With --probe each model's endpoint is probed once, with a request for a single token; exit code 1 if one doesn't
    answer.
    """
    from softlaunch.cli.suite_power import sentences
    from softlaunch.evals.foresight import Foresight
    from softlaunch.evals.foresight_wording import to_json as eval_to_json
    from softlaunch.evals.suites.suite import load_suite

    policy, retired = load_policy(file), retired_keys(file)
    golden_set = None if policy.eval.golden_set is None else golden_set_path(policy, file)
    suite = None if golden_set is None else load_suite(golden_set)
    cases = 0 if suite is None else len(suite.cases)
    foresight = None if suite is None else Foresight.of(suite.cases, policy.eval)
    found = ask_endpoints(load_models(file.parent / MODELS_FILE)) if ask else ()
    if as_json:
        document = {**_document(policy, file, golden_set, cases), "retired": [key for _, key in retired]}
        document["can_show"] = None if foresight is None else eval_to_json(foresight)
        print_json({**document, **({"endpoints": to_json(found)} if ask else {})})
    else:
        _show(policy, file, golden_set, cases, everything=everything)
        if foresight is not None:
            console.print(sentences(foresight), markup=False, highlight=False, soft_wrap=True)
        for line, key in retired:
            note = f"{file}, line {line}: {key}: nothing reads this key any more; delete the line"
            console.print(note, markup=False, highlight=False, soft_wrap=True)
        for one in found:
            if one.problem is None:
                console.print(one.sentence, markup=False, highlight=False, soft_wrap=True)
    if any(one.problem for one in found):
        raise typer.Exit(Exit.FAILED)


def _show(policy: Policy, file: Path, golden_set: Path | None, cases: int, *, everything: bool) -> None:
    counted = f"{golden_set} has {cases} case{'' if cases == 1 else 's'}" if golden_set else "it has no golden set"
    print_text(f"{file} is sound; {counted}.\n")
    found = settings(policy)
    if everything:
        rows = [(one.key, one.value, "default" if one.is_default else "") for one in found]
        print_table(f"Policy of {policy.app}", ("setting", "value", ""), rows)
        return
    said = [(one.key, one.value) for one in found if not one.is_default]
    print_table(f"Policy of {policy.app}", ("setting", "value"), said)
    _show_freeze(policy)
    print_text(
        f"\n{len(found) - len(said)} more settings are defaults; see them all: softlaunch policy check {file} --all"
    )


def _show_freeze(policy: Policy) -> None:
    """What the freeze windows mean by the calendar, where there are any."""
    if not policy.freeze:
        return
    now = utc_now()
    found = frozen_at(policy.freeze, now) or next_freeze(policy.freeze, now)
    if found is None:
        print_text("\nEvery freeze window is over.")
    elif found.begins <= now:
        print_text(f"\n{policy.app} is {found.words}.")
    else:
        why = f" ({found.reason})" if found.reason else ""
        print_text(f"\nThe next freeze: from {found.shown_begins} until {found.shown_until}{why}.")


def _document(policy: Policy, file: Path, golden_set: Path | None, cases: int) -> dict[str, Any]:
    return {
        "file": str(file),
        "golden_set": None if golden_set is None else {"file": str(golden_set), "cases": cases},
        "policy": policy.model_dump(mode="json"),
        "defaults": [one.key for one in settings(policy) if one.is_default],
    }
