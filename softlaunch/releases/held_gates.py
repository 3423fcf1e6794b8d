"""Whom the gates of a live stage have heard: held in memory between looks, and learnt again by a driver that begins.

Each unit counts once in a while, so gates must know who was counted. That grows with the units, so it isn't stored with
the evidence: the request log holds it anyway.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from softlaunch.core.verdict import Per
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Window
from softlaunch.gates.telemetry import PAST_ROWS, Scope, Telemetry
from softlaunch.ledger.stages import StageRecord
from softlaunch.policy.release import Release

_NOT_LOGGED_YET = 120.0
_PIECES = 2
"""So many pieces of the log are read again in one step, so that a driver is never silent for long."""


@dataclass(frozen=True, slots=True)
class Rereading:
    """Gates that aren't ready: the log was read again as far as `reached` (epoch seconds)."""

    reached: float


@dataclass(slots=True)
class _Held:
    """Gates that belong to this evidence of a stage; `again` holds the windows that they must still be given."""

    position: int
    evidence: Mapping[str, Any]
    gates: GateSet
    again: Iterator[Window] | None = None
    reached: float = 0.0


@dataclass(slots=True)
class HeldGates:
    """The gates of the stages that this process drives, each as its last look left it.

    What is held is used only with the very evidence that it belongs to. Everything else comes from the ledger, for a
    driver that never stopped as for one that begins, so that both decide in the same way.
    """

    _held: dict[str, _Held] = field(default_factory=dict)

    def resume(
        self, telemetry: Telemetry, release: Release, record: StageRecord, entered: float
    ) -> GateSet | Rereading:
        """The gates that the evidence of a stage holds, ready to resume; `entered` is when the stage began.

        A long stage takes several steps to be read again. Raises TelemetryError.
        """
        held = self._held.get(release.id)
        if held is None or held.position != record.position or held.evidence != record.evidence:
            held = self._held[release.id] = _begin(telemetry, release, record, entered)
        if held.again is not None:
            self._read_on(release.id, held)
        if held.again is not None:
            return Rereading(held.reached)
        gates = _stored(release, record)
        gates.recall(held.gates)
        return gates

    def _read_on(self, release_id: str, held: _Held) -> None:
        """Read some more pieces again; a reading that failed begins anew the next time."""
        del self._held[release_id]
        read = 0
        for window in islice(held.again or (), _PIECES):
            held.gates.remember([window])
            held.reached, read = window.until, read + 1
        if read < _PIECES or held.reached >= held.evidence["until"]:
            held.again = None
        self._held[release_id] = held

    def keep(self, release: Release, record: StageRecord, evidence: Mapping[str, Any], gates: GateSet) -> None:
        """Hold the gates of this evidence, which is about to be stored."""
        self._held[release.id] = _Held(record.position, evidence, gates)

    def forget(self, release_id: str) -> None:
        """Hold nothing of a release any more."""
        self._held.pop(release_id, None)


def _begin(telemetry: Telemetry, release: Release, record: StageRecord, entered: float) -> _Held:
    scope = Scope.of(release, entered)
    gates = _stored(release, record)
    gates.learn_past(past_of(telemetry, release))
    again = telemetry.read_again(scope, entered, float(record.evidence["until"]))
    return _Held(record.position, record.evidence, gates, None if gates.returning is None else iter(again), entered)


def past_of(telemetry: Telemetry, release: Release) -> Events | None:
    """What stable answered before the release, for gates that are adjusted by it; None where none is.

    The last two minutes are left out, of which the log may not have been complete: it is the same whenever it is read.
    """
    if not (release.stage.is_split and any(gate.adjust_for for gate in release.policy.gates)):
        return None
    before = release.opened_at.timestamp() - _NOT_LOGGED_YET
    return telemetry.history(release.app, release.stable.digest, before, PAST_ROWS).requests


def longer_history(telemetry: Telemetry, release: Release, entered: float) -> Window | None:
    """More of stable's traffic than what requests are learnt from, for gates that count sessions; None for others."""
    if not (release.stage.is_split and any(gate.per is not Per.REQUEST for gate in release.policy.gates)):
        return None
    return telemetry.history(release.app, release.stable.digest, entered, PAST_ROWS)


def _stored(release: Release, record: StageRecord) -> GateSet:
    return GateSet.load(release.policy, release.stage, record.evidence["panel"])
