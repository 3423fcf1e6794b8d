"""What a plan draws from where gates are adjusted for what was asked: values as these gates will see them."""

from collections.abc import Sequence

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.first_visits import FirstVisits
from softlaunch.gates.adjustments import Adjustments
from softlaunch.gates.observations import Window
from softlaunch.gates.visits import VisitRule
from softlaunch.policy.gating import GatePolicy


def adjusted_visits(gates: Sequence[GatePolicy], history: Window, *, comes_back: bool) -> dict[Metric, FirstVisits]:
    """Stable's first visits by metric, beside what requests' sizes and streams foretold; none of other gates.

    Where users don't come back a visit is a request. What a unit's own past foretells isn't foreseen: a plan doesn't
    know for how many of the users to come there is one.
    """
    if history.requests is None:
        return {}
    regressions = Adjustments.learn(gates, history.requests).regressions
    requests = Adjustments(regressions).of(history.requests)
    rule = VisitRule.learn(requests)
    columns = {metric: requests.values[metric] for metric in regressions}
    if comes_back:
        return {metric: FirstVisits.of_events(requests, column, rule) for metric, column in columns.items()}
    return {metric: FirstVisits.alone(column[~np.isnan(column)]) for metric, column in columns.items()}
