"""How long the registry keeps what nothing uses."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.quantities import Duration
from softlaunch.policy.part import Part

_DAY = 86400.0


class VersionRetention(Part):
    """How long unused recorded versions are kept."""

    age: Duration = 180 * _DAY
    """Older ones are archived and deleted."""
    keep_newest: Annotated[int, Field(ge=0)] = 10
    """How many of the newest versions of a name stay, however old they are."""
    at_most: Annotated[int, Field(ge=1)] | None = None
    """Versions of a name beyond this number are deleted, however new they are. Left out: no limit."""
    tags: Mapping[str, Duration] = Field(default_factory=dict)
    """Ages for versions with a tag, instead of `age`, such as {experiment: 30 d}. The shortest counts."""

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if self.at_most is not None and self.at_most < self.keep_newest:
            raise KeyedError(f"{self.at_most} is less than keep_newest, which is {self.keep_newest}", "at_most")
        return self


class RetentionPolicy(Part):
    """What the monthly registry cleanup keeps.

    Regardless of age it keeps whatever an alias points to, carries a protected tag, or is used by a live or recent
    release or A/B test. Apps share versions: if their policies differ, the longest retention counts.
    """

    prompts: VersionRetention = VersionRetention()
    parameters: VersionRetention = VersionRetention()
    models: VersionRetention = VersionRetention()
    variants: VersionRetention = VersionRetention()
    evals: Duration = 180 * _DAY
    """Age after which an eval's answers are archived."""
    requests: Duration = 90 * _DAY
    """Age after which request rows are condensed into daily sums and archived. Texts have texts.retention."""
    protected_tags: tuple[str, ...] = ("protected",)
    """Whatever carries one of these tags is kept forever."""
    recent_releases: Annotated[int, Field(ge=1)] = 10
    """Whatever this many of an app's newest releases used is kept."""
    ask_above_mb: Annotated[float, Field(ge=0)] = 1000.0
    """A cleanup that would delete more than this asks a person first. As with releases, `approvers` answer."""


def combine(policies: Sequence[RetentionPolicy]) -> RetentionPolicy:
    """The retention of what several apps share: of everything the one that keeps longest."""
    if not policies:
        return RetentionPolicy()
    return RetentionPolicy(
        prompts=_longest([policy.prompts for policy in policies]),
        parameters=_longest([policy.parameters for policy in policies]),
        models=_longest([policy.models for policy in policies]),
        variants=_longest([policy.variants for policy in policies]),
        evals=max(policy.evals for policy in policies),
        requests=max(policy.requests for policy in policies),
        protected_tags=tuple(sorted({tag for policy in policies for tag in policy.protected_tags})),
        recent_releases=max(policy.recent_releases for policy in policies),
        ask_above_mb=min(policy.ask_above_mb for policy in policies),
    )


def _longest(parts: Sequence[VersionRetention]) -> VersionRetention:
    limits = [part.at_most for part in parts]
    shared = set.intersection(*(set(part.tags) for part in parts))
    return VersionRetention(
        age=max(part.age for part in parts),
        keep_newest=max(part.keep_newest for part in parts),
        at_most=None if None in limits else max(limit for limit in limits if limit is not None),
        tags={tag: max(part.tags[tag] for part in parts) for tag in shared},
    )
