"""Faults on command: what a simulated provider does wrong, to whom, and for how long."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

EVERY_MODEL = "*"


class FaultKind(StrEnum):
    """What goes wrong."""

    SPIKE = "spike"  # answers take `factor` times as long
    ERRORS = "errors"  # HTTP `status` in place of an answer
    HANG = "hang"  # no answer, until the fault ends and the connection is dropped
    MALFORMED_STREAM = "malformed_stream"  # a stream's chunks break off in the middle of their JSON
    MALFORMED_JSON = "malformed_json"  # the body of an answer that isn't streamed is no JSON
    CUT = "cut"  # the connection is dropped halfway through the answer


_OWN_PARAMETERS = {"factor": FaultKind.SPIKE, "status": FaultKind.ERRORS}


class Fault(BaseModel):
    """One thing that goes wrong with a share of requests, for some seconds or until it is cleared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    factor: Annotated[float, Field(gt=0)] = 5.0
    status: Annotated[int, Field(ge=400, le=599)] = 500
    after: Annotated[float, Field(ge=0)] = 0.0
    seconds: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _parameters_fit(self) -> Self:
        for parameter, kind in _OWN_PARAMETERS.items():
            if parameter in self.model_fields_set and self.kind is not kind:
                raise ValueError(f"'{parameter}' belongs to the kind {kind}, not to {self.kind}")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class ActiveFault:
    """A fault with the times between which it holds, on the provider's clock, and an event set when it is cleared."""

    model: str
    fault: Fault
    begins: float
    ends: float | None
    cleared: asyncio.Event = field(default_factory=asyncio.Event)

    def holds(self, model: str, now: float) -> bool:
        """Whether requests for a model meet this fault now."""
        return self.model in {model, EVERY_MODEL} and self.begins <= now and (self.ends is None or now < self.ends)


class FaultBoard:
    """The faults ordered so far; those that are over are dropped when the next one is ordered."""

    def __init__(self) -> None:
        self._ordered: list[ActiveFault] = []

    def order(self, model: str, fault: Fault, now: float) -> ActiveFault:
        """Begin a fault for a model, or for all with `*`, `fault.after` seconds from now."""
        begins = now + fault.after
        ends = None if fault.seconds is None else begins + fault.seconds
        ordered = ActiveFault(model, fault, begins, ends)
        self._ordered = [*self.pending(now), ordered]
        return ordered

    def clear(self, model: str | None = None) -> int:
        """End the faults of one model, or all; how many there were."""
        gone = [active for active in self._ordered if model in {None, active.model}]
        self._ordered = [active for active in self._ordered if active not in gone]
        for active in gone:
            active.cleared.set()
        return len(gone)

    def pending(self, now: float) -> list[ActiveFault]:
        """Faults that hold or will hold."""
        return [active for active in self._ordered if active.ends is None or now < active.ends]

    def holding(self, model: str, now: float) -> Iterable[ActiveFault]:
        """Faults that requests for a model meet now."""
        return (active for active in self._ordered if active.holds(model, now))
