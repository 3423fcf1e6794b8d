"""Asking models' endpoints once, and saying on the standard error what is wrong."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softlaunch.cli.output import errors, working

if TYPE_CHECKING:
    from softlaunch.core.variant import ModelVersion
    from softlaunch.evals.calls.probe import Probed

NO_PROBE = Annotated[bool, typer.Option("--no-probe", help="Don't probe the models' endpoints (one token each).")]


def ask_endpoints(models: "Sequence[ModelVersion]") -> "tuple[Probed, ...]":
    """Ask each endpoint once, in parallel, for a few seconds; what is wrong is printed."""
    return _ask(models, len(models))


def ask_also(
    models: "Sequence[ModelVersion]", quietly: "Sequence[ModelVersion]"
) -> "tuple[tuple[Probed, ...], tuple[Probed, ...]]":
    """The same, and at the same time further models of which nothing is printed."""
    found = _ask([*models, *quietly], len(models))
    return found[: len(models)], found[len(models) :]


def _ask(models: "Sequence[ModelVersion]", shown: int) -> "tuple[Probed, ...]":
    if not models:
        return ()
    from softlaunch.evals.calls.probe import probe

    with working("Asking the models' endpoints"):
        found = probe(models)
    for one in found[:shown]:
        if one.problem is not None:
            errors.print(f"softlaunch: {one.sentence}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    return found


def to_json(found: "Sequence[Probed]") -> list[dict[str, Any]]:
    """What was found, as JSON values."""
    return [
        {"model": one.model, "endpoint": one.endpoint, "problem": one.problem, "seconds": round(one.seconds, 3)}
        for one in found
    ]
