"""The part of a policy that is about stages which only some units can meet the candidate in."""

from typing import Annotated

from pydantic import Field

from softlaunch.policy.part import Part

_Value = Annotated[str, Field(min_length=1, max_length=256)]


class OnlyPolicy(Part):
    """Whom a stage is limited to, before the candidate is open to everybody: by a header's value, or by name."""

    header: Annotated[str, Field(pattern=r"^([A-Za-z0-9-]+)?$", max_length=100)] = ""
    """The header that says it, such as `x-team`; your backend sets it, so that no user chooses. Left out, the values
    are the names of units.
    """
    values: Annotated[tuple[_Value, ...], Field(min_length=1)]
    """Who is inside: requests whose header, or unit, is exactly one of these."""

    @property
    def words(self) -> str:
        """Whom, in the names of stages: `x-team`, or `named units`."""
        return self.header.lower() or "named units"
