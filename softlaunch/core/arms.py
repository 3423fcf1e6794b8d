"""A pair of values, one for each arm of a comparison."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ByArm(Generic[T]):
    """The candidate's value and stable's; named, so that nobody mixes them up."""

    candidate: T
    stable: T
