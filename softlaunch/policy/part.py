"""What every part of a policy is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Percent = Annotated[float, Field(gt=0, le=100)]


class Part(BaseModel):
    """A frozen part of a policy; unknown keys are errors. The text below a key says what it means."""

    model_config = ConfigDict(frozen=True, extra="forbid")
