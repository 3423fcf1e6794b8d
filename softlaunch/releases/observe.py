"""How a release is observed: new evidence folded into what was known, and the verdicts that it allows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sqlmodel import Session

from softlaunch.core.arms import ByArm
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.evals.orders import EvalOrder, EvalProgress
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.telemetry import Reading, Scope, Telemetry, TelemetryError
from softlaunch.ledger.stages import StageRecord
from softlaunch.live.watch import LiveObservation, LiveWatch
from softlaunch.policy.load import folder_of_golden_set, golden_set_path
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release, StageKind
from softlaunch.releases.decision import Action, Observation, Snapshot, compared, decide, no_data
from softlaunch.releases.held_gates import HeldGates, Rereading, longer_history, past_of
from softlaunch.shadow.state import EVIDENCE, CopyState, state_in
from softlaunch.shadow.watch import CopyObservation, CopyWatch
from softlaunch.telemetry.sources.watch import EVIDENCE as COUNTED
from softlaunch.telemetry.sources.watch import CountedLook, CountWatch

_EVAL_SECONDS = 2.0  # an eval works about this long before the step ends and the next one begins


class Evaluator(Protocol):
    """Runs the regression eval piece by piece."""

    def work(self, order: EvalOrder, seconds: float) -> EvalProgress:
        """Make outstanding calls for about this long; the report comes with the last."""
        ...


@dataclass(frozen=True, slots=True)
class ReleaseStrategy:
    """Releases of a candidate: a regression eval, and gates on the traffic of each stage after it.

    `open_log` opens what takes the place of the request log, `telemetry`, where a policy names it, and `counted` reads
    metrics that are counted elsewhere. `live` knows how judging live answers stands, and `held` is what this process
    holds in memory between two observations.
    """

    telemetry: Telemetry
    evaluator: Evaluator
    copies: CopyWatch | None = None
    counted: CountWatch | None = None
    open_log: Callable[[Policy], Telemetry | None] = lambda _: None
    held: HeldGates = field(default_factory=HeldGates)
    live: LiveWatch | None = None

    def observe(self, release: Release, record: StageRecord, now: datetime) -> Observation:
        """Observe the stage in force."""
        if release.stage.kind is StageKind.EVAL:
            return self._observe_eval(release, record)
        return self.observe_traffic(release, record, now)

    def decide(self, snapshot: Snapshot, observation: Observation) -> Action:  # noqa: ARG002  (the snapshot holds it)
        """See Strategy."""
        return decide(snapshot)

    def record(self, session: Session, release: Release, observation: Observation) -> None:
        """See Strategy; the evidence is all there is."""

    def forget(self, release_id: str) -> None:
        """See Strategy."""
        self.held.forget(release_id)

    def _observe_eval(self, release: Release, record: StageRecord) -> Observation:
        try:
            progress = self.evaluator.work(eval_order(release), _EVAL_SECONDS)
        except SoftlaunchError as error:  # what a person can mend holds the release; mended, the eval goes on
            return Observation((Verdict("eval", Outcome.ERROR, str(error)),), record.evidence, str(error))
        evidence = {"done": progress.done, "planned": progress.planned, "cost_usd": progress.cost_usd}
        verdicts = None if progress.report is None else progress.report.verdicts
        return Observation(verdicts, evidence, f"{progress.done} of {progress.planned} calls")

    def observe_traffic(self, release: Release, record: StageRecord, now: datetime) -> Observation:
        """What the gates of a stage see of its traffic, besides what was known."""
        held = record.evidence
        try:
            gates = self._gates(release, record)
            if isinstance(gates, Rereading):
                return no_data(held, f"reading the log of this stage again, up to {_clock(gates.reached)}")
            scope = Scope.of(release, _entered(release, record))
            counted = self._observe_counted(release, scope, held, gates, now.timestamp())
            reading = self._read(release, scope, held, now.timestamp(), counted)
            if reading.problem is not None:
                return no_data(held, reading.problem)
            copied = self._observe_copies(release, record, scope, reading.until)
            live = self._observe_live(release, scope, held, now.timestamp())
        except TelemetryError as error:
            return no_data(held, str(error))
        for window in (*reading.windows, *copied.windows):
            gates.update(window)
        gates.blockers = {**copied.blockers, **counted.blockers, **live.blockers}
        gates.dropped = max(gates.dropped + reading.dropped, 0)  # a gateway that came back takes back what it lost
        kept = {EVIDENCE: copied.state.dump()} if release.stage.kind is StageKind.SHADOW else {}
        kept |= {COUNTED: counted.dump()} if counted.metrics else {}
        look = _seen(held, gates, reading, {**kept, **live.dump()})
        self.held.keep(release, record, look.evidence, gates)
        return replace(look, verdicts=live.applied(look.verdicts))

    def _log(self, release: Release) -> Telemetry:
        """Where a release's requests are logged."""
        return self.open_log(release.policy) or self.telemetry

    def _observe_counted(
        self, release: Release, scope: Scope, held: Mapping[str, Any], gates: GateSet, now: float
    ) -> CountedLook:
        """What other sources have counted since the last look, folded into the gates that judge it."""
        if self.counted is None:
            return CountedLook()
        return self.counted.look(scope, release.policy.sources, gates, held.get(COUNTED, {}), now)

    def _read(
        self, release: Release, scope: Scope, held: Mapping[str, Any], now: float, counted: CountedLook
    ) -> Reading:
        """What the request log holds, where any gate judges that; raises TelemetryError.

        Where all metrics are counted elsewhere, so are the requests, and a source that is away is a reading without
        data: nobody watches then, and gateways return to stable.
        """
        until = _read_until(held, scope)
        if release.policy.reads_log:
            return self._log(release).read(scope, until, now)
        if not counted.is_fresh:
            return Reading((), until, problem=counted.problem or "this stage has no source of metrics")
        before = compared(held)
        more = ByArm(counted.requests.candidate - before.candidate, counted.requests.stable - before.stable)
        return Reading((), now, requests=more, exposed=more.candidate if release.stage.weight_percent else 0)

    def _observe_copies(self, release: Release, record: StageRecord, scope: Scope, until: float) -> CopyObservation:
        """What the texts of a shadow stage's copies say, where there are any."""
        if self.copies is None or release.stage.kind is not StageKind.SHADOW:
            return CopyObservation(CopyState())
        after = _read_until(record.evidence, scope)
        return self.copies.look(scope, release.policy, state_in(record.evidence), (after, until), scope.began)

    def _observe_live(self, release: Release, scope: Scope, held: Mapping[str, Any], now: float) -> LiveObservation:
        """How judging the stage's live answers stands, where anybody judges them."""
        return LiveObservation() if self.live is None else self.live.look(scope, release.policy, held, now)

    def _gates(self, release: Release, record: StageRecord) -> GateSet | Rereading:
        """The stage's gates as they were left, or fresh ones, which know stable's traffic from before the stage."""
        entered, telemetry = _entered(release, record), self._log(release)
        if record.evidence:
            return self.held.resume(telemetry, release, record, entered)
        if not release.policy.reads_log:
            return GateSet.begin(release.policy, release.stage)
        history = telemetry.history(release.app, release.stable.digest, entered)
        if self.copies is not None and release.stage.kind is StageKind.SHADOW:
            history = replace(history, stable={**history.stable, **self.copies.history(release.id)})
        longer = longer_history(telemetry, release, entered)
        return GateSet.begin(release.policy, release.stage, history, past_of(telemetry, release), longer)


def _read_until(held: Mapping[str, Any], scope: Scope) -> float:
    return float(held["until"]) if held else scope.began


def _clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%H:%M:%S} UTC"


def _entered(release: Release, record: StageRecord) -> float:
    if record.entered_at is None:
        raise ValueError(f"stage {record.position} of {release.id} is in force but was never entered")
    return record.entered_at.timestamp()


def _seen(held: Mapping[str, Any], gates: GateSet, reading: Reading, copies: Mapping[str, Any]) -> Observation:
    """An observation with data, after the gates have taken it in; what was held before grows by it."""
    requests = compared(held) + reading.requests
    exposed = held.get("exposed", 0) + reading.exposed
    by_fallback = held.get("by_fallback", 0) + reading.by_fallback
    evidence = {
        "panel": gates.dump(),
        "until": reading.until,
        "requests": [requests.candidate, requests.stable],
        "exposed": exposed,
        "by_fallback": by_fallback,
        **copies,
    }
    return Observation(
        gates.verdicts(),
        evidence,
        f"{requests.candidate} candidate and {requests.stable} stable requests compared",
        requests,
        exposed,
        by_fallback,
        seen_until=reading.until,
        stable_lately=reading.stable_lately,
    )


def eval_order(release: Release) -> EvalOrder:
    """The regression eval that a release wants: its answers are kept under the release's id.

    Raises PolicyError where the golden set, which was checked when the release was opened, has become a link.
    """
    policy_path = Path(release.policy_path)
    checked = folder_of_golden_set(release.policy, policy_path)
    return EvalOrder(
        run_id=release.id,
        app=release.app,
        release_id=release.id,
        stable=release.stable,
        candidate=release.candidate,
        policy=release.policy.eval,
        golden_set=golden_set_path(release.policy, policy_path, checked),
    )
