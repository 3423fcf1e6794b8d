"""The candidates that releases, tests and evals take: another variant with some of its parts changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlmodel import Session

from softlaunch.catalog import records
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import LENGTH_LIMITS, PromptVersion, Sampling, Variant

NO_PARAMETERS = "none"
"""In place of a version: the candidate has no parameters."""


class CandidateError(SoftlaunchError):
    """What was asked for makes no candidate."""


@dataclass(frozen=True, slots=True)
class Change:
    """How a candidate differs from the variant it is made from; `variant` names a whole one instead.

    `prompt` is `name@version`, or only the version of the same prompt, and `parameters` likewise; `model` is a recorded
    model's name; `sampling` the parameters to change, None for those to leave out. `parameters` may be `none`;
    `fallbacks` are models' names, None to leave them as they are.
    """

    prompt: str | None = None
    model: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    variant: str | None = None
    parameters: str | None = None
    fallbacks: Sequence[str] | None = None

    @property
    def of_parts(self) -> bool:
        """Whether any part is changed."""
        named = self.prompt or self.model or self.sampling or self.parameters
        return bool(named) or self.fallbacks is not None


def resolve_candidate(session: Session, app: str, base: Variant, change: Change, now: datetime) -> Variant:
    """The variant that a change makes of another one, recorded. Raises as `preview_candidate`."""
    candidate = preview_candidate(session, app, base, change)
    records.record_variant(session, candidate, now)
    return candidate


def preview_candidate(session: Session, app: str, base: Variant, change: Change) -> Variant:
    """The variant that a change makes of another one; nothing is written.

    Raises NotFoundError for an unknown prompt, model, parameters or variant, and CandidateError when nothing is
    changed, when a whole variant is changed at the same time, or when a part is impossible.
    """
    if change.variant is not None:
        if change.of_parts:
            raise CandidateError("give a whole variant, or changes to the one in production, not both")
        return records.get_variant(session, app, change.variant)
    if not change.of_parts:
        raise CandidateError(
            "name the candidate: a variant, or another prompt, model or sampling parameter, parameters or fallbacks"
        )
    names = change.fallbacks
    try:
        return Variant(
            prompt=_prompt(session, base, change.prompt),
            model=records.get_model(session, change.model) if change.model else base.model,
            sampling=_sampling(base, change.sampling),
            parameters=_parameters(session, base, change.parameters),
            fallbacks=base.fallbacks if names is None else tuple(records.get_model(session, name) for name in names),
        )
    except ValidationError as error:
        message = "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())
        raise CandidateError(message) from error


def _prompt(session: Session, base: Variant, reference: str | None) -> PromptVersion:
    if reference is None:
        return base.prompt
    return records.get_prompt(session, reference if "@" in reference else f"{base.prompt.name}@{reference}")


def _parameters(session: Session, base: Variant, reference: str | None) -> Parameters | None:
    if reference is None:
        return base.parameters
    if reference == NO_PARAMETERS:
        return None
    if "@" not in reference and base.parameters is not None:
        reference = f"{base.parameters.name}@{reference}"
    return records.get_parameters(session, reference)


def _kept(sampling: Sampling, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What changes leave: a limit of the length in one spelling takes the place of one in the other."""
    settings = sampling.model_dump()
    limited = any(changes.get(limit) is not None for limit in LENGTH_LIMITS)
    return {name: value for name, value in settings.items() if not (limited and name in LENGTH_LIMITS)}


def _sampling(base: Variant, changes: Mapping[str, Any]) -> Sampling:
    try:
        return Sampling.model_validate({**_kept(base.sampling, changes), **changes})
    except ValidationError as error:
        message = "; ".join(f"{one['loc'][0]}={one['input']}: {one['msg']}" for one in error.errors())
        raise CandidateError(f"{message}; sampling parameters: {', '.join(Sampling.model_fields)}") from error
