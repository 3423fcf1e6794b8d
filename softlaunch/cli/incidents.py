"""`softlaunch incidents`: what people must know of, and closing it."""

from typing import Annotated, Any

import typer

from softlaunch.cli.actor import who
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, console, print_json, print_table
from softlaunch.core.clock import utc_now
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.incident_kinds import IncidentKind, read_runbook
from softlaunch.core.settings import Settings
from softlaunch.core.visible import one_line
from softlaunch.ledger.incidents import Recorded, close_incident, list_incidents, read_incident
from softlaunch.notify.links import Links
from softlaunch.releases.wording import verdict_facts

Number = Annotated[int, typer.Argument(help="The incident's number, as the list shows it.")]


class AlreadyResolvedError(SoftlaunchError):
    """The incident was resolved before."""


def register(app: typer.Typer) -> None:
    """Add the group `incidents`."""
    group = typer.Typer(help="Show and resolve incidents, each with its runbook.", invoke_without_command=True)
    group.callback()(overview)
    group.command("list")(list_all)
    group.command("show")(show)
    group.command("resolve")(resolve)
    group.command("runbook")(runbook)
    app.add_typer(group, name="incidents")


def overview(context: typer.Context, json: bool = JSON_OPTION) -> None:
    """List what is open, or show and resolve it."""
    if context.invoked_subcommand is None:
        list_all(json=json)


def list_all(
    app: Annotated[str | None, typer.Argument(help="Only this app.")] = None,
    resolved: Annotated[bool, typer.Option("--all", help="Include resolved incidents.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, newest first.")] = 50,
    json: bool = JSON_OPTION,
) -> None:
    """List incidents, newest first."""
    with ledger() as database, database.read() as session:
        found = list_incidents(session, app, limit, resolved=resolved)
    if json:
        print_json([_json(one) for one in found])
    elif found:
        columns = ("no.", "severity", "kind", "app", "release", "opened (UTC)", "resolved")
        print_table("Incidents", columns, [_row(one) for one in found])
    else:
        console.print("No incident is open." if not resolved else "No incident is recorded.")


def show(number: Number, json: bool = JSON_OPTION) -> None:
    """Show one incident: its evidence, and its runbook."""
    with ledger() as database, database.read() as session:
        found = read_incident(session, number)
    if json:
        print_json(_json(found))
        return
    console.print(f"{found.kind.words} ({found.severity}), incident {found.id}", style="bold", highlight=False)
    for line in (found.summary, *_facts(found)):
        console.print(one_line(line), markup=False, highlight=False, soft_wrap=True)


def resolve(
    number: Number,
    reason: Annotated[str, typer.Option("--reason", help="Why it is resolved; kept in the ledger.")],
    json: bool = JSON_OPTION,
) -> None:
    """Resolve an incident."""
    with ledger() as database, database.begin() as session:
        if not close_incident(session, number, str(who()), reason, utc_now()):
            found = read_incident(session, number)
            raise AlreadyResolvedError(f"incident {number} was resolved by {found.resolved_by}: {found.resolution}")
        found = read_incident(session, number)
    if json:
        print_json(_json(found))
        return
    console.print(one_line(f"Incident {number} is resolved: {reason}"), markup=False, highlight=False)


def runbook(kind: Annotated[IncidentKind, typer.Argument(help="The kind, as the list shows it.")]) -> None:
    """Print the runbook of a kind of incident."""
    console.print(read_runbook(kind), markup=False, highlight=False, soft_wrap=True)


def _row(one: Recorded) -> tuple[object, ...]:
    resolved = None if one.resolved_at is None else f"{one.resolved_at:%Y-%m-%d %H:%M}"
    opened = f"{one.opened_at:%Y-%m-%d %H:%M}"
    return one.id, one.severity, one.kind, one.app or "all", one.release_id, opened, resolved


def _facts(one: Recorded) -> list[str]:
    links = Links.of(Settings())
    facts = [f"  {key}: {value}" for key, value in _evidence(one)]
    facts.append(f"opened {one.opened_at:%Y-%m-%d %H:%M:%S} UTC, reported {_times(one.seen)}")
    if one.resolved_at is not None:
        facts.append(f"resolved {one.resolved_at:%Y-%m-%d %H:%M:%S} UTC by {one.resolved_by}: {one.resolution}")
    if one.release_id is not None:
        facts.append(f"report: {links.report(one.release_id)}")
    facts.append(f"runbook: {links.runbook(one.kind)} (softlaunch incidents runbook {one.kind})")
    return facts


def _evidence(one: Recorded) -> list[tuple[str, Any]]:
    """A gate's figures in their units; whatever else opened an incident, as it was kept."""
    if one.verdict is None:
        return [(key.replace("_", " "), _written(value)) for key, value in one.evidence.items()]
    return [("gate", one.verdict.name), ("reason", one.verdict.reason), *verdict_facts(one.verdict)]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _written(value: Any) -> Any:
    """A value of some evidence: numbers to the digits that tell, also within lists."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return [_written(one) for one in value] if isinstance(value, list) else value


def _json(one: Recorded) -> dict[str, Any]:
    links = Links.of(Settings())
    return {
        "id": one.id,
        "kind": one.kind,
        "severity": one.severity,
        "app": one.app or None,
        "release_id": one.release_id,
        "summary": one.summary,
        "evidence": one.evidence,
        "seen": one.seen,
        "opened_at": one.opened_at,
        "updated_at": one.updated_at,
        "resolved_at": one.resolved_at,
        "resolved_by": one.resolved_by or None,
        "resolution": one.resolution or None,
        "runbook": links.runbook(one.kind),
        "report": None if one.release_id is None else links.report(one.release_id),
    }
