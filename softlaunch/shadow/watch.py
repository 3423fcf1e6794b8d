"""What a look at a shadow stage learns from texts: observations for its gates, and figures for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Observations, Window
from softlaunch.gates.reference import ENOUGH
from softlaunch.gates.telemetry import Scope, TelemetryError
from softlaunch.policy.model import Policy
from softlaunch.policy.route import Arm
from softlaunch.policy.stages import ShadowPolicy
from softlaunch.shadow.copies import CopyJudgement, answers_between, copy_judgements_after
from softlaunch.shadow.golden_agreement import golden_self_similarity
from softlaunch.shadow.judge import CopyJudge
from softlaunch.shadow.similarity import Sums, text_similarity
from softlaunch.shadow.state import CopyState
from softlaunch.store.database import Database

_EVEN = 0.5  # neither answer is preferred; in the mean that is how stable's own second answers fare, by symmetry


@dataclass(frozen=True, slots=True)
class CopyObservation:
    """New observations, the stage's figures with them, and why metrics can't be judged now."""

    state: CopyState
    windows: tuple[Window, ...] = ()
    blockers: Mapping[Metric, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CopyWatch:
    """Reads the texts of copies, and has judges asked about them."""

    database: Database
    judge: CopyJudge

    def look(
        self, scope: Scope, policy: Policy, held: CopyState, window: tuple[float, float], entered: float
    ) -> CopyObservation:
        """What the copies of a window (epoch seconds) were answered, and what judges have said since the last look.

        Raises TelemetryError where the ledger can't be read.
        """
        shadow = policy.shadow
        if shadow is None or not policy.texts.keeps_all:
            why = "texts of live requests are not kept (texts.keep), so nothing can be compared"
            return CopyObservation(held, blockers={metric: why for metric in Metric if metric.compares_copies})
        asked = any(gate.metric is Metric.PREFERENCE for gate in policy.gates)
        objection = self.judge.work(scope, policy, shadow.judging, entered) if asked else ""
        try:
            compared = self._agreement(scope, shadow, held, window)
            judged = (
                self._preference(scope, policy, compared.state, objection) if asked else CopyObservation(compared.state)
            )
        except SQLAlchemyError as error:
            raise TelemetryError(f"the texts of copies can't be read: {error.__class__.__name__}") from error
        return CopyObservation(
            judged.state, (*compared.windows, *judged.windows), {**compared.blockers, **judged.blockers}
        )

    def history(self, release_id: str) -> dict[Metric, Observations]:
        """What is known of stable beside itself before any copy: its repeats in the eval, and that judges are even."""
        with self.database.read() as session:
            repeats = np.array(golden_self_similarity(session, release_id), dtype=np.float64)
        return {
            Metric.AGREEMENT: Observations(np.arange(len(repeats)), repeats),
            Metric.PREFERENCE: Observations(np.arange(ENOUGH), np.full(ENOUGH, _EVEN)),
        }

    def _agreement(
        self, scope: Scope, shadow: ShadowPolicy, held: CopyState, window: tuple[float, float]
    ) -> CopyObservation:
        with self.database.read() as session:
            answers = answers_between(session, scope, *window)
        known = [(one, value) for one in answers if (value := text_similarity(one.answer, one.shown)) is not None]
        state = replace(
            held,
            agreement=held.agreement + Sums.of(value for one, value in known if one.arm is Arm.SHADOW),
            agreement_floor=held.agreement_floor + Sums.of(value for one, value in known if one.arm is Arm.CONTROL),
        )
        if not shadow.floor_percent:
            why = "stable is asked nothing twice (shadow.floor_percent is 0), so there is nothing to compare with"
            return CopyObservation(state, blockers={Metric.AGREEMENT: why})
        firsts = [(one.arm, one.unit, value) for one, value in known if one.first]
        share = 1 / (1 + shadow.floor_percent / 100)
        seen = Window(
            share,
            {Metric.AGREEMENT: _observed(firsts, Arm.SHADOW)},
            {Metric.AGREEMENT: _observed(firsts, Arm.CONTROL)},
        )
        return CopyObservation(state, (seen,) if firsts else ())

    def _preference(self, scope: Scope, policy: Policy, held: CopyState, objection: str) -> CopyObservation:
        """Judgements that came since the last look; the gate bets on the candidate's against even odds.

        Stable's second answers are as often better as worse, because they are drawn like the first: to bet against
        what was measured of them would only add noise. They are shown, and measure the judges' bias.
        """
        if objection:
            return CopyObservation(held, blockers={Metric.PREFERENCE: objection})
        with self.database.read() as session:
            said = copy_judgements_after(session, scope, held.judged)
        state = replace(_with_judgements(held, said), judging=self.judge.spent_out(scope.release_id))
        preferences = [(one.arm, one.unit, one.value) for one in said if one.value is not None]
        candidate = _observed(preferences, Arm.SHADOW)
        even = Observations(candidate.units, np.full(len(candidate), _EVEN))
        seen = Window(_EVEN, {Metric.PREFERENCE: candidate}, {Metric.PREFERENCE: even})
        why = _too_few_readable(state, policy)
        return CopyObservation(state, (seen,) if len(candidate) else (), {Metric.PREFERENCE: why} if why else {})


def _observed(values: Sequence[tuple[Arm, int, float]], arm: Arm) -> Observations:
    own = [(unit, value) for one, unit, value in values if one is arm]
    return Observations(
        np.array([unit for unit, _ in own], dtype=np.int64), np.array([value for _, value in own], dtype=np.float64)
    )


def _with_judgements(held: CopyState, said: Sequence[CopyJudgement]) -> CopyState:
    def sums(arm: Arm) -> Sums:
        return Sums.of(one.value for one in said if one.arm is arm and one.value is not None)

    return replace(
        held,
        preference=held.preference + sums(Arm.SHADOW),
        preference_floor=held.preference_floor + sums(Arm.CONTROL),
        judged=max((one.id for one in said), default=held.judged),
        unreadable=held.unreadable + sum(one.value is None for one in said),
    )


def _too_few_readable(state: CopyState, policy: Policy) -> str:
    """Why what judges said may not be typical: too many pairs without a verdict; empty where few lack one."""
    pairs = state.preference.count + state.preference_floor.count + state.unreadable
    if state.unreadable <= policy.eval.maximum_unscored.value * pairs:
        return ""
    return (
        f"judges' replies on {state.unreadable:,} of {pairs:,} pairs can't be read; {policy.eval.maximum_unscored} are "
        "allowed: what is left may not be typical, so check the judges"
    )
