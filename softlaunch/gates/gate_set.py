"""All gates of one stage together: what they share, and what none of them may be blind to."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from softlaunch.core.arms import NONE_COUNTED, ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Met, Outcome, Per, Verdict
from softlaunch.gates.adjustments import Adjustments
from softlaunch.gates.e_process import split_evidence
from softlaunch.gates.gate import Gate
from softlaunch.gates.observations import Events, Observations, Window
from softlaunch.gates.plain_figures import PlainFigures, harm_met
from softlaunch.gates.predictions import Predictions
from softlaunch.gates.reporting import Reporting, judged_fairly
from softlaunch.gates.returning_units import Returning
from softlaunch.gates.rules import rules, unpredicted
from softlaunch.gates.sessions import SessionStreams, Stream
from softlaunch.gates.unit_entries import Way
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage

_TOLERATED_DROPS = 0.01
_SPLIT_ALPHA = 0.001


@dataclass(slots=True)
class GateSet:
    """The gates of a stage, and what the traffic itself looked like.

    `gates` judge whether a candidate passes. Where requests of a unit can be distinguished, they see each unit's first
    visit, `returning` sees everything that units do, and `plain` what people met; elsewhere gates see each unit by what
    it did when it first appeared, and find harm themselves. `split` counts the units that fell on candidate and stable,
    where the gateway assigned them; `dropped` counts requests that the log lost. `blockers` are the reasons why a gate
    can't be judged now, whatever it has seen. `began` and `until` (epoch seconds) are the ends of the first window and
    of the last. `adjustments` are those of the gates that are adjusted for what was known before an answer; they stay
    the same for a whole release, and aren't dumped. `predictions` correct the ratings of gates that are predicted.
    `sessions` are what goes on as people meet it, where gates count sessions or users; `returning` has its own, which
    may be adjusted. `logged` counts the candidate's requests of such
    a stage, and stable's, and `no_sessions` says why sessions can't be recognised, where they can't.
    """

    policy: Policy
    stage: Stage
    gates: tuple[Gate, ...]
    returning: Returning | None = None
    plain: PlainFigures = field(default_factory=PlainFigures)
    split: ByArm[int] = NONE_COUNTED
    dropped: int = 0
    blockers: Mapping[Metric, str] = field(default_factory=dict)
    began: float | None = None
    until: float = -math.inf
    adjustments: Adjustments = field(default_factory=Adjustments)
    predictions: Predictions = field(default_factory=Predictions)
    sessions: SessionStreams = field(default_factory=SessionStreams)
    logged: ByArm[int] = NONE_COUNTED
    no_sessions: str = ""

    @classmethod
    def begin(
        cls,
        policy: Policy,
        stage: Stage,
        history: Window | None = None,
        past: Events | None = None,
        longer: Window | None = None,
    ) -> Self:
        """Gates without evidence for a stage, which may know stable's traffic from before.

        `past` is what stable answered before the release, for gates that are adjusted by it. `longer` is more of
        stable's traffic than `history`, for gates that count sessions, of which a short one has no whole ones.
        """
        known = rules(policy, stage)
        if history is None or history.requests is None or stage.weight_percent in {0, 100}:
            return cls(policy, stage, tuple(Gate.begin(rule, history) for rule in unpredicted(known)))
        adjustments = Adjustments()
        if past is not None:
            adjustments = Adjustments.learn(policy.gates, past)
            history = _adjusted(adjustments, policy, past, history)
            longer = longer and _adjusted(adjustments, policy, past, longer)
        sessions = SessionStreams.of(known, policy.session)
        predictions = Predictions.of(known, policy.drawn)
        history = predictions.learn(history)
        logged = tuple(rule for rule in known if not rule.counted)
        returning = Returning.begin(logged, stage.candidate_share, history, sessions, longer)
        gates = tuple(
            Gate.begin(rule, history if rule.counted else returning.past_visits(rule.metric, history, longer))
            for rule in known
        )
        met = SessionStreams.of(known, policy.session)
        return cls(policy, stage, gates, returning, adjustments=adjustments, predictions=predictions, sessions=met)

    def learn_past(self, past: Events | None) -> None:
        """Learn what to adjust for from what stable answered before the release; None where nothing is adjusted."""
        if past is not None:
            self.adjustments = Adjustments.learn(self.policy.gates, past)

    def update(self, window: Window) -> None:
        """Fold one window into every gate."""
        if window.split is not None:
            self.split += window.split
        evidence = window if self.returning is None else self.returning.update(self._adjusted(window))
        progress = self.progress
        for gate in self.gates:
            if not (gate.rule.counted or self._is_blind(gate)):
                gate.update(evidence, progress)
        self._add_plain(window)
        if math.isfinite(window.until):
            self._move_to(window.until)

    def _adjusted(self, window: Window) -> Window:
        return self.predictions.correct(self.adjustments.adjust(window))

    def count(self, window: Window | None, met: Events) -> None:
        """Take in requests that another source counts, `met`, and fold the window that they complete into its gates."""
        progress = self.progress
        for gate in self.gates:
            if gate.rule.counted:
                self.plain.add(gate.rule.metric, met)
                if window is not None:
                    gate.update(window, progress)
        self._move_to(max(float(met.at.max(initial=self.until)), self.until))

    def learn_usual(self, metric: Metric, usual: Observations) -> None:
        """Let the gate on a metric that another source counts know stable's values of before the stage."""
        for gate in self.gates:
            if gate.rule.counted and gate.rule.metric == metric:
                gate.learn(usual)

    def _move_to(self, until: float) -> None:
        self.plain.forget(until)
        self.began = until if self.began is None else self.began
        self.until = until

    @property
    def progress(self) -> float | None:
        """The share of the stage that is over, by whichever of its deadlines comes first; None where it has none."""
        stage = self.stage
        seconds = 0.0 if self.began is None else self.until - self.began
        reached = (
            (stage.deadline, seconds),
            (stage.deadline_requests, self._candidate_requests()),
            (stage.deadline_units, self.split.candidate),
        )
        return max((seen / limit for limit, seen in reached if limit), default=None)

    def _candidate_requests(self) -> int:
        """Requests of the candidate that were compared."""
        counted = (arms.candidate.requests for arms in self.plain.arms.values())
        return max(*counted, self.logged.candidate, 0)

    def _add_plain(self, window: Window) -> None:
        """Take in what people met, request by request or as the gates count it."""
        sessions = self.sessions.take(window)
        if sessions and window.requests is not None:
            candidate = int(window.requests.candidate.sum())
            self.logged += ByArm(candidate, len(window.requests) - candidate)
        for gate in self.gates:
            if gate.rule.counted:
                continue
            metric, counted = gate.rule.metric, sessions.get(Stream.of(gate.rule))
            events = window.ratings.get(metric) if metric.is_rated else window.requests
            if gate.rule.per is not Per.REQUEST:
                events = counted
            if events is not None:
                self.plain.add(metric, events)

    def _is_blind(self, gate: Gate) -> bool:
        """Whether a gate counts what can't be distinguished here; it must not judge requests in its place."""
        return gate.rule.per is not Per.REQUEST and (self.returning is None or bool(self.no_sessions))

    def remember(self, windows: Iterable[Window]) -> None:
        """Learn again which units were seen, from the windows that were folded in before the gate set was dumped.

        They may be cut anew, but must come in order and end where the last one ended. Nothing is bet again.
        Whatever is adjusted for a past must have learnt it before.
        """
        if self.returning is None:
            return
        for window in windows:
            self.sessions.take(window)
            self.returning.remember([self._adjusted(window)])

    def recall(self, other: Self) -> None:
        """The same as `remember`, from the gate set whose dump this one was loaded from, or that remembers already."""
        if self.returning is not None and other.returning is not None:
            self.returning.recall(other.returning)
            self.sessions.recall(other.sessions)
            self.predictions.recall(other.predictions)
            self.adjustments = other.adjustments

    def verdicts(self) -> tuple[Verdict, ...]:
        """One verdict a gate. Traffic that isn't what it should be makes a pass an error, and so does a blocker."""
        error = self._validity_error()
        errors = [error or self.blockers.get(gate.rule.metric) for gate in self.gates]
        verdicts = (self._verdict(gate) for gate in self.gates)
        return tuple(_distrust(verdict, why) if why else verdict for verdict, why in zip(verdicts, errors, strict=True))

    def _verdict(self, gate: Gate) -> Verdict:
        metric = gate.rule.metric
        if self._is_blind(gate):
            why = self.no_sessions or "it isn't known which requests are of one unit"
            return replace(
                gate.judge(), outcome=Outcome.INCONCLUSIVE, reason=f"can't count{gate.rule.per.words}: {why}"
            )
        met = self.plain.met(metric, NONE_COUNTED if gate.rule.counted else self._users(metric))
        verdict = gate.judge(harmed=self._harmed(gate), contradicted=self._contradicted(gate, met))
        shown = replace(verdict, candidate_met=met.candidate, stable_met=met.stable)
        shown = self.predictions.told(shown, gate.rule)
        is_reported = metric.is_declared and metric not in self.policy.drawn
        return judged_fairly(shown, gate.rule, self._reporting(gate)) if is_reported else shown

    def _reporting(self, gate: Gate) -> Reporting:
        """Of how many units of each arm an app reported a value."""
        heard = gate.heard
        if self.returning is not None:
            candidate, stable = self.returning.evidence_of(gate.rule.metric).heard[Way.FIRST]
            heard = ByArm(candidate, stable)
        return Reporting(heard, self.split)

    def _users(self, metric: Metric) -> ByArm[int]:
        if not metric.is_rated or self.returning is None:
            return self.split
        candidate, stable = self.returning.evidence_of(metric).heard[Way.VISIT]
        return ByArm(round(candidate), round(stable))

    def log_evidence_of_harm(self, metric: Metric) -> float:
        """Log of a gate's largest e-value against "no harm", each less the price of its part of the gate's budget.

        The release is rolled back when it exceeds one over the gate's alpha and the harm is material.
        """
        gate = next(gate for gate in self.gates if gate.rule.metric == metric)
        if self.returning is not None and not gate.rule.counted:
            return self.returning.log_evidence(metric)
        return gate.log_evidence_of_harm

    def _harmed(self, gate: Gate) -> str | None:
        """Which harm has been shown, in words, empty while none has; None where the gate itself has to say it."""
        rule = gate.rule
        if self.returning is None or rule.counted:
            return None
        found = self.returning.harmed(rule)
        if found is None:
            return ""
        if found.is_tail:
            slow = f"worse at the 95th percentile by more than the acceptable {gate.show_margin(rule.material)}"
            return slow + found.way.words_per(rule.per)
        average, accepted = gate.show(found.harm), gate.show_margin(rule.material)
        return f"worse by {average} on average{found.way.words_per(rule.per)}, more than the acceptable {accepted}"

    def _contradicted(self, gate: Gate, met: ByArm[Met | None]) -> str:
        """Which plain figure speaks against a pass; empty where none does."""
        rule = gate.rule
        if met.candidate is None or met.stable is None or (self.returning is None and not rule.counted):
            return ""
        for where, harm in harm_met(rule.metric, met.candidate, met.stable).items():
            if harm > rule.margin:
                return f"looks worse by {gate.show(harm)} {where} over all {rule.per.counted}, not yet sure"
        if self.returning is None or rule.counted:
            return ""
        lately = self.returning.evidence_of(rule.metric).contradicts(rule.metric, rule.margin)
        if lately is not None:
            return f"looks worse by {gate.show(lately)} on average lately, not yet sure"
        suspected = self.returning.suspected(rule) if rule.margin > rule.material else None
        if suspected is None:
            return ""
        return f"looks worse by {gate.show(suspected.harm)} on average{suspected.way.words_per(rule.per)}, not yet sure"

    def _validity_error(self) -> str | None:
        """Why the traffic can't be trusted, in words; None when it can."""
        judged = (gate.counts.candidate + gate.counts.stable for gate in self.gates)
        met = (self.plain.requests(gate.rule.metric) for gate in self.gates)
        logged = max(*judged, *met, self.logged.candidate + self.logged.stable, 0)
        if self.dropped > _TOLERATED_DROPS * (logged + self.dropped):
            return f"the request log lost {self.dropped} requests in this stage"
        return split_error(self.split, self.stage.candidate_share)

    def dump(self) -> dict[str, Any]:
        """The gate set's state as JSON values."""
        return {
            "dropped": self.dropped,
            "split": [self.split.candidate, self.split.stable],
            "between": None if self.began is None else [self.began, self.until],
            "obstacles": {metric.value: why for metric, why in self.blockers.items()},
            "gates": {gate.rule.metric.value: gate.dump() for gate in self.gates},
            "returning": None if self.returning is None else self.returning.dump(),
            "plain": self.plain.dump(),
            **({"logged": [self.logged.candidate, self.logged.stable]} if self.sessions.by_stream else {}),
            **({"predictions": self.predictions.dump()} if self.predictions.by_metric else {}),
        }

    @classmethod
    def load(cls, policy: Policy, stage: Stage, state: Mapping[str, Any]) -> Self:
        """The gate set whose state was dumped, under the same policy and stage.

        A gate that the dump doesn't know, because it was written before there was one, begins without evidence; a stage
        that began before evidence of returning units was kept goes on without it. Before more is folded in, `remember`
        or `recall`.
        """
        held, known, returning = state["gates"], rules(policy, stage), state.get("returning")
        if returning is None:
            known = unpredicted(known)
        logged = tuple(rule for rule in known if not rule.counted)
        began, until = state.get("between") or (None, -math.inf)
        return cls(
            policy,
            stage,
            tuple(
                Gate.load(rule, held[rule.metric.value]) if rule.metric.value in held else Gate.begin(rule)
                for rule in known
            ),
            None if returning is None else Returning.load(returning, logged, SessionStreams.of(known, policy.session)),
            PlainFigures.load(state.get("plain", {}), [rule.metric for rule in known]),
            ByArm(*state["split"]),
            state["dropped"],
            {Metric.reported(metric): why for metric, why in state.get("obstacles", {}).items()},
            began,
            until,
            predictions=Predictions.of(known, policy.drawn, state.get("predictions")),
            sessions=SessionStreams() if returning is None else SessionStreams.of(known, policy.session),
            logged=ByArm(*state.get("logged", (0, 0))),
        )


def _adjusted(adjustments: Adjustments, policy: Policy, past: Events, history: Window) -> Window:
    """Stable's traffic beside what was usual before it, as what follows will be beside all of the past."""
    began = math.inf if history.requests is None else float(history.requests.at.min(initial=math.inf))
    return adjustments.for_history(policy.gates, past, began).adjust(history)


def split_error(split: ByArm[int], share: float) -> str | None:
    """Why units that fell on candidate and stable can't have been split by this share; None when they can."""
    if split_evidence(split.candidate, split.stable, share) < -math.log(_SPLIT_ALPHA):
        return None
    observed = 100 * split.candidate / (split.candidate + split.stable)
    return f"{observed:.3g} % of the users fell on the candidate instead of {100 * share:.3g} %: the split is off"


def _distrust(verdict: Verdict, error: str) -> Verdict:
    if verdict.outcome is Outcome.FAIL:
        return verdict
    return replace(verdict, outcome=Outcome.ERROR, reason=error)
