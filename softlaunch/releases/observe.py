"""One look at a stage: new evidence folded into what was known, and the verdicts it allows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from softlaunch.ab.document import KeptLook
from softlaunch.ab.watch import Trials
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.evals.regression import EvalOrder, EvalProgress
from softlaunch.gates.gate_set import Panel
from softlaunch.gates.telemetry import Reading, Scope, Telemetry, TelemetryError
from softlaunch.ledger.outcomes import Counts
from softlaunch.ledger.stages import StageRecord
from softlaunch.policy.load import golden_set_path
from softlaunch.policy.release import Release, StageKind
from softlaunch.releases.live import Live, ReadingAgain, longer_history, past_of
from softlaunch.shadow.state import EVIDENCE, CopyState, state_in
from softlaunch.shadow.watch import CopyLook, CopyWatch

_EVAL_SECONDS = 2.0  # an eval works about this long before the step ends and the next one begins


class Evaluator(Protocol):
    """Runs the regression eval piece by piece."""

    def work(self, order: EvalOrder, seconds: float) -> EvalProgress:
        """Make outstanding calls for about this long; the report comes with the last."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found. `evidence` replaces what the stage had; `watched` is false when nothing could be seen.

    `requests` are the compared ones of candidate and stable in this stage so far, `exposed` those that users saw.
    `trial` is a look at an A/B test as a whole, when one was due.
    `seen_until` (epoch seconds) is the moment up to which all is known, `stable_lately` what became of what stable was
    asked in the minute before that, by outcome.
    """

    verdicts: tuple[Verdict, ...] | None
    evidence: Mapping[str, Any]
    progress: str
    requests: tuple[int, int] = (0, 0)
    exposed: int = 0
    watched: bool = True
    trial: KeptLook | None = None
    seen_until: float | None = None
    stable_lately: Counts = field(default_factory=dict)


class Emergencies(Protocol):
    """Looks at an emergency release, whose candidate is judged by its own answers."""

    def look(self, release: Release, record: StageRecord, now: datetime) -> Look:
        """What the stage in force has seen so far."""
        ...


@dataclass(frozen=True, slots=True)
class Eyes:
    """What a driver looks with; `emergencies` sees the releases that nothing can be compared in.

    `live` is what it holds in memory between looks.
    """

    telemetry: Telemetry
    evaluator: Evaluator
    trials: Trials | None = None
    copies: CopyWatch | None = None
    emergencies: "Emergencies | None" = None
    live: Live = field(default_factory=Live)

    def look(self, release: Release, record: StageRecord, now: datetime) -> Look:
        """Look at the stage in force."""
        if release.emergency:
            if self.emergencies is None:
                raise ValueError(f"{release.id} is an emergency release, and these eyes see none")
            return self.emergencies.look(release, record, now)
        if release.stage.kind is StageKind.EVAL:
            return self._look_at_eval(release, record)
        look = self._look_at_traffic(release, record, now)
        return self._look_at_trial(release, record, look) if release.stage.kind is StageKind.AB_TEST else look

    def _look_at_trial(self, release: Release, record: StageRecord, look: Look) -> Look:
        """Besides what the gates see, the test as a whole, up to where the log is complete."""
        if self.trials is None:
            raise ValueError(f"{release.id} is an A/B test, and these eyes see releases only")
        if not look.watched:
            return look
        try:
            return replace(look, trial=self.trials.look(release, record, float(look.evidence["until"])))
        except TelemetryError as error:
            return _blind(record.evidence, str(error))

    def _look_at_eval(self, release: Release, record: StageRecord) -> Look:
        try:
            progress = self.evaluator.work(eval_order(release), _EVAL_SECONDS)
        except SoftlaunchError as error:  # what a person can mend holds the release; mended, the eval goes on
            return Look((Verdict("eval", Outcome.ERROR, str(error)),), record.evidence, str(error))
        evidence = {"done": progress.done, "planned": progress.planned, "cost_usd": progress.cost_usd}
        verdicts = None if progress.report is None else progress.report.verdicts
        return Look(verdicts, evidence, f"{progress.done} of {progress.planned} calls")

    def _look_at_traffic(self, release: Release, record: StageRecord, now: datetime) -> Look:
        held = record.evidence
        try:
            panel = self._panel(release, record)
            if isinstance(panel, ReadingAgain):
                return _blind(held, f"reading the log of this stage again, up to {_clock(panel.reached)}")
            until = float(held["until"]) if held else _entered(release, record)
            scope = Scope(release.app, release.id, release.stage)
            reading = self.telemetry.read(scope, until, now.timestamp())
            if reading.problem is not None:
                return _blind(held, reading.problem)
            copied = self._look_at_copies(release, record, scope, (until, reading.until))
        except TelemetryError as error:
            return _blind(held, str(error))
        for window in (*reading.windows, *copied.windows):
            panel.update(window)
        panel.obstacles = copied.obstacles
        panel.dropped = max(panel.dropped + reading.dropped, 0)  # a gateway that came back takes back what it lost
        copies = {EVIDENCE: copied.state.dump()} if release.stage.kind is StageKind.SHADOW else {}
        look = _seen(held, panel, reading, copies)
        self.live.keep(release, record, look.evidence, panel)
        return look

    def _look_at_copies(
        self, release: Release, record: StageRecord, scope: Scope, window: tuple[float, float]
    ) -> CopyLook:
        """What the texts of a shadow stage's copies say, where there are any."""
        if self.copies is None or release.stage.kind is not StageKind.SHADOW:
            return CopyLook(CopyState())
        return self.copies.look(scope, release.policy, state_in(record.evidence), window, _entered(release, record))

    def _panel(self, release: Release, record: StageRecord) -> Panel | ReadingAgain:
        """The stage's gates as they were left, or fresh ones, which know stable's traffic from before the stage."""
        entered = _entered(release, record)
        if record.evidence:
            return self.live.resume(self.telemetry, release, record, entered)
        history = self.telemetry.history(release.app, release.stable.digest, entered)
        if self.copies is not None and release.stage.kind is StageKind.SHADOW:
            history = replace(history, stable={**history.stable, **self.copies.history(release.id)})
        longer = longer_history(self.telemetry, release, entered)
        return Panel.begin(release.policy, release.stage, history, past_of(self.telemetry, release), longer)


def _clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%H:%M:%S} UTC"


def _entered(release: Release, record: StageRecord) -> float:
    if record.entered_at is None:
        raise ValueError(f"stage {record.position} of {release.id} is in force but was never entered")
    return record.entered_at.timestamp()


def _seen(held: Mapping[str, Any], panel: Panel, reading: Reading, copies: Mapping[str, Any]) -> Look:
    """A look that saw something, after the panel has taken it in; what was held before grows by it."""
    counts = _counts(held)
    requests = (counts[0] + reading.requests[0], counts[1] + reading.requests[1])
    exposed = held.get("exposed", 0) + reading.exposed
    evidence = {
        "panel": panel.dump(),
        "until": reading.until,
        "requests": list(requests),
        "exposed": exposed,
        **copies,
    }
    return Look(
        panel.verdicts(),
        evidence,
        f"{requests[0]} candidate and {requests[1]} stable requests compared",
        requests,
        exposed,
        seen_until=reading.until,
        stable_lately=reading.stable_lately,
    )


def _blind(held: Mapping[str, Any], why: str) -> Look:
    """A look that saw nothing: no verdict, and no sign to the gateways that somebody watches."""
    return Look((), held, why, _counts(held), held.get("exposed", 0), watched=False, seen_until=held.get("until"))


def _counts(evidence: Mapping[str, Any]) -> tuple[int, int]:
    candidate, stable = evidence.get("requests", (0, 0))
    return int(candidate), int(stable)


def eval_order(release: Release) -> EvalOrder:
    """The regression eval that a release wants: its answers are kept under the release's id.

    Raises PolicyError where the golden set, which was checked when the release was opened, has become a link.
    """
    policy_path = Path(release.policy_path)
    checked = (policy_path.parent / release.policy.eval.golden_set).parent
    return EvalOrder(
        run_id=release.id,
        app=release.app,
        release_id=release.id,
        stable=release.stable,
        candidate=release.candidate,
        policy=release.policy.eval,
        golden_set=golden_set_path(release.policy, policy_path, checked),
    )
