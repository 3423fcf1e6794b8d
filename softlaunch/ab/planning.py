"""The plan of an app's next A/B test, from its policy and its own recent traffic."""

import logging
from pathlib import Path

from softlaunch.ab.opening import TrialRequest, measured
from softlaunch.ab.power import TrialPlan, plan_trial
from softlaunch.catalog.records import check_app
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.quantities import Margin
from softlaunch.forecast.measuring import TrafficSource
from softlaunch.forecast.stated import Stated
from softlaunch.policy.ab import AbPolicy
from softlaunch.policy.load import load_policy
from softlaunch.policy.model import Policy
from softlaunch.store.database import Database
from softlaunch.store.tables import RouteRow
from softlaunch.telemetry.request_log import RequestLogTelemetry

_LOGGER = logging.getLogger(__name__)


def foresee_trial(
    database: Database,
    app: str,
    now: float,
    *,
    policy_file: Path | None = None,
    stated: Stated | None = None,
    effect: Margin | None = None,
) -> TrialPlan:
    """What a test will take; `effect` and what is stated take the place of the policy's and of what was measured.

    Raises SoftlaunchError, such as NoTrafficError, with what to do.
    """
    stated_traffic = stated or Stated()
    with database.read() as session:
        row = check_app(session, app)
        policy = Policy.model_validate(row.policy) if policy_file is None else load_policy(policy_file)
        stable = session.get_one(RouteRow, app).stable_digest
        known = set(measured(session, policy, now - policy.ab.maximum_time)) | set(stated_traffic.levels)
    source = TrafficSource(database, RequestLogTelemetry(database), app, stable, now)
    traffic = source.measure(stated_traffic, declared=policy.metrics)
    # what was never rated or scored won't be in the test either; with nothing at all, the plan says so metric by metric
    metrics = tuple(metric for metric in policy.ab.metrics if metric in known) or policy.ab.metrics
    changed = {"metrics": metrics, **({} if effect is None else {"minimum_effect": effect})}
    wanted = AbPolicy.model_validate({**policy.ab.model_dump(), **changed})
    return plan_trial(app, wanted, traffic)


def planned_duration(database: Database, request: TrialRequest, now: float) -> float | None:
    """How long the plan would let a test last; None where too little is known of the traffic to plan."""
    if request.duration is not None:
        return request.duration
    policy_file = None if request.policy_file is None else Path(request.policy_file)
    try:
        return foresee_trial(database, request.app, now, policy_file=policy_file).duration
    except SoftlaunchError:  # opening the test says what is wrong with the request itself
        return None
    except Exception:  # a forecast that fails stops no test: it lasts as long as its policy says
        _LOGGER.warning("the plan of the test could not be made; it lasts as long as its policy says", exc_info=True)
        return None
