"""What the judges of a run are shown: how both arms answered the same users, with the same luck, at the same time."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from benchmarks.gates.arrivals import Draws, Flags, Floats, Stream, Units, arrivals, is_disturbed
from benchmarks.gates.model import MIRRORED, Scenario, Stage, stage_hours
from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Events, Observations, Window

Arm = Mapping[Metric, Observations]
EPOCH = 1.7e9
"""When the release begins, in epoch seconds."""
_MEANS = np.linspace(0.50, 0.95, 91)
_POINTS = 1024
_HISTORY = 3000  # as many of stable's requests as a live stage begins with
_ASKED = (Metric.ERRORS, Metric.LATENCY, Metric.COST)


@dataclass(frozen=True, slots=True)
class Look:
    """What happened since the look before.

    `window` is what a live release would be told. `shown` is all that became known of the candidate's answers to users,
    `stable` the same of stable's, and `control` as large a slice of stable's, for judges that compare equal arms (both
    empty at 100 %). `exposed` counts the candidate's requests that users saw, `at` are their times (seconds since the
    release began) and `units` who made them. `first` says whether this is the stage's first look, and `is_time_up`
    whether it has lasted as long as judges that wait for time give it.
    """

    stage: Stage
    first: bool
    window: Window
    shown: Arm
    control: Arm
    stable: Arm
    at: Floats
    units: Units
    is_time_up: bool

    @property
    def exposed(self) -> int:
        """How many of the candidate's requests users saw."""
        return len(self.at)

    def beginning(self) -> "Look":
        """The same as a stage's first look."""
        return replace(self, first=True)


@dataclass(slots=True)
class Known:
    """The units that were met so far, ascending."""

    units: Units = field(default_factory=lambda: np.empty(0, np.int64))

    def first_time(self, units: Units) -> Flags:
        """Whether each unit, shape (n,), was not met in an earlier call; all of them are known from now on."""
        distinct, place = np.unique(units, return_inverse=True)
        slot = np.searchsorted(self.units, distinct)
        fresh = np.ones(len(distinct), np.bool_)
        inside = slot < len(self.units)
        fresh[inside] = self.units[slot[inside]] != distinct[inside]
        self.units = np.insert(self.units, slot[fresh], distinct[fresh])
        return np.asarray(fresh[place])


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of a stretch of requests. `bucket` and `candidate` have shape (n,), as has each metric's column."""

    draws: Draws
    candidate: Flags
    columns: Mapping[Metric, Floats]

    def asked(self) -> "Heard":
        """The requests as they were answered."""
        asked = {one: self.columns[one] for one in (*_ASKED, Metric.REFUSED) if one in self.columns}
        return Heard(self.draws.at, self.draws.units, self.draws.bucket, self.candidate, asked, self.draws.at)

    def heard(self, scenario: Scenario) -> dict[Metric, "Heard"]:
        """Scores and ratings, by when they arrive."""
        draws, watching = self.draws, scenario.watching
        scored, rated = (watching.scored, draws.scored), (watching.rated, draws.rated)
        found = {}
        for metric in _heard_in(scenario):
            (on_candidate, on_stable), luck = rated if metric is Metric.SATISFACTION else scored
            known = luck < np.where(self.candidate, on_candidate, on_stable)
            arrives = draws.at + watching.delay_seconds * draws.delays[metric is Metric.SATISFACTION]
            column = {metric: self.columns[metric]}
            every = Heard(arrives, draws.units, draws.bucket, self.candidate, column, draws.at)
            found[metric] = every.only(known).in_order()
        return found


@dataclass(frozen=True, slots=True)
class Heard:
    """Requests, or what was said of them; every array of shape (n,). `asked_at` are the requests' own times."""

    at: Floats
    units: Units
    bucket: Floats
    candidate: Flags
    values: Mapping[Metric, Floats]
    asked_at: Floats

    def only(self, kept: slice | Flags | Units) -> "Heard":
        """Some of them."""
        values = {metric: column[kept] for metric, column in self.values.items()}
        columns = (self.at[kept], self.units[kept], self.bucket[kept], self.candidate[kept])
        return Heard(*columns, values, self.asked_at[kept])

    def later(self, others: "Heard") -> "Heard":
        """Both, in order of time."""
        both = Heard(
            np.concatenate([self.at, others.at]),
            np.concatenate([self.units, others.units]),
            np.concatenate([self.bucket, others.bucket]),
            np.concatenate([self.candidate, others.candidate]),
            {metric: np.concatenate([column, others.values[metric]]) for metric, column in self.values.items()},
            np.concatenate([self.asked_at, others.asked_at]),
        )
        return both.in_order()

    def in_order(self) -> "Heard":
        """The same in order of time."""
        return self if (self.at[1:] >= self.at[:-1]).all() else self.only(np.argsort(self.at, kind="stable"))

    def events(self) -> Events:
        """The same as the gates are told; no two requests begin at once."""
        answers = self.asked_at.view(np.int64)
        return Events(self.at + EPOCH, self.units, self.candidate, self.values, answers=answers)

    def observed(self, kept: Flags) -> dict[Metric, Observations]:
        """Some of them, without their times."""
        units = self.units[kept]
        return {metric: Observations(units, column[kept]) for metric, column in self.values.items()}


@dataclass(slots=True)
class Traffic:
    """A scenario's traffic in one run, which several judges may read one after the other."""

    scenario: Scenario
    seed: tuple[int, ...]
    stream: Stream = field(init=False)
    _hour: float = field(init=False)

    def __post_init__(self) -> None:
        """Every run begins at an hour of its own."""
        self.stream = Stream(arrivals(self.scenario, self.seed))
        self._hour = float(np.random.default_rng([*self.seed, 1]).uniform(0, 24))

    def history(self) -> Window:
        """Stable's requests from before the release."""
        draws = self.stream.latest(_HISTORY)
        answers = self.answers(draws, np.zeros(len(draws), np.bool_), np.zeros(len(draws), np.bool_))
        asked, heard = answers.asked(), answers.heard(self.scenario)
        heard = {metric: one.only(one.at < 0) for metric, one in heard.items()}
        every = [asked, *heard.values()]
        stable = {metric: seen for one in every for metric, seen in one.observed(~one.candidate).items()}
        ratings = {metric: one.events() for metric, one in heard.items()}
        return Window(0.5, {}, stable, None, asked.events(), ratings, EPOCH)

    def stage(self, stage: Stage, begun: float) -> "StageTraffic":
        """What is seen in a stage that begins so many seconds after the release."""
        return StageTraffic(self, stage, begun, begun)

    def answers(self, draws: Draws, candidate: Flags, harmed: Flags) -> Answers:
        """How the arms answered; `harmed` are the candidate's requests that its effect was on."""
        scenario, levels, effect = self.scenario, self.scenario.levels, self.scenario.effect
        hour = self._hour + draws.at / 3600
        wave = np.sin(2 * np.pi * hour / 24) if scenario.drift else np.zeros(len(draws))
        strength = 1.0 if scenario.drift else 0.0
        disturbance = scenario.disturbance
        disturbed = np.zeros(len(draws), np.bool_) if disturbance is None else is_disturbed(disturbance, draws.at)
        error_rate = levels.error_rate * _swing(scenario.day.errors, wave, strength) + effect.errors * harmed
        latency = levels.latency_median_ms * _swing(scenario.day.latency, wave, strength)
        latency *= np.where(harmed, effect.latency, 1.0)
        if disturbance is not None:
            error_rate = error_rate + disturbance.errors * disturbed
            latency *= np.where(disturbed, disturbance.latency, 1.0)
        if levels.slow or effect.slow:
            latency *= np.where(draws.slow < levels.slow + effect.slow * harmed, levels.slow_factor, 1.0)
        seen = harmed & (draws.slow < scenario.watching.agreement)
        quality = levels.quality_mean - effect.quality * seen - scenario.day.quality * wave
        satisfied = levels.satisfied - effect.satisfaction * harmed - scenario.day.satisfaction * wave
        noise = draws.noise
        cost = levels.cost_median_usd * np.where(harmed, effect.cost, 1.0)
        told = self._told(draws, candidate, harmed, satisfied)
        columns = {
            Metric.ERRORS: (noise["errors"] < error_rate).astype(np.float64),
            Metric.LATENCY: latency * np.exp(levels.latency_sigma * noise["latency"]),
            Metric.COST: cost * np.exp(levels.cost_sigma * noise["cost"]),
            Metric.QUALITY: _quality(noise["quality"], quality, levels.quality_deviation),
            Metric.SATISFACTION: (noise["satisfaction"] < satisfied).astype(np.float64),
            **told,
        }
        return Answers(draws, candidate, columns)

    def _told(self, draws: Draws, candidate: Flags, harmed: Flags, satisfied: Floats) -> dict[Metric, Floats]:
        """What a judge who isn't always right says, and the gateway's own check of refusals."""
        levels, effect, watching = self.scenario.levels, self.scenario.effect, self.scenario.watching
        agrees, found = draws.slow < watching.agreement, {}
        if watching.foretells:
            content = draws.noise["satisfaction"] < satisfied
            usual = draws.noise["quality"] < levels.satisfied
            found[Metric.QUALITY] = np.where(agrees, content, usual).astype(np.float64)
            liked = candidate & (draws.mirrored < watching.liking)
            found[Metric.QUALITY][liked] = 1.0
        if levels.hallucinated:
            share = levels.hallucinated + effect.hallucinated * (harmed & agrees)
            found[Metric.HALLUCINATION] = (draws.rated < share).astype(np.float64)
        if levels.refused:
            refused = levels.refused + effect.refused * harmed
            share = watching.recall * refused + watching.mistaken * (1 - refused)
            found[Metric.REFUSED] = (draws.scored < share).astype(np.float64)
        return found


@dataclass(slots=True)
class StageTraffic:
    """A stage's traffic as one judge sees it: it remembers who was met in the stage, and what is still to arrive."""

    traffic: Traffic
    stage: Stage
    begun: float
    now: float
    _met: Known = field(default_factory=Known)
    _met_in: dict[Metric, Known] = field(default_factory=lambda: defaultdict(Known))
    _to_arrive: dict[Metric, Heard] = field(default_factory=dict)

    def until(self, end: float) -> Look:
        """What happened from the look before, or the stage's beginning, to a moment in seconds of the release."""
        scenario, stage, first = self.traffic.scenario, self.stage, self.now == self.begun
        draws = self.traffic.stream.between(self.now, end)
        mine = draws.bucket < stage.share
        answers = self.traffic.answers(draws, mine, self._harmed(draws, mine))
        asked = answers.asked()
        heard = self._arrived(answers.heard(scenario), end)
        every = [asked, *heard.values()]
        shown = {metric: seen for one in every for metric, seen in one.observed(one.candidate).items()}
        hours = (end - self.begun) / 3600
        if stage.full:
            window, stable, control = self._pairs(answers, end), {}, {}
        else:
            window = self._window(asked, heard, end)
            stable = {metric: seen for one in every for metric, seen in one.observed(~one.candidate).items()}
            control = {metric: seen for one in every for metric, seen in one.observed(_beside(one, stage)).items()}
        self.now = end
        is_time_up = hours >= stage_hours(scenario, stage) * (1 - 1e-9)
        return Look(stage, first, window, shown, control, stable, draws.at[mine], draws.units[mine], is_time_up)

    def _harmed(self, draws: Draws, mine: Flags) -> Flags:
        effect = self.traffic.scenario.effect
        if self.stage.share < effect.from_share:
            return np.zeros(len(draws), np.bool_)
        return mine & (draws.at >= self.begun + effect.from_seconds) & (draws.number >= effect.from_request)

    def _arrived(self, heard: dict[Metric, Heard], end: float) -> dict[Metric, Heard]:
        """What arrives before `end`; the rest waits."""
        if not self.traffic.scenario.watching.delay_seconds:
            return heard
        arrived = {}
        for metric, fresh in heard.items():
            waiting = self._to_arrive[metric].later(fresh) if metric in self._to_arrive else fresh
            cut = int(np.searchsorted(waiting.at, end))
            arrived[metric], self._to_arrive[metric] = waiting.only(slice(cut)), waiting.only(slice(cut, None))
        return arrived

    def _window(self, asked: Heard, heard: dict[Metric, Heard], end: float) -> Window:
        """Everything with its time; and without, those who are met for the first time in the stage."""
        fresh = self._met.first_time(asked.units)
        parts = [(asked, fresh), *((one, self._met_in[metric].first_time(one.units)) for metric, one in heard.items())]
        arms: tuple[dict[Metric, Observations], dict[Metric, Observations]] = ({}, {})
        for one, is_first in parts:
            for arm, side in zip(arms, (one.candidate, ~one.candidate), strict=True):
                arm.update(one.observed(is_first & side))
        split = ByArm(
            len(np.unique(asked.units[fresh & asked.candidate])),
            len(np.unique(asked.units[fresh & ~asked.candidate])),
        )
        ratings = {metric: one.events() for metric, one in heard.items()}
        return Window(self.stage.share, *arms, split, asked.events(), ratings, EPOCH + end)

    def _pairs(self, answers: Answers, end: float) -> Window:
        """Requests copied to stable, as both answered them. Nobody rates or scores a copy."""
        draws = answers.draws
        again = self.traffic.stream.between(self.now, end, copy=1)
        nobody = np.zeros(len(draws), np.bool_)
        stable = self.traffic.answers(again, nobody, nobody)
        fresh = draws.mirrored < MIRRORED
        fresh[fresh] = self._met.first_time(draws.units[fresh])
        units = draws.units[fresh]
        candidate, copied = (
            {metric: Observations(units, side.columns[metric][fresh]) for metric in answers.asked().values}
            for side in (answers, stable)
        )
        return Window(0.5, candidate, copied, until=EPOCH + end)


def _heard_in(scenario: Scenario) -> tuple[Metric, ...]:
    """What is said of answers."""
    judged = (Metric.HALLUCINATION,) if scenario.levels.hallucinated else ()
    return (Metric.QUALITY, Metric.SATISFACTION, *judged)


def _beside(one: Heard, stage: Stage) -> Flags:
    """As large a slice of stable's units as the candidate has."""
    return (one.bucket >= stage.share) & (one.bucket < 2 * stage.share)


def _swing(ends: tuple[float, float], wave: Floats, strength: float) -> Floats:
    """A factor that moves between two ends with a wave in [-1, 1]; 1 where nothing drifts."""
    low, high = np.log(ends)
    return np.asarray(np.exp(strength * ((low + high) / 2 + (high - low) / 2 * wave)))


@lru_cache(maxsize=4)
def _quality_table(deviation: float) -> Floats:
    """Quantiles of Beta distributions, shape (means, points), their means put right to the last digit."""
    size = _MEANS * (1 - _MEANS) / deviation**2 - 1
    at = (np.arange(_POINTS) + 0.5) / _POINTS
    table = np.asarray(beta.ppf(at, (_MEANS * size)[:, None], ((1 - _MEANS) * size)[:, None]), dtype=np.float64)
    return np.asarray(table - table.mean(axis=1, keepdims=True) + _MEANS[:, None]).clip(0, 1)


def _quality(noise: Floats, mean: Floats, deviation: float) -> Floats:
    """Scores with the wanted means: between two tabulated distributions the quantiles are interpolated."""
    table = _quality_table(deviation)
    place = (mean - _MEANS[0]) / (_MEANS[1] - _MEANS[0])
    below = np.floor(place).astype(np.int64)
    point: NDArray[np.int64] = (noise * _POINTS).astype(np.int64)
    part = place - below
    return np.asarray(table[below, point] * (1 - part) + table[below + 1, point] * part)
