"""`softlaunch demo`: four releases on this machine, with everything real but the models and their users."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from softlaunch.cli.output import console

if TYPE_CHECKING:
    from softlaunch.cli.demo.scene import Scene
    from softlaunch.installation.stack import Stack
    from softlaunch.releases.views import ReleaseView

_HOME = Path(".softlaunch") / "demo"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    home: Path = typer.Option(_HOME, help="Folder for the demo's ledger, logs and reports; emptied first."),
    look: bool = typer.Option(False, "--look", help="Only open Prefect's UI on the last demo's runs, until Ctrl-C."),
) -> None:
    """Watch four real releases on this machine.

    One candidate is promoted, one is rejected, and two are rolled back: one is slow, and the other only gives worse
    answers, which a simulated judge notices.
    """
    if look:
        _look(home)
    began = time.monotonic()
    from softlaunch.cli.demo.scene import RATE_RPS, SPEED, set_scene
    from softlaunch.installation.stack import Stack

    scene = set_scene(home)
    console.print(
        f"Starting a model provider, a gateway, an evaluator, Prefect, and users ({RATE_RPS:g} requests a second).\n"
        f"Models answer {SPEED:g} times faster than their profiles say: 1 s takes {1000 / SPEED:.0f} ms.",
        highlight=False,
    )
    with Stack(scene.home / "logs", scene.environment) as stack:
        stack.start(scene.prefect)
        stack.start(scene.provider)
        _apply(scene.app_folder)
        stack.start(scene.gateway)
        for service in (scene.provider, scene.gateway):
            stack.await_ready(service)
        _calibrate(scene.labels)
        for service in (scene.traffic, scene.evaluator):
            stack.start(service)
        stack.await_ready(scene.prefect)
        console.print(f"Everything runs; Prefect's UI is at {scene.prefect_url} while it does.", highlight=False)
        views = _play_acts(stack)
    _conclude(scene, views, began)


def _play_acts(stack: "Stack") -> "list[ReleaseView]":
    """One release after the other, as long as everything that was started still runs."""
    from softlaunch.cli.demo.story import ACTS, play

    views = []
    for number, act in enumerate(ACTS, start=1):
        stack.check()
        console.rule(f"{number}. {act.title}", align="left")
        views.append(play(act))
    return views


def _conclude(scene: "Scene", views: "list[ReleaseView]", began: float) -> None:
    """What came of the releases, and where to look next."""
    from softlaunch.cli.demo.story import conclude

    console.rule()
    conclude(views, began)
    console.print(
        f"Reports: {scene.home / 'reports'}\nPrefect's UI on these runs: softlaunch demo --look\n"
        f"Logs: {scene.home / 'logs'}\nYour own app: softlaunch init my-bot --endpoint URL --model ID --key-env NAME",
        highlight=False,
        soft_wrap=True,
    )


def _apply(folder: Path) -> None:
    from softlaunch.catalog.apps import apply
    from softlaunch.cli.ledger import ledger

    with ledger() as database:
        apply(folder, database, "demo")


def _calibrate(labels_file: Path) -> None:
    """Compare the simulated judge with labels, as people's would be: without that it could decide nothing."""
    from softlaunch.catalog.example import EXAMPLE
    from softlaunch.cli.judge import ask_about
    from softlaunch.cli.ledger import ledger
    from softlaunch.evals.judges.labels import Kind, read_labels

    with ledger() as database:
        found, _, _ = ask_about(database, read_labels(labels_file, Kind.HALLUCINATION, {}), EXAMPLE)
    kappa = found.agreement.kappa
    shown = "unknown" if kappa is None else f"{kappa.value:.2f}"
    console.print(
        f"A simulated judge reads answers; against {found.agreement.items} labels that stand in for people's its kappa "
        f"is {shown}.",
        highlight=False,
    )


def _look(home: Path) -> None:
    """Become a Prefect server on the last demo's database."""
    from softlaunch.core.errors import SoftlaunchError

    if not (home / "prefect").is_dir():
        raise SoftlaunchError(f"no demo has run in {home}; run 'softlaunch demo' first")
    console.print("Prefect's UI: http://127.0.0.1:4200 (Ctrl-C ends it)", highlight=False)
    environment = {
        **os.environ,
        "PREFECT_HOME": str((home / "prefect").resolve()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--no-services"]
    os.execve(sys.executable, command, environment)  # noqa: S606  (our own interpreter)
