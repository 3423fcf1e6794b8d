"""What the gates would have decided on recorded requests, and when. Pure: rows come in, one conclusion comes out."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Per, Role, Verdict
from softlaunch.forecast.replay.counting import StageCount
from softlaunch.forecast.replay.measured import Rates
from softlaunch.forecast.replay.rows import Rows, SamplesError
from softlaunch.forecast.replay.stages import candidate_share
from softlaunch.forecast.replay.windows import Cutter, Looks
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import NO_EVENTS, Events, Window
from softlaunch.policy.gating import Adjustment, GatePolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage, StageKind

_HISTORY_ROWS = 3000  # as many as a live stage begins with
_LONGER_ROWS = 30_000  # and as many where it counts sessions
_MOST_UNNAMED = 0.5


class Conclusion(StrEnum):
    """How a replay ends."""

    PASS = "pass"  # noqa: S105  (a conclusion, not a password)
    ROLLBACK = "rollback"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Judged:
    """A gate's verdict and its evidence: the natural logarithm of the e-value against "no harm".

    `measured` says of how many requests the metric is known; None where one arm had none.
    """

    verdict: Verdict
    evidence: float
    measured: Rates | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """A look at a stage: the last row it rests on, and seconds since the file's first.

    `exposed` counts the candidate's requests that users saw by then, in all stages so far.
    """

    row: int
    elapsed: float
    exposed: int
    gates: tuple[Judged, ...]


@dataclass(frozen=True, slots=True)
class StageReplay:
    """How a stage went: `passed` is the first look at which all required gates passed, `latest` the last look.

    `is_compared` is false where stable had no request in it.
    """

    stage: Stage
    latest: Moment
    passed: Moment | None = None
    is_compared: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """The conclusion and what it rests on.

    `at` is the look that decided, None where none did; `gates` are those of that look, or of the stage that is
    missing evidence. `exposed` counts the candidate's requests until then, or in all of the file. `metric` is the
    gate that decided or is missing. `left_out` rows belonged to no stage in force. `unjudged` are gates that the policy
    doesn't name and the rows know nothing of. `strays` are users who in one stage were seen on both arms, and the
    requests that they made on the second one, which were left out too.
    """

    conclusion: Conclusion
    reason: str
    metric: str | None
    at: Moment | None
    exposed: int
    gates: tuple[Judged, ...]
    stages: tuple[StageReplay, ...]
    left_out: int = 0
    unjudged: tuple[Metric, ...] = ()
    strays: tuple[int, int] = (0, 0)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the rows before the gates are believed, in sentences without their ends."""
        users, requests = self.strays
        rates = (one.measured for one in self.gates if one.measured is not None and one.measured.differ)
        told = [f"{one.said}, which chance doesn't explain" for one in rates]
        if users:
            told.append(
                f"{users:,} users were on both arms; their {requests:,} requests on the second one were left out"
            )
        return tuple(told)


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
    ahead, all_rows = _looked_ahead(recorded)
    counts_sessions = any(gate.per is not Per.REQUEST for gate in gates)
    walk = _Walk(judging, frozenset(measured), _History(ahead, _LONGER_ROWS if counts_sessions else _HISTORY_ROWS))
    for rows in _windows(cutter, all_rows):
        culprit = walk.look(rows)
        if culprit is not None:
            return replace(_rolled_back(walk, culprit), left_out=cutter.left_out, unjudged=unjudged, strays=walk.strays)
    return replace(_at_end(walk), left_out=cutter.left_out, unjudged=unjudged, strays=walk.strays)


def _without_own_past(gate: GatePolicy) -> GatePolicy:
    """The gate adjusted for what its rows tell by themselves: what stable answered weeks before isn't among them."""
    if Adjustment.OWN_PAST not in gate.adjust_for:
        return gate
    told = tuple(name for name in gate.adjust_for if name is not Adjustment.OWN_PAST)
    return gate.model_copy(update={"adjust_for": told})


def _looked_ahead(recorded: Iterable[Rows]) -> tuple[Events, Iterator[Rows]]:
    """When the first requests were made and by whom, without arms and values; and all rows."""
    rest, first, count = iter(recorded), list[Rows](), 0
    while count < _HISTORY_ROWS and (rows := next(rest, None)) is not None:
        first.append(rows)
        count += len(rows)
    if not count:
        return NO_EVENTS, iter(first)
    at = np.concatenate([rows.ts for rows in first])[:_HISTORY_ROWS]
    units = np.concatenate([rows.units for rows in first])[:_HISTORY_ROWS]
    ahead = Events(at, units, np.zeros(len(at), dtype=np.bool_))
    return ahead.only(np.argsort(at, kind="stable")), chain(first, rest)


def _windows(cutter: Cutter, recorded: Iterable[Rows]) -> Iterator[Rows]:
    for rows in recorded:
        yield from cutter.cut(rows)
    yield from cutter.rest()


@dataclass(slots=True, eq=False)
class _History:
    """Stable's most recent rows of all stages, which a stage begins with.

    A live release knows how often its users come; a file that begins with the release shows it only in what is `ahead`.
    Times and units of requests say nothing about arms, so that they may be known beforehand. `most` rows are kept.
    """

    ahead: Events = NO_EVENTS
    most: int = _HISTORY_ROWS
    windows: deque[Window] = field(default_factory=deque)
    count: int = 0

    def add(self, window: Window) -> None:
        """Take in stable's side of a window, and forget the oldest windows that are too many."""
        requests = _of_stable(_requests(window))
        ratings = {metric: _of_stable(events) for metric, events in window.ratings.items()}
        self.windows.append(Window(0.5, stable=window.stable, requests=requests, ratings=ratings, until=window.until))
        self.count += len(requests)
        while self.count - len(_requests(self.windows[0])) >= self.most:
            self.count -= len(_requests(self.windows.popleft()))

    def longer(self) -> Window | None:
        """All of it as one window, without what is ahead; None where no more of it is kept than `window` shows."""
        return _together(list(self.windows)) if self.most > _HISTORY_ROWS else None

    def window(self) -> Window:
        """The last of it as one window."""
        together = _together(list(self.windows))
        requests = _requests(together)
        requests = requests.only(np.arange(len(requests))[-_HISTORY_ROWS:])
        began = requests.at.min(initial=np.inf)
        ratings = {metric: events.only(events.at >= began) for metric, events in together.ratings.items()}
        to_come = np.flatnonzero(self.ahead.at > together.until)[: _HISTORY_ROWS - len(requests)]
        return replace(together, requests=requests.together(self.ahead.only(to_come)), ratings=ratings)


def _together(windows: Sequence[Window]) -> Window:
    if len(windows) < 2:
        return windows[0] if windows else Window(0.5)
    half = len(windows) // 2
    return _together(windows[:half]).merge(_together(windows[half:]))


def _requests(window: Window) -> Events:
    return NO_EVENTS if window.requests is None else window.requests


def _of_stable(events: Events) -> Events:
    return events.only(~events.candidate)


@dataclass(slots=True, eq=False)
class _Walk:
    """Where a replay stands."""

    policy: Policy
    measured: frozenset[Metric]
    history: _History
    stages: list[StageReplay] = field(default_factory=list)
    exposed: int = 0
    panel: GateSet | None = None
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
        panel = self._panel_of(stage, rows) if stage is not None else None
        share = 0.5 if stage is None else candidate_share(self.policy, stage)
        is_split = stage is not None and 0 < stage.weight_percent < 100
        window = self.counting.window(rows, share, is_split=is_split)
        self.history.add(window)
        if stage is None or panel is None:
            return None
        self.rows, self.unnamed = self.rows + len(rows), self.unnamed + int(np.count_nonzero(~rows.named))
        panel.untold = self._untold()
        panel.update(window if is_split else replace(window, requests=None, ratings={}))
        panel.obstacles = self._obstacles()
        if stage.kind is StageKind.CANARY:
            self.exposed += int(np.count_nonzero(rows.candidate))
        moment = Moment(rows.last, self.elapsed, self.exposed, self._judged(panel))
        self._note(stage, moment, is_compared=not rows.candidate.all())
        return _worst(moment, Outcome.FAIL)

    def _panel_of(self, stage: Stage, rows: Rows) -> GateSet:
        """The gates of the stage in force; a stage that begins has fresh ones, which know stable's rows so far."""
        if self.panel is None or self.stages[-1].stage != stage:
            self._check_place(stage, rows)
            known = self.history.window()
            past = known.requests if any(gate.adjust_for for gate in self.policy.gates) else None
            self.panel = GateSet.begin(self.policy, stage, known, past, self.history.longer())
            self.strays_before, self.counting = self.strays, self._counting()
            self.stages.append(StageReplay(stage, Moment(rows.last, self.elapsed, self.exposed, ())))
        return self.panel

    def _check_place(self, stage: Stage, rows: Rows) -> None:
        """Every stage needs a place of its own in the plan, because the plan's places share the one alpha."""
        before = self.stages[-1].stage if self.stages else None
        if before is not None and stage.position <= before.position:
            raise SamplesError(
                f"{rows.place(0)}: {stage.name} comes after {before.name}; expected stages in the order of the policy, "
                "which shares its alpha between them: add those it lacks to the policy"
            )

    def _untold(self) -> str:
        """Why sessions can't be told, in words; empty where they can."""
        if self.unnamed <= _MOST_UNNAMED * self.rows:
            return ""
        if self.unnamed == self.rows:
            return "the samples have no column unit, or nothing in it"
        return f"{self.unnamed / self.rows:.0%} of the rows name no unit, and each would be a session of its own"

    def _obstacles(self) -> dict[Metric, str]:
        """Why gates can't be judged on these rows, whatever they have seen."""
        on_both = self.counting.arms.doubt
        found = {gate.metric: on_both or self._missing(gate.metric) for gate in self.policy.gates}
        return {metric: why for metric, why in found.items() if why}

    def _missing(self, metric: Metric) -> str | None:
        rates = self.counting.rates(metric)
        return None if rates is None else rates.doubt

    def _judged(self, panel: GateSet) -> tuple[Judged, ...]:
        return tuple(
            Judged(self._explained(verdict, metric), panel.log_evidence_of_harm(metric), self.counting.rates(metric))
            for gate, verdict in zip(panel.gates, panel.verdicts(), strict=True)
            for metric in (gate.rule.metric,)
        )

    def _explained(self, verdict: Verdict, metric: Metric) -> Verdict:
        if metric in self.measured or verdict.outcome is not Outcome.INCONCLUSIVE:
            return verdict
        return replace(verdict, reason="no data: the samples have no column for it")

    def _note(self, stage: Stage, moment: Moment, *, is_compared: bool) -> None:
        required = [one.verdict for one in moment.gates if one.verdict.role is Role.REQUIRED]
        all_pass = bool(required) and all(verdict.outcome is Outcome.PASS for verdict in required)
        before = self.stages[-1]
        passed = before.passed or (moment if all_pass and not _worst(moment, Outcome.ERROR) else None)
        self.stages[-1] = StageReplay(stage, moment, passed, before.is_compared or is_compared)


def _worst(moment: Moment, outcome: Outcome) -> Judged | None:
    """The gate with the most evidence of harm among those that count and say this."""
    found = (one for one in _counted(moment) if one.verdict.outcome is outcome)
    return max(found, key=lambda one: one.evidence, default=None)


def _counted(moment: Moment) -> Iterator[Judged]:
    """The gates that aren't muted."""
    return (one for one in moment.gates if one.verdict.role is not Role.MUTED)


def _rolled_back(walk: _Walk, culprit: Judged) -> Replayed:
    last = walk.stages[-1]
    reason = f"{culprit.verdict.name}: {culprit.verdict.reason} ({last.stage.name})"
    return Replayed(
        conclusion=Conclusion.ROLLBACK,
        reason=reason,
        metric=culprit.verdict.gate,
        at=last.latest,
        exposed=last.latest.exposed,
        gates=last.latest.gates,
        stages=tuple(walk.stages),
    )


def _at_end(walk: _Walk) -> Replayed:
    """The conclusion when no row is left and nothing was rolled back: an error, what is missing, or a pass."""
    if not walk.stages:
        reason = "no data: no row belongs to a stage in which a candidate was in force"
        return Replayed(Conclusion.INCONCLUSIVE, reason, None, None, 0, (), ())
    stages, unjudged = _comparable(walk.stages)
    for stage in stages:
        broken = next((one for one in _counted(stage.latest) if one.verdict.outcome is Outcome.ERROR), None)
        if broken is not None:
            return _undecided(walk, stage, Conclusion.ERROR, broken)
    for stage in stages:
        if stage.passed is None:
            return _undecided(walk, stage, Conclusion.INCONCLUSIVE, _missing(stage.latest))
    passed = [(stage, stage.passed) for stage in stages if stage.passed is not None]
    reason = "; ".join([*(f"{stage.stage.name} passed at row {moment.row:,}" for stage, moment in passed), *unjudged])
    at = passed[-1][1]
    return Replayed(Conclusion.PASS, reason, None, at, at.exposed, at.gates, tuple(walk.stages))


def _comparable(stages: Sequence[StageReplay]) -> tuple[Sequence[StageReplay], Sequence[str]]:
    """The stages that can be judged, and what is said of one that can't."""
    *before, last = stages
    if not before or last.is_compared or last.stage.weight_percent < 100:
        return stages, ()
    return before, (f"{last.stage.name} has no request of stable to compare with and wasn't judged",)


def _missing(moment: Moment) -> Judged | None:
    """The first required gate that doesn't pass; None where no required gate is judged at all."""
    required = (one for one in moment.gates if one.verdict.role is Role.REQUIRED)
    return next((one for one in required if one.verdict.outcome is not Outcome.PASS), None)


def _undecided(walk: _Walk, stage: StageReplay, conclusion: Conclusion, lacking: Judged | None) -> Replayed:
    said = "no required gate is judged" if lacking is None else f"{lacking.verdict.name}: {lacking.verdict.reason}"
    return Replayed(
        conclusion=conclusion,
        reason=f"{said} ({stage.stage.name})",
        metric=None if lacking is None else lacking.verdict.gate,
        at=None,
        exposed=walk.exposed,
        gates=stage.latest.gates,
        stages=tuple(walk.stages),
    )
