"""The provider: models by name, the faults in force, and counts of what was answered."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, assert_never

from softlaunch.core.errors import NotFoundError, SoftlaunchError
from softlaunch.simulator.faults import EVERY_MODEL, ActiveFault, Fault, FaultBoard, FaultKind
from softlaunch.simulator.judging import JudgeModel
from softlaunch.simulator.knowledge import Knowledge
from softlaunch.simulator.models import Answer, ArrivalMeter, ProfileModel, Refusal, SimulatedModel
from softlaunch.simulator.profiles import Profile
from softlaunch.simulator.wire import ChatRequest

_ERROR_LATENCY_SHARE = 0.1  # an overloaded service says no much faster than it answers


@dataclass(slots=True)
class ModelStats:
    """Counts of one model's calls since the provider started."""

    requests: int = 0
    streams: int = 0
    in_flight: int = 0
    right: int = 0
    wrong: int = 0
    unknown: int = 0
    hallucinated: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    arrival_rps: float = 0.0
    refused: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain values for JSON."""
        counts = {each.name: getattr(self, each.name) for each in fields(self)}
        return counts | {"refused": dict(self.refused), "faults": dict(self.faults)}

    def note(self, response: Answer | Refusal) -> None:
        """Count what a call came to."""
        if isinstance(response, Refusal):
            self.refused[response.status] += 1
            return
        self.right += response.right is True
        self.wrong += response.right is False
        self.unknown += response.right is None
        self.hallucinated += response.hallucinated
        self.input_tokens += response.input_tokens
        self.output_tokens += response.output_tokens


@dataclass(slots=True)
class ServedModel:
    """A simulated model with its arrivals and counts."""

    model: SimulatedModel
    arrivals: ArrivalMeter = field(default_factory=ArrivalMeter)
    stats: ModelStats = field(default_factory=ModelStats)


@dataclass(frozen=True, slots=True)
class PlannedResponse:
    """What one request gets: the response, at its final speed, and a fault that spoils it."""

    response: Answer | Refusal
    fault: ActiveFault | None = None


class Provider:
    """Simulates models; holds no socket, so it can be asked directly.

    `speed` divides every latency. `clock` gives monotonic seconds. Scheduled faults of profiles begin to count when the
    provider is made.
    """

    def __init__(
        self,
        models: Iterable[SimulatedModel],
        aliases: Mapping[str, str] | None = None,
        speed: float = 1.0,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not speed > 0:
            raise SoftlaunchError(f"--speed is {speed:g}, expected a number above zero: 10 answers ten times faster")
        self.faults = FaultBoard()
        self.clock = clock
        self._speed = speed
        self._rng = random.Random(f"{seed}|faults")
        self._served = {model.name: ServedModel(model) for model in models}
        self._ids = {served.model.resolved_model: name for name, served in self._served.items()}
        self._ids |= {name: name for name in self._served}
        self._ids |= {alias: self._known(name) for alias, name in (aliases or {}).items()}

    @classmethod
    def of_profiles(
        cls, profiles: Iterable[Profile], knowledge: Knowledge, others: Iterable[SimulatedModel] = (), **options: Any
    ) -> Self:
        """A provider of profiles and other models; where both have a name, the other model takes it."""
        chosen = tuple(profiles)
        seed = options.get("seed", 0)
        models = [(JudgeModel if profile.judge else ProfileModel)(profile, knowledge, seed) for profile in chosen]
        provider = cls([*models, *others], **options)
        for profile in chosen:
            for fault in profile.faults:
                provider.faults.order(profile.name, fault, provider.clock())
        return provider

    @property
    def names(self) -> list[str]:
        """The models that can be asked for, aliases and resolved ids included."""
        return sorted(self._ids)

    def find(self, model: str) -> ServedModel:
        """The model that a request names: exactly, by alias, or by what follows the last slash."""
        return self._served[self._known(model)]

    def order(self, model: str, fault: Fault) -> ActiveFault:
        """Begin a fault for a model, or for all with `*`."""
        return self.faults.order(model if model == EVERY_MODEL else self._known(model), fault, self.clock())

    def clear(self, model: str | None = None) -> int:
        """End the faults of a model, or all; how many there were."""
        return self.faults.clear(model if model in {None, EVERY_MODEL} else self._known(str(model)))

    def plan_response(self, request: ChatRequest) -> tuple[ServedModel, PlannedResponse]:
        """Decide what a request comes to, and count it; raises NotFoundError for an unknown model."""
        served = self.find(request.model)
        now = self.clock()
        stats = served.stats
        stats.requests += 1
        stats.streams += request.stream
        stats.arrival_rps = served.arrivals.arrive(now)
        planned = self._with_faults(served, request, served.model.respond(request.ask, stats.arrival_rps), now)
        stats.note(planned.response)
        return served, planned

    def stats(self) -> dict[str, Any]:
        """Counts by model, of those that were asked, and the faults in force or to come."""
        now = self.clock()
        return {
            "models": {name: served.stats.as_dict() for name, served in self._served.items() if served.stats.requests},
            "faults": [
                {"model": active.model, "ends_in_s": None if active.ends is None else active.ends - now}
                | active.fault.model_dump(mode="json")
                for active in self.faults.pending(now)
            ],
        }

    def _known(self, model: str) -> str:
        for candidate in (model, model.rsplit("/", 1)[-1]):
            if candidate in self._ids:
                return self._ids[candidate]
        raise NotFoundError(f"the simulator has no model {model!r}; it has {', '.join(sorted(self._ids))}")

    def _with_faults(
        self, served: ServedModel, request: ChatRequest, response: Answer | Refusal, now: float
    ) -> PlannedResponse:
        spoiling = None
        factor = 1.0 / self._speed
        for active in self.faults.holding(served.model.name, now):
            fault = active.fault
            if not _concerns(fault.kind, stream=request.stream) or self._rng.random() >= fault.rate:
                continue
            served.stats.faults[fault.kind.value] += 1
            match fault.kind:
                case FaultKind.SPIKE:
                    factor *= fault.factor
                case FaultKind.ERRORS:
                    latency_s = response.latency_s * _ERROR_LATENCY_SHARE
                    response = Refusal(fault.status, "a rehearsed burst of errors", "rehearsed", latency_s)
                case FaultKind.HANG | FaultKind.MALFORMED_STREAM | FaultKind.MALFORMED_JSON | FaultKind.CUT:
                    spoiling = active
                case _:
                    assert_never(fault.kind)
        return PlannedResponse(_slowed(response, factor), spoiling)


def _concerns(kind: FaultKind, *, stream: bool) -> bool:
    match kind:
        case FaultKind.MALFORMED_STREAM:
            return stream
        case FaultKind.MALFORMED_JSON:
            return not stream
        case FaultKind.SPIKE | FaultKind.ERRORS | FaultKind.HANG | FaultKind.CUT:
            return True
        case _:
            assert_never(kind)


def _slowed(response: Answer | Refusal, factor: float) -> Answer | Refusal:
    latency_s = response.latency_s * factor
    if isinstance(response, Refusal):
        return replace(response, latency_s=latency_s)
    return replace(response, latency_s=latency_s, first_token_s=response.first_token_s * factor)
