"""From evidence to time and people: what so many compared users mean in a stage, on some traffic."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.gate_paths import StoppingTimes
from softlaunch.forecast.sessions import SessionTraffic
from softlaunch.forecast.traffic import Traffic
from softlaunch.gates.observations import Floats
from softlaunch.policy.release import Stage


@dataclass(frozen=True, slots=True)
class StageClock:
    """Turns candidate units into time and exposure in one stage; `sessions` are of the gates that count them there."""

    stage: Stage
    traffic: Traffic
    sessions: Mapping[Metric, SessionTraffic] = field(default_factory=dict)

    @property
    def on_copies(self) -> bool:
        """Whether what is compared are copies."""
        return not 0 < self.stage.weight_percent < 100

    def _compared_per_second(self, metric: Metric) -> float:
        share = self.sessions[metric].share if metric in self.sessions else self.traffic.shares.get(metric, 1.0)
        seen = self.traffic.requests_per_second * share
        copied = (self.stage.shadow_percent or self.stage.control_percent) / 100
        return seen * copied if self.on_copies else seen

    def seconds(self, metric: Metric, units: Floats) -> Floats:
        """Time until so many of the candidate's units were compared in a metric."""
        everybody = units if self.on_copies else units / self.stage.candidate_share
        requests = self.traffic.users.needed(everybody)
        return np.asarray(requests / max(self._compared_per_second(metric), 1e-12))

    def passes(self, metric: Metric, times: StoppingTimes) -> Floats:
        """Time until a gate passes."""
        seconds = self.seconds(metric, times.passes)
        return seconds if times.visits_fail is None else seconds + self._until_over(metric)

    def fails(self, metric: Metric, times: StoppingTimes) -> Floats:
        """Time until a gate fails, by whichever way is the first to show harm."""
        seconds = self.seconds(metric, times.fails)
        if times.visits_fail is None:
            return seconds
        if metric in self.sessions:
            seconds = seconds + self._until_over(metric)
        return np.minimum(seconds, self.seconds(metric, times.visits_fail) + self._until_over(metric))

    def _until_over(self, metric: Metric) -> float:
        """Seconds until what a user began is over, a session or a visit."""
        return self.sessions[metric].seconds if metric in self.sessions else self.traffic.habits.visit_seconds

    def units_per_look(self, metric: Metric, look_seconds: float) -> float:
        """Candidate units between two looks; infinite on copies, which come in pairs."""
        if self.on_copies:
            return inf
        requests = self._compared_per_second(metric) * look_seconds * self.stage.candidate_share
        each = self.sessions[metric].requests if metric in self.sessions else self.traffic.habits.requests_per_visit
        return requests / each

    @property
    def people(self) -> float:
        """How many users the candidate can ever meet in this stage; infinite where others keep coming."""
        users = self.traffic.habits.regular_users
        return inf if users is None or self.on_copies else users * self.stage.candidate_share

    @property
    def seconds_to_minimum_requests(self) -> float:
        """Time until the smaller arm has as many requests as the stage wants."""
        share = self.stage.candidate_share
        smaller = 1.0 if self.on_copies else min(share, 1 - share)
        return self.stage.minimum_requests / max(smaller * self._compared_per_second(Metric.ERRORS), 1e-12)

    @property
    def seconds_to_minimum_units(self) -> float:
        """Time until the smaller arm has as many units as the stage wants."""
        share = self.stage.candidate_share
        candidates = self.stage.minimum_units * share / min(share, 1 - share)
        return float(self.seconds(Metric.ERRORS, np.array(candidates))) if candidates else 0.0

    @property
    def deadline(self) -> float:
        """Time until the first of the stage's deadlines; infinite without any."""
        ends = [inf if self.stage.deadline is None else self.stage.deadline]
        if self.stage.deadline_units is not None:
            ends.append(float(self.seconds(Metric.ERRORS, np.array(float(self.stage.deadline_units)))))
        if self.stage.deadline_requests is not None:
            share = 1.0 if self.on_copies else self.stage.candidate_share
            ends.append(self.stage.deadline_requests / max(share * self._compared_per_second(Metric.ERRORS), 1e-12))
        return min(ends)

    def requests(self, seconds: Floats) -> Floats:
        """Requests of users that the candidate answers in a time."""
        return np.asarray(seconds * self.traffic.requests_per_second * self.stage.weight_percent / 100)

    def users(self, seconds: Floats) -> Floats:
        """Users that the candidate answers in a time."""
        if not self.stage.weight_percent:
            return np.zeros_like(seconds)
        among = self.traffic.users.among(seconds * self.traffic.requests_per_second)
        return np.asarray(among * self.stage.weight_percent / 100)
