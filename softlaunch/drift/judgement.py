"""The judgement of a check: what has moved, what points to which cause, and what to do next. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from softlaunch.core.quantities import MarginKind
from softlaunch.drift.figures import DriftFigures
from softlaunch.drift.quality import (
    Remark,
    Weight,
    disagree,
    of_gaps,
    of_quality,
    of_refusals,
    of_weakness,
    only_better,
)
from softlaunch.drift.trend import Trend
from softlaunch.evals.statistics.report import Finding, MetricComparison
from softlaunch.policy.drift import DriftPolicy

_DAY = 86400.0


class Cause(StrEnum):
    """What the figures point to."""

    NONE = "none"
    MODEL = "model"
    RELEASE = "release"
    USERS = "users"
    UNCLEAR = "unclear"
    UNKNOWN = "unknown"


class Step(StrEnum):
    """What is proposed next."""

    NOTHING = "nothing"
    PIN = "pin"
    REFRESH = "refresh"
    ROLL_BACK = "roll_back"
    NEW_BASELINE = "new_baseline"
    LOOK = "look"
    CHECK_AGAIN = "check_again"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which models answered, by the names and fingerprints that they gave themselves."""

    models: frozenset[str] = frozenset()
    fingerprints: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known beside the figures. `refresh_age` and `golden_set_age` are in seconds, None where unknown.

    `same_variant` is false when something was released since the baseline was frozen; `pinnable` is the dated model
    that the baseline's answers came from, where the variant names a floating alias.
    """

    then: Identity = Identity()
    now: Identity = Identity()
    same_variant: bool = True
    model: str = ""
    floating: bool = False
    pinnable: str | None = None
    prompt: str = ""
    refresh_age: float | None = None
    golden_set_age: float | None = None
    frozen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything that a check concludes."""

    remarks: tuple[Remark, ...]
    cause: Cause
    step: Step
    summary: str

    @property
    def alerts(self) -> tuple[Remark, ...]:
        """The remarks that a person must know of."""
        return tuple(remark for remark in self.remarks if remark.weight is Weight.ALERT)

    @property
    def is_clear(self) -> bool:
        """Whether nothing has drifted, and that is known."""
        return not self.alerts and self.cause is not Cause.UNKNOWN


def judge_drift(figures: DriftFigures, trends: Sequence[Trend], setting: Setting, policy: DriftPolicy) -> Judgement:
    """Weigh the golden set, the outputs, who answered, live traffic and ages."""
    golden = [*of_quality(figures, policy), *of_refusals(figures, policy)]
    gaps, weak = of_gaps(figures), of_weakness(figures)
    live = [remark for trend in trends if (remark := _falling(trend, policy)) is not None]
    rest = [*_amounts(figures), *_ages(setting, policy), *_floating(setting)]
    remarks = (*golden, *gaps, *weak, *live, *_identity(setting), *_outputs(figures), *rest)
    moved = bool([remark for remark in golden if remark.weight is Weight.ALERT])
    cause = _cause(
        setting, disagreeing=disagree(figures, policy), golden=moved, gaps=bool(gaps or weak), live=bool(live)
    )
    step = _step(cause, setting, better=only_better(figures) and not moved)
    return Judgement(remarks, cause, step, _summary(remarks, setting))


def _outputs(figures: DriftFigures) -> list[Remark]:
    change = figures.outputs
    if change is None:
        return []
    changed = f"{change.changed_share * 100:.0f} % of the outputs differ"
    seen = f"{changed} from the baseline's (similarity {change.similarity:.2f}"
    if change.noise_similarity is None or change.noise_changed_share is None:
        sentence = f"{seen}); how much is noise isn't known, because cases were asked once"
        return [Remark(Weight.NOTICE, "outputs", sentence)] if change.changed_share else []
    noise = f"{change.noise_changed_share * 100:.0f} % between repeats (similarity {change.noise_similarity:.2f})"
    if not change.is_shown:
        return []
    return [Remark(Weight.NOTICE, "outputs", f"{seen}), more than the {noise} that is noise")]


def _identity(setting: Setting) -> list[Remark]:
    remarks = []
    if setting.then.models and setting.now.models and setting.then.models != setting.now.models:
        sentence = f"{_listed(setting.then.models)} answered then, {_listed(setting.now.models)} answers now"
        remarks.append(Remark(Weight.ALERT if setting.same_variant else Weight.NOTICE, "resolved model", sentence))
    known = setting.then.fingerprints and setting.now.fingerprints
    if known and not setting.then.fingerprints & setting.now.fingerprints:
        sentence = (
            f"the fingerprint was {_listed(setting.then.fingerprints)} and is {_listed(setting.now.fingerprints)}"
        )
        remarks.append(Remark(Weight.NOTICE, "fingerprint", sentence))
    return remarks


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _falling(trend: Trend, policy: DriftPolicy) -> Remark | None:
    change = trend.change
    if change is None:
        return None
    relative = policy.margin.kind is MarginKind.RELATIVE
    lost = change.before - change.after if trend.metric.higher_is_better else change.after - change.before
    if lost <= policy.margin.value * (change.before if relative else 1.0):
        return None
    since = datetime.fromtimestamp(change.begins_at).astimezone()
    levels = f"from {change.before * 100:.1f} % to {change.after * 100:.1f} %"
    moved = "fell" if trend.metric.higher_is_better else "rose"
    return Remark(
        Weight.ALERT, f"live {trend.metric}", f"{trend.metric} of users {moved} {levels} since {since:%Y-%m-%d}"
    )


def _amounts(figures: DriftFigures) -> list[Remark]:
    return [
        Remark(
            Weight.NOTICE,
            one.metric,
            f"{one.metric} {'rose' if one.candidate > one.stable else 'fell'} by {_relative(one) * 100:.0f} %",
        )
        for one in figures.amounts
        if one.finding is not Finding.NONE and _relative(one) > one.margin
    ]


def _relative(one: MetricComparison) -> float:
    return abs(one.difference) / one.stable if one.stable else 0.0


def _ages(setting: Setting, policy: DriftPolicy) -> list[Remark]:
    remarks = []
    if setting.refresh_age is not None and setting.refresh_age > policy.refresh_due:
        sentence = (
            f"{setting.prompt} is {_days(setting.refresh_age)} old; a refresh is due after {_days(policy.refresh_due)}"
        )
        remarks.append(Remark(Weight.NOTICE, "prompt", sentence))
    if setting.golden_set_age is not None and setting.golden_set_age > policy.golden_set_due:
        due = _days(policy.golden_set_due)
        sentence = f"the golden set is {_days(setting.golden_set_age)} old; it should be reviewed after {due}"
        remarks.append(Remark(Weight.NOTICE, "golden set", sentence))
    return remarks


def _days(seconds: float) -> str:
    return f"{seconds / _DAY:.0f} days"


def _floating(setting: Setting) -> list[Remark]:
    if not setting.floating:
        return []
    known = f", such as {setting.pinnable}" if setting.pinnable else ""
    sentence = (
        f"{setting.model} is a floating name: what answers behind it may change any day; lock a dated version{known}"
    )
    return [Remark(Weight.NOTICE, "model", sentence)]


def _cause(setting: Setting, *, disagreeing: bool, golden: bool, gaps: bool, live: bool) -> Cause:
    """A golden set that moved: the model did, or a release. A steady one, and less happy users: they did.

    Harm that was shown stands, whatever else is missing; that nothing has moved must be known of everything.
    """
    if disagreeing:
        return Cause.UNCLEAR
    if golden:
        return Cause.MODEL if setting.same_variant else Cause.RELEASE
    if gaps:
        return Cause.UNKNOWN
    changed = bool(setting.then.models and setting.now.models and setting.then.models != setting.now.models)
    if live:
        return Cause.USERS
    return Cause.MODEL if changed and setting.same_variant else Cause.NONE


def _step(cause: Cause, setting: Setting, *, better: bool) -> Step:
    match cause:
        case Cause.UNCLEAR:
            return Step.LOOK
        case Cause.UNKNOWN:
            return Step.CHECK_AGAIN
        case Cause.RELEASE:
            return Step.ROLL_BACK
        case Cause.MODEL:
            return Step.PIN if setting.floating and setting.pinnable else Step.REFRESH
        case Cause.USERS:
            return Step.REFRESH
        case Cause.NONE:
            return Step.NEW_BASELINE if better or not setting.same_variant else Step.NOTHING
        case _:
            assert_never(cause)


def _summary(remarks: Sequence[Remark], setting: Setting) -> str:
    alerts = [remark.sentence for remark in remarks if remark.weight is Weight.ALERT]
    since = f" against the baseline of {setting.frozen_at:%Y-%m-%d}" if setting.frozen_at else ""
    weak = [remark.sentence for remark in remarks if remark.subject == "power"]
    if not alerts:
        return f"too little evidence{since}: {'; '.join(weak)}" if weak else f"nothing has drifted{since}"
    return f"{'; '.join(alerts)}{since}"
