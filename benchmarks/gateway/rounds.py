"""A run: the provider and the gateways are started, and measured in turn, round after round."""

import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gateway import processes
from benchmarks.gateway.idle import Idle, idle_connections
from benchmarks.gateway.load import Load, Target, does_answer, generate
from benchmarks.gateway.peers import Direct, Peer, Place
from benchmarks.gateway.processes import NotAvailableError
from benchmarks.gateway.report import Round, Row
from benchmarks.gateway.tables import Case, Table

_BUSY_CONNECTIONS = 32
_PROVIDER_SECONDS = 20.0


@dataclass
class Run:
    """The gateways of a table that run, and what keeps the others from it."""

    table: Table
    running: list[Peer] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def start(self, stack: ExitStack, place: Place, only: Sequence[str]) -> None:
        """Start those with one of the names, all where none is given; the direct call is always among them."""
        for make in self.table.peers:
            peer = make(place)
            if only and not isinstance(peer, Direct) and peer.name not in only:
                continue
            stack.callback(peer.stop)
            try:
                peer.start()
                peer.wait(self.table.cases[0].request, self.table.events)
            except NotAvailableError as reason:
                self.missing[peer.name] = str(reason)
            else:
                self.running.append(peer)

    def measure(self, rounds: int, seconds: float) -> list[Row]:
        """So many rounds after one to warm up, each of every gateway and case in turn."""
        pairs = [(peer, case) for case in self.table.cases for peer in self.running]
        seen: list[list[Round]] = [[] for _ in pairs]
        for number in range(rounds + 1):
            for (peer, case), mine in zip(pairs, seen, strict=True):
                measured = _measure(peer, case, seconds, self.table.events)
                if number:  # the first round warms up
                    mine.append(measured)
        direct = {case.label: mine for (peer, case), mine in zip(pairs, seen, strict=True) if isinstance(peer, Direct)}
        return [
            Row(", ".join(filter(None, (peer.name, case.label))), peer.note, mine, direct[case.label])
            for (peer, case), mine in zip(pairs, seen, strict=True)
        ]


def start_provider(stack: ExitStack, folder: Path, table: Table) -> tuple[int, int]:
    """Start the provider beside the load; its two ports."""
    ports = processes.free_port(), processes.free_port()
    home = folder / "provider"
    home.mkdir()
    command = [sys.executable, "-m", "benchmarks.gateway.provider", str(table.events), *map(str, ports)]
    process = processes.start(command, home, [processes.LOAD_CORE], {"PYTHONPATH": str(Path(__file__).parents[2])})
    stack.callback(processes.stop, process)
    there, kind = Target(ports[1], "/v1", "m"), table.cases[0].request
    processes.wait_for(lambda: does_answer(there, kind, table.events), process, home, _PROVIDER_SECONDS)
    return ports


def _measure(peer: Peer, case: Case, seconds: float, events: int) -> Round:
    """One gateway and case in one round. A gateway that takes no connection any more has an error for each."""
    opened = idle_connections(peer.target, case.request, case.idle) if case.idle else nullcontext(Idle([]))
    try:
        with opened as idle:
            before = processes.cpu_seconds(peer.process) if peer.process else 0.0
            busy = generate(peer.target, case.request, _BUSY_CONNECTIONS, seconds, events)
            after = processes.cpu_seconds(peer.process) if peer.process else 0.0
            alone = generate(peer.target, case.request, 1, seconds, events)
            lost = idle.closed()
    except OSError:
        none = Load(0, _BUSY_CONNECTIONS, seconds, math.nan, math.nan)
        return Round(none, none)
    cpu_us = (after - before) / busy.answers * 1e6 if peer.process and busy.answers else None
    return Round(busy, alone, cpu_us, processes.peak_mb(peer.process) if peer.process else None, lost)
