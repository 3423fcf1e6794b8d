"""The part of a policy that is about stages which only some units can meet the candidate in."""

from typing import Annotated

from pydantic import Field

from softlaunch.policy.part import Part

_Value = Annotated[str, Field(min_length=1, max_length=256)]


class OnlyPolicy(Part):
    """Limits a stage to some units, by a header's value or by name, before the candidate is open to everybody."""

    header: Annotated[str, Field(pattern=r"^([A-Za-z0-9-]+)?$", max_length=100)] = ""
    """The header that holds the value, such as `x-team`. Your backend sets it, so that users can't choose. Left out,
    the values are names of units.
    """
    values: Annotated[tuple[_Value, ...], Field(min_length=1)]
    """The stage includes requests whose header, or unit, is exactly one of these."""

    @property
    def words(self) -> str:
        """Whom, in the names of stages: `x-team`, or `named units`."""
        return self.header.lower() or "named units"
