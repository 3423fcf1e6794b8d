"""`softlaunch plan`: how long a release will take, what its gates will catch, and who will see that."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli import traffic_options
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, errors, print_json, print_table, print_text, working
from softlaunch.core.errors import NotFoundError, SoftlaunchError

if TYPE_CHECKING:
    from softlaunch.core.live_metrics import Metric
    from softlaunch.forecast.plans import ReleasePlan
    from softlaunch.forecast.stated import Stated
    from softlaunch.gates.observations import Floats
    from softlaunch.policy.model import Policy
    from softlaunch.store.database import Database


_LOGGER = logging.getLogger(__name__)

_RequestsPerUser = Annotated[float | None, typer.Option(min=1, help="Requests that a user makes in a visit.")]
_RegularUsers = Annotated[
    float | None, typer.Option(min=1, help="The number of users, if the same ones keep coming back.")
]
_UserCorrelation = Annotated[
    float | None, typer.Option(min=0, max=0.95, help="The correlation of a user's requests, 0 to 0.95.")
]
_ErrorRate = Annotated[float | None, typer.Option(min=0, max=1, help="Share of failed requests.")]
_UnusableRate = Annotated[float | None, typer.Option(min=0, max=1, help="Share of unusable answers.")]
_LatencyMs = Annotated[str | None, typer.Option(help="P50/P95 of the latency, such as 900/2500.")]
_CostUsd = Annotated[str | None, typer.Option(help="P50/P95 of a request's cost, such as 0.0002/0.0005.")]
_HallucinationRate = Annotated[float | None, typer.Option(min=0, max=1, help="Share of hallucinated answers.")]
_Rate = Annotated[list[str] | None, typer.Option(metavar="NAME=SHARE", help="Share of answers that a check finds.")]
_Score = Annotated[list[str] | None, typer.Option(metavar="NAME=MEAN", help="Mean of any score.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(plan)


def plan(
    app: Annotated[str, typer.Argument(help="The app, as clients call it.")],
    policy: Annotated[Path | None, typer.Option(help="Another policy file than the app's.")] = None,
    requests_per_hour: traffic_options.RequestsPerHour = None,
    requests_per_user: _RequestsPerUser = None,
    regular_users: _RegularUsers = None,
    user_correlation: _UserCorrelation = None,
    error_rate: _ErrorRate = None,
    unusable_rate: _UnusableRate = None,
    latency_ms: _LatencyMs = None,
    cost_usd: _CostUsd = None,
    rate: _Rate = None,
    quality: traffic_options.Quality = None,
    hallucination_rate: _HallucinationRate = None,
    scored_share: traffic_options.ScoredShare = None,
    satisfaction: traffic_options.Satisfaction = None,
    score: _Score = None,
    rating_share: traffic_options.RatingShare = None,
    json: bool = JSON_OPTION,
) -> None:
    """Forecast a release: duration, detectable harm, exposed users.

    The forecast uses the app's own recent traffic; a value given by an option replaces the measured one.
    """
    from softlaunch.core.live_metrics import SCORED, Metric
    from softlaunch.forecast.stated import Stated

    rates = {
        Metric.ERRORS: error_rate,
        Metric.UNUSABLE: unusable_rate,
        Metric.HALLUCINATION: hallucination_rate,
        Metric.SATISFACTION: satisfaction,
    }
    levels = traffic_options.stated_levels(rates, quality) | _by_name(rate, score) | _spreads(latency_ms, cost_usd)
    shares = traffic_options.stated_shares(
        {Metric.SATISFACTION: rating_share, **dict.fromkeys(SCORED.values(), scored_share)}
    )
    stated = Stated(requests_per_hour, requests_per_user, levels, shares, regular_users, user_correlation)
    _foresee_and_show(app, policy, stated, json=json)


def _foresee_and_show(app: str, policy: Path | None, stated: "Stated", *, json: bool) -> None:
    from softlaunch.cli.suite_power import foresee_app, sentences

    with ledger() as database, working("Simulating the gates on this traffic"):
        planned = foresee(database, app, policy, stated)
        early, freeze = _ahead(_policy_of(database, app, policy), planned.seconds_80)
    page, evaluated, unread = _write(planned), None, ""
    try:
        evaluated = foresee_app(app, policy)
    except SoftlaunchError as error:  # the gates of live traffic are foreseen without a golden set
        unread = str(error)
    if json:
        from softlaunch.evals.foresight_wording import to_json as eval_to_json
        from softlaunch.forecast.wording import to_json

        seen = None if evaluated is None else eval_to_json(evaluated)
        ahead = {"freeze": freeze, "may_advance_early": early}
        print_json({**to_json(planned), "eval": seen, "eval_problem": unread, **ahead, "page": str(page)})
        return
    _show(planned, page)
    if early:
        print_text(
            f"\nApprovers may let these stages end early (softlaunch release advance {app}): {', '.join(early)}."
        )
    if freeze is not None:
        print_text(f"\nFreeze: {freeze}.")
    if evaluated is not None:
        print_text(f"\nThe regression eval before it:\n{sentences(evaluated)}")
    if unread:
        print_text(f"\nThe regression eval before it can't be forecast: {unread}")


def _spreads(latency_ms: str | None, cost_usd: str | None) -> "dict[Metric, Floats]":
    from softlaunch.core.live_metrics import Metric
    from softlaunch.forecast.stated import spread_values

    stated = ((Metric.LATENCY, "--latency-ms", latency_ms), (Metric.COST, "--cost-usd", cost_usd))
    return {metric: spread_values(*_quantiles(option, text)) for metric, option, text in stated if text is not None}


def _by_name(rates: list[str] | None, scores: list[str] | None) -> "dict[Metric, Floats]":
    from softlaunch.core.answer_checks import BITS
    from softlaunch.core.live_metrics import SCORED

    checked = {metric.value: metric for metric in BITS}
    return _named_levels("--rate", rates or (), checked) | _named_levels("--score", scores or (), SCORED)


def _named_levels(option: str, stated: Sequence[str], known: "Mapping[str, Metric]") -> "dict[Metric, Floats]":
    """The levels of metrics that are stated by their names, from `quality=0.9`."""
    from softlaunch.forecast.stated import rate_values, score_values

    levels = {}
    for text in stated:
        name, _, mean = text.partition("=")
        try:
            metric, level = known[name], float(mean)
        except (KeyError, ValueError) as error:
            form = "SHARE" if option == "--rate" else "MEAN"
            raise SoftlaunchError(
                f"{option} is {text!r}; expected NAME={form}, NAME one of {', '.join(known)}"
            ) from error
        levels[metric] = rate_values(level) if metric.is_event else score_values(level)
    return levels


def _quantiles(option: str, text: str) -> tuple[float, float]:
    try:
        median, high = (float(part) for part in text.split("/"))
    except ValueError as error:
        raise SoftlaunchError(f"{option} is {text!r}, expected median and 95th percentile, such as 900/2500") from error
    if not 0 < median < high < float("inf"):
        raise SoftlaunchError(f"{option} is {text!r}: expected 0 < median < 95th percentile, such as 900/2500")
    return median, high


def foresee(
    database: "Database", app: str, policy_file: Path | None = None, stated: "Stated | None" = None
) -> "ReleasePlan":
    """The plan of an app's next release; raises SoftlaunchError, such as NoTrafficError, with what to do."""
    from softlaunch.catalog.records import check_app
    from softlaunch.core.clock import utc_now
    from softlaunch.core.settings import Settings
    from softlaunch.forecast.measuring import TrafficSource
    from softlaunch.forecast.outlook import Planner
    from softlaunch.forecast.stated import Stated
    from softlaunch.policy.load import load_policy
    from softlaunch.policy.model import Policy
    from softlaunch.store.tables import RouteRow
    from softlaunch.telemetry.request_log import RequestLogTelemetry

    with database.read() as session:
        row = check_app(session, app)
        policy = Policy.model_validate(row.policy) if policy_file is None else load_policy(policy_file)
        stable = session.get_one(RouteRow, app).stable_digest
    now = utc_now().timestamp()
    source = TrafficSource(database, RequestLogTelemetry(database), app, stable, now)
    traffic = source.measure(stated or Stated(), policy.gates, policy.metrics)
    return Planner(policy, traffic, Settings().poll_seconds).plan()


def _ahead(policy: "Policy", seconds: float) -> tuple[list[str], str | None]:
    """Which stages of a release approvers may end early, and which freeze would hold one that takes so long."""
    from softlaunch.core.clock import utc_now
    from softlaunch.policy.release import plan as stages_of
    from softlaunch.releases.freezing import foresee_freeze

    early = [stage.name for stage in stages_of(policy) if stage.may_advance_early]
    return early, foresee_freeze(policy, utc_now(), seconds)


def _policy_of(database: "Database", app: str, policy_file: Path | None) -> "Policy":
    """The policy of an app's next release: that of the file, or the recorded one."""
    from softlaunch.catalog.records import check_app
    from softlaunch.policy.load import load_policy
    from softlaunch.policy.model import Policy

    with database.read() as session:
        recorded = check_app(session, app).policy
    return Policy.model_validate(recorded) if policy_file is None else load_policy(policy_file)


def print_freeze_ahead(app: str, policy_file: Path | None) -> None:
    """Warn before a release begins of a freeze that holds it; what is wrong otherwise the release says itself."""
    from softlaunch.core.clock import utc_now
    from softlaunch.releases.freezing import foresee_freeze

    with suppress(SoftlaunchError), ledger() as database:
        freeze = foresee_freeze(_policy_of(database, app, policy_file), utc_now())
        if freeze is not None:
            errors.print(f"Freeze: {freeze}.", style="yellow", markup=False, highlight=False, soft_wrap=True)


def print_outlook(app: str, policy_file: Path | None) -> None:
    """Print in a sentence what a release that is about to begin will take; an outlook that fails stops nothing."""
    from softlaunch.forecast.wording import in_a_sentence

    try:
        with ledger() as database, working("Simulating the gates on this traffic"):
            outlook = in_a_sentence(foresee(database, app, policy_file))
    except NotFoundError:
        return  # the release itself says so in a moment
    except SoftlaunchError as error:
        outlook = f"not known, {error}"
    except Exception as error:  # whatever is wrong with the forecast, the release is what was asked for
        _LOGGER.debug("the forecast failed", exc_info=True)
        outlook = f"missing, it could not be made ({error.__class__.__name__}); the release continues without it"
    errors.print(f"Outlook: {outlook}", style="dim", markup=False, highlight=False, soft_wrap=True)
    _print_eval(app, policy_file)


def _print_eval(app: str, policy_file: Path | None) -> None:
    """Print what the eval that is about to begin can show; what stands in the way of that stops nothing here."""
    from softlaunch.cli.suite_power import foresee_app, sentences

    try:
        evaluated = foresee_app(app, policy_file)
    except Exception as error:  # the release itself says in a moment what is wrong with its golden set
        _LOGGER.debug("the eval can't be foreseen", exc_info=error)
        return
    if evaluated is not None:
        errors.print(f"Eval: {sentences(evaluated)}", style="dim", markup=False, highlight=False, soft_wrap=True)


def _write(planned: "ReleasePlan") -> Path:
    from softlaunch.cli.pages import write_page
    from softlaunch.reports.plan_plot import render_plan

    return write_page(f"{planned.app}-plan.html", render_plan(planned))


def _show(planned: "ReleasePlan", page: Path) -> None:
    from softlaunch.forecast.wording import in_a_sentence, show_users

    print_text(f"{planned.requests_per_hour:,.0f} requests an hour, from {planned.note}. {show_users(planned.users)}\n")
    _show_stages(planned)
    _show_harms(planned)
    _show_let_through(planned)
    for stage in planned.stages:
        if stage.advice:
            print_text(f"\n{stage.name}: {stage.advice}.")
    print_text(f"\nIn all: {in_a_sentence(planned)}\nPlot: {page}")


def _show_stages(planned: "ReleasePlan") -> None:
    from softlaunch.forecast.wording import rows, stage_row

    columns = ("", "passes after (4 in 5)", "candidate requests", "catches 80 %", "95 %")
    cells: list[tuple[str, ...]] = []
    for stage in planned.stages:
        cells.append(stage_row(stage))
        cells.extend((f"  {name}", *rest) for name, *rest in rows(stage))
    print_table("A candidate that is fine, and the smallest harm that is caught", columns, cells)


def _show_harms(planned: "ReleasePlan") -> None:
    from softlaunch.forecast.wording import show_caught

    stages = [stage for stage in planned.stages if stage.weight_percent]
    found: dict[str, dict[str, str]] = {}
    for stage in stages:
        for gate in stage.gates:
            for harm in gate.harms:
                found.setdefault(f"{gate.name} {harm.label}", {})[stage.name] = show_caught(harm)
    if found:
        print_text("\nUsers who see a harm that first shows in a stage, before it is rolled back (how often it is)")
        cells = [(label, *(here.get(stage.name) for stage in stages)) for label, here in found.items()]
        print_table("", ("", *(stage.name for stage in stages)), cells)


def _show_let_through(planned: "ReleasePlan") -> None:
    from softlaunch.forecast.wording import show_let_through

    if planned.let_through:
        print_text("\nHarm that shows from the first stage on, over the whole release")
        for gate in planned.let_through:
            print_text(f"  {gate.name}: {show_let_through(gate)}")
