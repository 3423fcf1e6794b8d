"""The provider: models by name, the faults in force, and counts of what was answered."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from softlaunch.core.errors import NotFoundError, SoftlaunchError
from softlaunch.simulator.faults import EVERY_MODEL, ActiveFault, Fault, FaultBoard, FaultKind
from softlaunch.simulator.judging import JudgePlayer
from softlaunch.simulator.knowledge import Knowledge
from softlaunch.simulator.models import Answer, ArrivalMeter, Player, ProfilePlayer, Refusal
from softlaunch.simulator.profiles import Profile
from softlaunch.simulator.wire import ChatRequest

_ERROR_LATENCY_SHARE = 0.1  # an overloaded service says no much faster than it answers


@dataclass(slots=True)
class Played:
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

    def note(self, performance: Answer | Refusal) -> None:
        """Count what a call came to."""
        if isinstance(performance, Refusal):
            self.refused[performance.status] += 1
            return
        self.right += performance.right is True
        self.wrong += performance.right is False
        self.unknown += performance.right is None
        self.hallucinated += performance.hallucinated
        self.input_tokens += performance.input_tokens
        self.output_tokens += performance.output_tokens


@dataclass(slots=True)
class Cast:
    """One player with its arrivals and counts."""

    player: Player
    arrivals: ArrivalMeter = field(default_factory=ArrivalMeter)
    played: Played = field(default_factory=Played)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be done for one request: the performance, at its final speed, and a fault that disturbs it."""

    performance: Answer | Refusal
    disturbance: ActiveFault | None = None


class Provider:
    """Plays models; holds no socket, so it can be asked directly.

    `speed` divides every latency. `clock` gives monotonic seconds. Scheduled faults of profiles begin to count when the
    provider is made.
    """

    def __init__(
        self,
        players: Iterable[Player],
        aliases: Mapping[str, str] | None = None,
        speed: float = 1.0,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not speed > 0:
            raise SoftlaunchError(f"--speed is {speed:g}, expected a number above zero: 10 plays ten times faster")
        self.faults = FaultBoard()
        self.clock = clock
        self._speed = speed
        self._rng = random.Random(f"{seed}|faults")
        self._casts = {player.name: Cast(player) for player in players}
        self._ids = {cast.player.resolved_model: name for name, cast in self._casts.items()}
        self._ids |= {name: name for name in self._casts}
        self._ids |= {alias: self._known(name) for alias, name in (aliases or {}).items()}

    @classmethod
    def of_profiles(
        cls, profiles: Iterable[Profile], knowledge: Knowledge, others: Iterable[Player] = (), **options: Any
    ) -> Self:
        """A provider of profiles and other players; where both have a name, the other player takes it."""
        chosen = tuple(profiles)
        seed = options.get("seed", 0)
        players = [(JudgePlayer if profile.judge else ProfilePlayer)(profile, knowledge, seed) for profile in chosen]
        provider = cls([*players, *others], **options)
        for profile in chosen:
            for fault in profile.faults:
                provider.faults.order(profile.name, fault, provider.clock())
        return provider

    @property
    def names(self) -> list[str]:
        """The models that can be asked for, aliases and resolved ids included."""
        return sorted(self._ids)

    def cast(self, model: str) -> Cast:
        """The player that a request's model means: exactly, by alias, or by what follows the last slash."""
        return self._casts[self._known(model)]

    def order(self, model: str, fault: Fault) -> ActiveFault:
        """Begin a fault for a model, or for all with `*`."""
        return self.faults.order(model if model == EVERY_MODEL else self._known(model), fault, self.clock())

    def clear(self, model: str | None = None) -> int:
        """End the faults of a model, or all; how many there were."""
        return self.faults.clear(model if model in {None, EVERY_MODEL} else self._known(str(model)))

    def stage(self, request: ChatRequest) -> tuple[Cast, Scene]:
        """Decide what a request comes to, and count it; raises NotFoundError for a model that isn't played."""
        cast = self.cast(request.model)
        now = self.clock()
        played = cast.played
        played.requests += 1
        played.streams += request.stream
        played.arrival_rps = cast.arrivals.arrive(now)
        scene = self._disturbed(cast, request, cast.player.perform(request.ask, played.arrival_rps), now)
        played.note(scene.performance)
        return cast, scene

    def stats(self) -> dict[str, Any]:
        """Counts by model, of those that were asked, and the faults in force or to come."""
        now = self.clock()
        return {
            "models": {name: cast.played.as_dict() for name, cast in self._casts.items() if cast.played.requests},
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
        raise NotFoundError(f"the rehearsal provider doesn't play {model!r}; it plays {', '.join(sorted(self._ids))}")

    def _disturbed(self, cast: Cast, request: ChatRequest, performance: Answer | Refusal, now: float) -> Scene:
        disturbance = None
        factor = 1.0 / self._speed
        for active in self.faults.holding(cast.player.name, now):
            fault = active.fault
            if not _concerns(fault.kind, stream=request.stream) or self._rng.random() >= fault.rate:
                continue
            cast.played.faults[fault.kind.value] += 1
            if fault.kind is FaultKind.SPIKE:
                factor *= fault.factor
            elif fault.kind is FaultKind.ERRORS:
                latency_s = performance.latency_s * _ERROR_LATENCY_SHARE
                performance = Refusal(fault.status, "a rehearsed burst of errors", "rehearsed", latency_s)
            else:
                disturbance = active
        return Scene(_slowed(performance, factor), disturbance)


def _concerns(kind: FaultKind, *, stream: bool) -> bool:
    if kind is FaultKind.MALFORMED_STREAM:
        return stream
    return kind is not FaultKind.MALFORMED_JSON or not stream


def _slowed(performance: Answer | Refusal, factor: float) -> Answer | Refusal:
    latency_s = performance.latency_s * factor
    if isinstance(performance, Refusal):
        return replace(performance, latency_s=latency_s)
    return replace(performance, latency_s=latency_s, first_token_s=performance.first_token_s * factor)
