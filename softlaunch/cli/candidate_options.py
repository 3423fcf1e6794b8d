"""Options that name a candidate's parameters and fallback models, for every command that takes a candidate."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from softlaunch.core.errors import SoftlaunchError

if TYPE_CHECKING:
    from softlaunch.core.variant import Sampling
    from softlaunch.releases.changes import Changes

NO_FALLBACKS = "none"
PARAMETERS_OPTION: Any = typer.Option(
    None,
    "--parameters",
    metavar="NAME@VERSION",
    help="Another version of parameters, such as support@1.1.0; 'none' for none.",
)
FALLBACK_OPTION: Any = typer.Option(
    [],
    "--fallback",
    metavar="NAME",
    help="A model to ask if the main one gives no answer; repeatable, in order. 'none' for none.",
)


class FallbackError(SoftlaunchError):
    """Fallback models that contradict themselves."""


def changes_of(
    variant: str | None,
    prompt: str | None,
    model: str | None,
    sampling: "Sampling",
    parameters: str | None,
    fallback: Sequence[str],
) -> "Changes":
    """What a command's options say of a candidate. Raises FallbackError."""
    from softlaunch.releases.changes import Changes

    return Changes(
        variant=variant,
        prompt=prompt,
        model=model,
        sampling=sampling,
        parameters=parameters,
        fallbacks=fallbacks_of(fallback),
    )


def fallbacks_of(named: Sequence[str]) -> tuple[str, ...] | None:
    """The names of fallback models, None where they stay as they are. Raises FallbackError."""
    if NO_FALLBACKS in named and len(named) > 1:
        raise FallbackError("--fallback none stands alone: leave it out, or the other models")
    return None if not named else tuple(name for name in named if name != NO_FALLBACKS)
