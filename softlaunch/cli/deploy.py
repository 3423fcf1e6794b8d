"""`softlaunch deploy`: put the flows onto a Prefect server."""

import dataclasses

import typer

from softlaunch.cli.output import JSON_OPTION, console, print_json
from softlaunch.cli.prefect_api import prefect_configured, prefect_faults
from softlaunch.core.errors import SoftlaunchError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("deploy")(deploy)


def deploy(json: bool = JSON_OPTION) -> None:
    """Deploy the flows to Prefect.

    They are deployed with their schedules and automations, to the server that PREFECT_API_URL names. You can repeat the
    command: it updates existing deployments. It creates the work pool softlaunch if there is none.
    """
    if not prefect_configured():
        raise SoftlaunchError("no Prefect server is configured; set PREFECT_API_URL, such as http://127.0.0.1:4200/api")
    from softlaunch.installation.deploying import deploy as deploy_everything

    with prefect_faults("release without it: softlaunch release start --without-prefect"):
        done = deploy_everything()
    if json:
        print_json(dataclasses.asdict(done))
        return
    pool = f"work pool {done.pool} ({'made now' if done.pool_made else 'was there'})"
    console.print(f"{done.api}: {pool}, deployments {', '.join(done.deployments)}", markup=False, highlight=False)
    for name in done.automations:
        console.print(f"Automation: {name}", markup=False, highlight=False)
    console.print(f"Start a worker: prefect worker start --pool {done.pool}", markup=False, highlight=False)
