"""The part of a policy that is about emergency releases: stable doesn't answer, so nothing can be compared with it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.quantities import Duration
from softlaunch.policy.part import Part, Percent


class EmergencyPolicy(Part):
    """How a candidate takes over from a stable that doesn't answer, judged by its own answers alone."""

    approvals: Literal[1, 2] | None = None
    """How many people must agree, including the one who starts it. 2: another person approves before users meet it.

    Left out: 2 if the release's own stages ask a person, otherwise 1.
    """
    probes: Annotated[int, Field(ge=1, le=20)] = 3
    """Good answers that the candidate must give to questions of the golden set before any user meets it."""
    stages_percent: Annotated[tuple[Percent, ...], Field(min_length=1)] = (50.0, 100.0)
    """The shares of users that it serves, in order."""
    minimum_time: Duration = 10.0
    """Each of these stages lasts at least this long."""
    minimum_answers: Annotated[int, Field(ge=1)] = 10
    """Good answers that it must give in each stage. If users ask too little, probes are added."""
    failed_percent: Annotated[float, Field(ge=0, lt=100)] = 25.0
    """It is rolled back when more than this share of its answers, and at least three, have failed."""

    @model_validator(mode="after")
    def _ends_with_everybody(self) -> Self:
        if sorted(set(self.stages_percent)) != list(self.stages_percent) or self.stages_percent[-1] != 100:
            raise KeyedError("weights must grow and end with 100: [50, 100]", "stages_percent")
        return self
