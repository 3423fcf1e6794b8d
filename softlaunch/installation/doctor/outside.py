"""What an installation needs of others: its database, a clock that is right, model endpoints, Prefect and Slack."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.formatting import show_duration
from softlaunch.core.variant import ModelVersion
from softlaunch.evals.calls.probe import probe
from softlaunch.installation.doctor.finding import Finding, Level
from softlaunch.notify.slack.credentials import SlackCredentials
from softlaunch.store.database import Database
from softlaunch.store.migrate import VERSION_TABLE

_PATIENCE_SECONDS = 4.0
_MOST_SKEW_SECONDS = 30.0
_DEPLOYMENT = "deployments/name/release/release"


def check_ledger(database: Database, where: str) -> Finding:
    """Write what is there already."""
    try:
        with database.begin() as session:
            session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = version_num"))  # noqa: S608  (a constant)
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", error)).splitlines()[0]
        advice = "grant this user write access, and check that its disk isn't full"
        return Finding("ledger", Level.PROBLEM, f"{where} isn't writable: {said}", advice)
    return Finding("ledger", Level.OK, f"{where} is writable")


def check_endpoints(app: str, models: Sequence[ModelVersion]) -> Iterator[Finding]:
    """Ask each model for one token."""
    for one in probe(models):
        if one.problem is None:
            yield Finding("endpoint", Level.OK, one.sentence, app=app)
        else:
            yield Finding("endpoint", Level.PROBLEM, one.sentence, "fix models.yaml, then run: softlaunch apply", app)


def check_clock(urls: Sequence[str], now: datetime) -> Finding:
    """Compare this machine's clock with those of the servers that answer; certificates, leases and logs go by it."""
    found = [seconds for seconds in (_skew(url, now) for url in urls) if seconds is not None]
    if not found:
        return Finding("clock", Level.OK, "no server reported the time")
    smallest = min(found, key=abs)
    if abs(smallest) <= _MOST_SKEW_SECONDS:
        return Finding("clock", Level.OK, "this machine's clock agrees with the servers it calls")
    early = "ahead of" if smallest > 0 else "behind"
    said = f"this machine's clock is {show_duration(abs(smallest))} {early} that of the servers it calls"
    return Finding("clock", Level.PROBLEM, said, "set it by NTP: timedatectl set-ntp true")


def _skew(url: str, now: datetime) -> float | None:
    try:
        said = httpx.head(url, timeout=_PATIENCE_SECONDS, follow_redirects=False).headers.get("date")
        return None if said is None else (now - parsedate_to_datetime(said)).total_seconds()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError):
        return None


def check_prefect(api_url: str | None) -> Finding:
    """Whether Prefect is configured, answers, and has the deployments."""
    if api_url is None:
        advice = "for its UI and its workers: softlaunch up, then export PREFECT_API_URL=http://127.0.0.1:4200/api"
        return Finding(
            "prefect", Level.OK, f"Prefect isn't configured, so commands drive their releases themselves ({advice})"
        )
    try:
        status = httpx.get(f"{api_url.rstrip('/')}/{_DEPLOYMENT}", timeout=_PATIENCE_SECONDS).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        advice = (
            "start it (softlaunch up), or fix PREFECT_API_URL; without it: softlaunch release start --without-prefect"
        )
        return Finding("prefect", Level.PROBLEM, f"Prefect at {api_url} can't be reached ({error})", advice)
    match status:
        case 200:
            return Finding("prefect", Level.OK, f"Prefect at {api_url} answers, and has the deployments")
        case 401 | 403:
            advice = "set PREFECT_API_AUTH_STRING to what its server was started with"
            return Finding("prefect", Level.PROBLEM, f"Prefect at {api_url} requires a password", advice)
        case 404:
            advice = "deploy them: softlaunch deploy"
            return Finding("prefect", Level.PROBLEM, f"Prefect at {api_url} doesn't have the deployments", advice)
        case _:
            return Finding("prefect", Level.PROBLEM, f"Prefect at {api_url} answers {status}", "check its server's log")


def check_slack(*, needed: bool) -> Finding:
    """Whether Slack takes the bot's token; `needed` where a policy sends to it."""
    from slack_sdk.errors import SlackApiError

    from softlaunch.notify.slack.client import FILES, web_client

    credentials = SlackCredentials()
    if not needed and credentials.bot_token is None and credentials.bot_token_file is None:
        return Finding("slack", Level.OK, "no app sends to Slack")
    try:
        said = web_client(credentials.need("bot_token"), credentials.api_url).auth_test()
    except SlackApiError as error:
        advice = "reinstall the Slack app, and set SLACK_BOT_TOKEN to its bot token"
        return Finding("slack", Level.PROBLEM, f"Slack refuses the token: {error.response.get('error')}", advice)
    except SoftlaunchError as error:
        return Finding("slack", Level.PROBLEM, "an app sends to Slack, but its token is missing", str(error))
    except OSError as error:
        return Finding("slack", Level.PROBLEM, f"Slack can't be reached ({error})", "check the network, or the proxy")
    scopes = {name.lower(): value for name, value in said.headers.items()}.get("x-oauth-scopes", "")
    if scopes and FILES not in (scope.strip() for scope in scopes.split(",")):
        advice = f"add {FILES} to the app's scopes ('softlaunch slack --manifest'), and reinstall it"
        return Finding("slack", Level.WARNING, f"the Slack app lacks {FILES}: threads have no plots", advice)
    return Finding("slack", Level.OK, "Slack accepts the token")
