"""A pair of values, one for each arm of a comparison."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)
N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class ByArm(Generic[T_co]):
    """The candidate's value and stable's; named, so that nobody mixes them up."""

    candidate: T_co
    stable: T_co

    def __add__(self: "ByArm[N]", other: "ByArm[N]") -> "ByArm[N]":
        """Both of what was counted, each arm's with its own."""
        return ByArm(self.candidate + other.candidate, self.stable + other.stable)


NONE_COUNTED = ByArm(0, 0)
"""Where nothing was counted yet, in either arm."""
