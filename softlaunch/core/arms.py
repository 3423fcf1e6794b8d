"""A pair of values, one for each arm of a comparison."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class ByArm(Generic[T_co]):
    """The candidate's value and stable's; named, so that nobody mixes them up."""

    candidate: T_co
    stable: T_co
