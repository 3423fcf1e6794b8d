"""What the gates would have decided on recorded requests, and when. Pure: rows come in, one conclusion comes out."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Per, Role, Verdict
from softlaunch.forecast.replay.conclusion import Judged, Moment, Replayed, StageReplay, at_end, rolled_back, worst
from softlaunch.forecast.replay.counting import StageCount
from softlaunch.forecast.replay.history import StableHistory, look_ahead
from softlaunch.forecast.replay.rows import Rows, SamplesError
from softlaunch.forecast.replay.stages import candidate_share
from softlaunch.forecast.replay.windows import Cutter, Looks
from softlaunch.gates.gate_set import GateSet, split_error
from softlaunch.gates.telemetry import HISTORY_ROWS, PAST_ROWS
from softlaunch.policy.gating import Adjustment, GatePolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage, StageKind

_MOST_UNNAMED = 0.5


def replay(policy: Policy, recorded: Iterable[Rows], looks: Looks, measured: Collection[Metric]) -> Replayed:
    """Feed rows in order of time through the gates of a policy, stage by stage.

    `measured` are the metrics that were recorded at all. A rollback ends the replay; a pass needs every stage that has
    rows to pass, except a last one that gave everybody to the candidate and has nothing to compare with: few but
    softlaunch go on asking stable then, and what the stages before it showed stands. A gate that is there by itself is
    left out where nobody recorded what it judges. Raises SamplesError for rows that can't be replayed.
    """
    unjudged = tuple(gate.metric for gate in policy.gates if not gate.is_named and gate.metric not in measured)
    gates = tuple(_without_own_past(gate) for gate in policy.gates if gate.metric not in unjudged)
    judging = policy.model_copy(update={"gates": gates})
    cutter = Cutter(judging, looks)
    ahead, all_rows = look_ahead(recorded)
    counts_sessions = any(gate.per is not Per.REQUEST for gate in gates)
    walk = _Walk(judging, frozenset(measured), StableHistory(ahead, PAST_ROWS if counts_sessions else HISTORY_ROWS))
    for rows in _windows(cutter, all_rows):
        failing = walk.look(rows)
        if failing is not None:
            done = rolled_back(walk.stages, failing)
            break
    else:
        done = at_end(walk.stages, walk.exposed)
    return replace(done, left_out=cutter.left_out, unjudged=unjudged, strays=walk.strays)


def _without_own_past(gate: GatePolicy) -> GatePolicy:
    """The gate adjusted for what its own rows hold, which excludes stable's answers of weeks before."""
    if Adjustment.OWN_PAST not in gate.adjust_for:
        return gate
    adjustments = tuple(name for name in gate.adjust_for if name is not Adjustment.OWN_PAST)
    return gate.model_copy(update={"adjust_for": adjustments})


def _windows(cutter: Cutter, recorded: Iterable[Rows]) -> Iterator[Rows]:
    for rows in recorded:
        yield from cutter.cut(rows)
    yield from cutter.rest()


@dataclass(slots=True, eq=False)
class _Walk:
    """Where a replay stands."""

    policy: Policy
    measured: frozenset[Metric]
    history: StableHistory
    stages: list[StageReplay] = field(default_factory=list)
    exposed: int = 0
    gate_set: GateSet | None = None
    counting: StageCount = field(init=False)
    strays_before: tuple[int, int] = (0, 0)
    rows: int = 0
    unnamed: int = 0
    began: float | None = None
    elapsed: float = 0.0

    def __post_init__(self) -> None:
        """Nothing is counted yet."""
        self.counting = self._counting()

    def _counting(self) -> StageCount:
        return StageCount({gate.metric for gate in self.policy.gates})

    @property
    def strays(self) -> tuple[int, int]:
        """Users who were seen on both arms of a stage, and their requests on the second one."""
        (users, requests), arms = self.strays_before, self.counting.arms
        return users + arms.stray_units, requests + arms.stray_requests

    def look(self, rows: Rows) -> Judged | None:
        """Fold in a window of rows; returns the gate that takes the release back, if one does."""
        self.began = float(rows.ts[0]) if self.began is None else self.began
        self.elapsed = max(self.elapsed, float(rows.ts.max()) - self.began)
        stage = rows.stage
        gate_set = self._gate_set_of(stage, rows) if stage is not None else None
        share = 0.5 if stage is None else candidate_share(self.policy, stage)
        is_split = stage is not None and 0 < stage.weight_percent < 100
        window = self.counting.window(rows, share, is_split=is_split)
        self.history.add(window)
        if stage is None or gate_set is None:
            return None
        self.rows, self.unnamed = self.rows + len(rows), self.unnamed + int(np.count_nonzero(~rows.named))
        gate_set.no_sessions = self._no_sessions()
        gate_set.update(window if is_split else replace(window, requests=None, ratings={}))
        gate_set.blockers = self._blockers()
        if stage.kind is StageKind.CANARY:
            self.exposed += int(np.count_nonzero(rows.candidate))
        moment = Moment(rows.last, self.elapsed, self.exposed, self._judged(gate_set))
        self._note(stage, moment, is_compared=not rows.candidate.all())
        return worst(moment, Outcome.FAIL)

    def _gate_set_of(self, stage: Stage, rows: Rows) -> GateSet:
        """The gates of the stage in force; a stage that begins has fresh ones, which know stable's rows so far."""
        if self.gate_set is None or self.stages[-1].stage != stage:
            self._check_place(stage, rows)
            known = self.history.window()
            past = known.requests if any(gate.adjust_for for gate in self.policy.gates) else None
            self.gate_set = GateSet.begin(self.policy, stage, known, past, self.history.longer())
            self.strays_before, self.counting = self.strays, self._counting()
            self.stages.append(StageReplay(stage, Moment(rows.last, self.elapsed, self.exposed, ())))
        return self.gate_set

    def _check_place(self, stage: Stage, rows: Rows) -> None:
        """Every stage needs a place of its own in the plan, because the plan's places share the one alpha."""
        before = self.stages[-1].stage if self.stages else None
        if before is not None and stage.position <= before.position:
            raise SamplesError(
                f"{rows.place(0)}: {stage.name} comes after {before.name}; expected stages in the order of the policy, "
                "which shares its alpha between them: add those it lacks to the policy"
            )

    def _no_sessions(self) -> str:
        """Why sessions can't be recognised; empty where they can."""
        if self.unnamed <= _MOST_UNNAMED * self.rows:
            return ""
        if self.unnamed == self.rows:
            return "the samples have no column unit, or nothing in it"
        return f"{self.unnamed / self.rows:.0%} of the rows name no unit, and each would be a session of its own"

    def _blockers(self) -> dict[Metric, str]:
        """Why gates can't be judged on these rows, whatever they have seen."""
        on_both = self.counting.arms.validity_error or self._unpaired
        found = {gate.metric: on_both or self._missing(gate.metric) for gate in self.policy.gates}
        return {metric: why for metric, why in found.items() if why}

    @property
    def _unpaired(self) -> str | None:
        """Why a shadow's arms can't be compared: one lacks rows beyond chance."""
        rows = self.counting.rows
        is_copied = bool(self.stages) and self.stages[-1].stage.kind is StageKind.SHADOW
        if not is_copied or split_error(rows, self.stages[-1].stage.candidate_share) is None:
            return None
        return (
            f"the shadow has {rows.candidate:,} rows of the candidate's and {rows.stable:,} of stable's, but copies "
            "come in pairs with what they copy: leave out what was not copied, and add the copies that came to nothing"
        )

    def _missing(self, metric: Metric) -> str | None:
        rates = self.counting.rates(metric)
        return None if rates is None else rates.validity_error

    def _judged(self, gate_set: GateSet) -> tuple[Judged, ...]:
        return tuple(self._judgement(gate_set, verdict) for verdict in gate_set.verdicts())

    def _judgement(self, gate_set: GateSet, verdict: Verdict) -> Judged:
        """A gate's verdict, which is no pass where one would rest on what is missing."""
        metric = Metric.reported(verdict.gate)
        counted = None if verdict.per is Per.REQUEST else gate_set.plain.arms.get(metric)
        blanks = self.counting.blanks.get(metric)
        missing = None if blanks is None else blanks.worst_case(counted)
        shown = verdict if missing is None else missing.bounding(verdict)
        evidence = gate_set.log_evidence_of_harm(metric)
        return Judged(self._explained(shown, metric), evidence, self.counting.rates(metric), missing)

    def _explained(self, verdict: Verdict, metric: Metric) -> Verdict:
        if metric in self.measured or verdict.outcome is not Outcome.INCONCLUSIVE:
            return verdict
        return replace(verdict, reason="no data: the samples have no column for it")

    def _note(self, stage: Stage, moment: Moment, *, is_compared: bool) -> None:
        required = [one.verdict for one in moment.gates if one.verdict.role is Role.REQUIRED]
        all_pass = bool(required) and all(verdict.outcome is Outcome.PASS for verdict in required)
        before = self.stages[-1]
        passed = before.passed or (moment if all_pass and not worst(moment, Outcome.ERROR) else None)
        self.stages[-1] = StageReplay(stage, moment, passed, before.is_compared or is_compared)
