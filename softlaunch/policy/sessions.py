"""What belongs together for gates that count sessions or users instead of requests."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.quantities import Duration, written_duration
from softlaunch.core.verdict import Per
from softlaunch.policy.part import Part


class SessionPolicy(Part):
    """What of a unit belongs together, for gates with `per: session` or `per: user`."""

    timeout: Annotated[Duration, Field(ge=1)] = 1800.0
    """A session is over when its unit has asked nothing for so long: half an hour, as in web analytics."""
    longest: Annotated[Duration, Field(ge=1)] = 14400.0
    """It is over after so long in any case, and the next one begins: a bot that never pauses is counted too."""
    user_period: Annotated[Duration, Field(ge=1)] = 86400.0
    """Per user, everything counts together that a unit did within so long of its first request; then it begins anew."""

    @model_validator(mode="after")
    def _can_time_out(self) -> Self:
        if self.longest < self.timeout:
            wanted = written_duration(self.timeout)
            raise KeyedError(f"a session can't be over before timeout, which is {wanted}; expected more", "longest")
        return self

    def soonest(self, per: Per) -> float:
        """Seconds from a request until what it belongs to is counted, at the soonest."""
        return {Per.REQUEST: 0.0, Per.SESSION: self.timeout, Per.USER: self.user_period}[per]
