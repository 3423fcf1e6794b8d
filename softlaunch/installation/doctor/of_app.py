"""What an app's release needs, as far as it can be told without asking anybody: nothing here costs or waits."""

import os
from collections import Counter
from collections.abc import Iterator
from math import log, log1p
from pathlib import Path

from sqlmodel import Session

from softlaunch.catalog.records import check_app
from softlaunch.core.endpoint import MissingKeyError, model_headers
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.formatting import show_share
from softlaunch.core.live_metrics import Metric
from softlaunch.core.prices import is_priced
from softlaunch.core.request_outcome import ARM_FAILURES
from softlaunch.core.variant import ModelVersion
from softlaunch.core.verdict import Role
from softlaunch.evals.suites.suite import load_suite
from softlaunch.installation.doctor.finding import Finding, Level
from softlaunch.ledger.gateways import describe_behind, read_gateways
from softlaunch.ledger.outcomes import newest_outcomes
from softlaunch.ledger.traffic_rate import has_traffic, read_unnamed
from softlaunch.policy.load import golden_set_path, load_policy
from softlaunch.policy.model import Policy
from softlaunch.releases.opening import serving_variant

_HEARD_SECONDS = 15.0
_RECENT_SECONDS = 7 * 86400.0
_MOST_UNNAMED = 0.05
_POWER = 0.8
_NEWEST = 500
_MANY_FAILED = 0.05


def check_local(session: Session, app: str, now: float, policy_file: Path | None = None) -> Iterator[Finding]:
    """Check an app's keys, prices, golden set, gateway and traffic, by another policy than its own where one is named.

    Raises NotFoundError for no app, and PolicyError for a policy that can't be used.
    """
    row = check_app(session, app)
    policy = Policy.model_validate(row.policy) if policy_file is None else load_policy(policy_file)
    models = serving_models(session, app)
    for model in models:
        yield _check_key(app, model)
    yield from _check_prices(policy, models)
    yield _check_golden_set(policy, policy_file or Path(row.policy_path), Path(row.policy_path).parent)
    yield _check_gateway(session, policy, now)
    yield _check_traffic(session, policy, now)


def serving_models(session: Session, app: str) -> list[ModelVersion]:
    """The models that answer an app's users: the serving variant's, and its fallbacks'."""
    variant = serving_variant(session, app)
    return [variant.model, *variant.fallbacks]


def _check_key(app: str, model: ModelVersion) -> Finding:
    try:
        model_headers(model, os.environ)
    except MissingKeyError as error:
        advice = f"set {error.variable} here, and where gateways and workers run: export {error.variable}=..."
        return Finding("key", Level.PROBLEM, f"the key of model {model.name} is missing", advice, app)
    said = f"the key of model {model.name} is set" if model.api_key_env else f"model {model.name} needs no key"
    return Finding("key", Level.OK, said, app=app)


def _check_prices(policy: Policy, models: list[ModelVersion]) -> Iterator[Finding]:
    """A cost gate judges only what has a price."""
    role = next((gate.role for gate in policy.gates if gate.metric is Metric.COST), None)
    unpriced = sorted({model.name for model in models if not is_priced(model)}) if role else []
    if unpriced:
        level = Level.PROBLEM if role is Role.REQUIRED else Level.WARNING
        advice = "set input_usd_per_million and output_usd_per_million in models.yaml, or remove the gate on cost"
        yield Finding("price", level, f"the price of {', '.join(unpriced)} is unknown", advice, policy.app)


def _check_golden_set(policy: Policy, policy_path: Path, app_folder: Path) -> Finding:
    if policy.eval.golden_set is None:
        return Finding("golden set", Level.OK, "there is none, so releases start with the shadow", app=policy.app)
    if not policy_path.is_file():
        advice = f"the worker that runs evals needs {policy_path.parent}; check it there"
        return Finding("golden set", Level.WARNING, "its folder isn't on this machine", advice, policy.app)
    try:
        cases = len(load_suite(golden_set_path(policy, policy_path, app_folder)).cases)
    except SoftlaunchError as error:
        return Finding(
            "golden set", Level.PROBLEM, str(error), "fix the file, then run: softlaunch suite check", policy.app
        )
    return _judge_power(policy, cases)


def _judge_power(policy: Policy, cases: int) -> Finding:
    """Whether a golden set can show the tolerance at all; how much its answers vary, only an eval can tell."""
    tolerance = policy.eval.tolerance.value
    needed = fewest_cases(tolerance)
    counted = f"its golden set has {cases} case{'' if cases == 1 else 's'}"
    if cases >= needed:
        return Finding("golden set", Level.OK, f"{counted}, enough for {policy.eval.tolerance}", app=policy.app)
    smallest = 100 * (1 - (1 - _POWER) ** (1 / cases))
    advice = f"add cases until there are {needed}, or widen eval.tolerance to {smallest:.1f} points"
    said = f"{counted}, but detecting a loss of {policy.eval.tolerance} in 4 of 5 evals takes {needed}"
    return Finding("golden set", Level.WARNING, said, advice, policy.app)


def fewest_cases(tolerance: float) -> int:
    """How many cases a golden set needs at least, so that one of them shows a loss of `tolerance` with 80 % power.

    More where answers vary from time to time.
    """
    return 1 if tolerance >= 1 else max(1, -int(-log(1 - _POWER) // log1p(-tolerance)))


def _check_gateway(session: Session, policy: Policy, now: float) -> Finding:
    app = policy.app
    running = read_gateways(session, app, now - _HEARD_SECONDS)
    serving = [one for one in running if one.revision is not None]
    refusing = [one for one in serving if one.problem is not None]
    if refusing:
        said = f"it isn't followed by {describe_behind(refusing, now)}"
        advice = "its runbook says what to do: softlaunch incidents runbook envoy_not_following"
        return Finding("gateway", Level.PROBLEM, said, advice, app)
    if serving:
        return Finding("gateway", Level.OK, f"served by {', '.join(one.name for one in serving)}", app=app)
    if running:
        return Finding("gateway", Level.WARNING, "no gateway has read its route yet", "wait a second", app)
    if policy.router is not None:
        advice = f"start softlaunch envoy control, and an Envoy: softlaunch envoy config {app}"
        return Finding("gateway", Level.PROBLEM, "no Envoy has asked for its weights", advice, app)
    advice = "start one in its own terminal: softlaunch gateway, or softlaunch up"
    return Finding("gateway", Level.PROBLEM, "no gateway is running", advice, app)


def _check_traffic(session: Session, policy: Policy, now: float) -> Finding:
    """Whether there is traffic, and whether it says who asks."""
    app = policy.app
    if not has_traffic(session, app, now - _RECENT_SECONDS):
        advice = (
            f"point your application at the gateway with model={app}, or rehearse: softlaunch rehearse traffic "
            f"--app {app} --questions FILE"
        )
        return Finding("traffic", Level.WARNING, "there were no requests in the last 7 days", advice, app)
    failed = _failed(session, app)
    if failed:
        advice = "find out why: softlaunch release status, the gateway's log, or the endpoint's"
        return Finding("traffic", Level.WARNING, failed, advice, app)
    unnamed = read_unnamed(session, app)
    if unnamed > _MOST_UNNAMED:
        place = policy.unit.header or "x-user-id"
        advice = f"send 'user' in the body or the header {place}; see docs/connect-your-app.md#say-who-asks"
        said = f"{show_share(unnamed)} of the newest requests name no {policy.unit.source}, so their users change arms"
        return Finding("traffic", Level.WARNING, said, advice, app)
    return Finding("traffic", Level.OK, "its requests name their users", app=app)


def _failed(session: Session, app: str) -> str:
    """How many of the newest requests failed and how, where that is more than a few; else empty."""
    outcomes = Counter(newest_outcomes(session, app, _NEWEST))
    failures = {name: count for name, count in outcomes.items() if name in ARM_FAILURES}
    share = sum(failures.values()) / max(outcomes.total(), 1)
    if share <= _MANY_FAILED:
        return ""
    most = ", ".join(sorted(failures, key=lambda name: -failures[name])[:3])
    return f"{show_share(share)} of the newest requests to stable failed ({most})"
