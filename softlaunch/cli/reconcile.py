"""`softlaunch reconcile`: monitor releases without a driver, without Prefect."""

import threading
from collections.abc import Collection
from contextlib import nullcontext
from datetime import timedelta
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from softlaunch.cli.actor import who
from softlaunch.cli.ledger import ledger
from softlaunch.cli.model_checks import ModelMonitor
from softlaunch.cli.output import JSON_OPTION, console, errors, print_json
from softlaunch.cli.prefect_api import prefect_configured
from softlaunch.core.clock import utc_now
from softlaunch.core.ending import set_at_the_end
from softlaunch.core.settings import Settings
from softlaunch.core.visible import one_line
from softlaunch.ledger.losses import LossWatch, counters_folder
from softlaunch.ledger.releases import Actor, read_release
from softlaunch.ledger.texts import TextSweep
from softlaunch.notify.senders import delivering
from softlaunch.releases.orphans import Remedy
from softlaunch.releases.provider_watch import watch_providers
from softlaunch.releases.reconcile import Finding, Reconciler
from softlaunch.releases.rollback_watch import watch_rollbacks
from softlaunch.store.database import Database
from softlaunch.store.ledger_file import describe_fault


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile")(reconcile)


def reconcile(
    watch: Annotated[bool, typer.Option("--watch", help="Keep running, and check repeatedly.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two checks, with --watch.")] = 15.0,
    patience: Annotated[
        float, typer.Option(min=0, help="Skip releases whose driver was active within this many seconds.")
    ] = 0.0,
    json: bool = JSON_OPTION,
) -> None:
    """Resume releases whose driver has stopped.

    Each release is driven to its end in this process, or rolled back if its policy says so or its run was cancelled in
    the Prefect that PREFECT_API_URL names. The command also reports gateways that don't follow a rollback and providers
    that don't answer, starts what follows a promotion (the policy's topline), and deletes users' texts that have
    expired. It doesn't need Prefect, and you can run any number of these processes at once. With --watch it also checks
    every minute whether the providers' models have changed, and updates the aliases in the registry that
    SOFTLAUNCH_MODEL_REGISTRY names.
    """
    with ledger() as database:
        if watch:
            _stay(database, every, patience)
            return
        settled = _Settled(database, patience, quiet=json)
        with nullcontext() if json else delivering(database, _print):
            found = settled.look()
            settled.check_providers()
            if not json:
                _print_found(found)
            settled.controllers.wait()
        _conclude(database, found, json)


class _Settled:
    """A reconciler and the releases that it resumes."""

    def __init__(self, database: Database, patience: float, *, quiet: bool) -> None:
        from softlaunch.releases.controller import Controller, Controllers
        from softlaunch.wiring import build_driver

        settings = Settings()
        self._database = database
        self._patience = patience
        self._quiet = quiet
        by = Actor("reconcile", who().origin)
        ttl = timedelta(seconds=settings.driver_seconds)
        self._reconciler = Reconciler(database, by, ttl, cancelled=self._cancelled)
        self._losses = LossWatch(database, counters_folder(database, settings.home))
        self._texts = TextSweep(database)
        self._prefect_silent = False
        controller = Controller(
            build_driver(database, "reconcile"),
            settings.poll_seconds,
            report=lambda step: None if quiet else _print_timed(f"{step.release_id} {step.stage}: {step.message}."),
            warn=_warn,
        )
        self.controllers = Controllers(controller)

    def look(self) -> tuple[Finding, ...]:
        """One pass; what is to be resumed is under way when this returns."""
        found = self._reconciler.run(self._patience)
        for loss in self._losses.look(utc_now().timestamp()):
            _warn(f"{loss.sentence}.")
        self._report(watch_rollbacks(self._database, utc_now()))
        self._texts.look(utc_now().timestamp())
        for finding in found:
            if finding.remedy is Remedy.RESUME:
                self.controllers.begin(finding.release_id)
        ended = [finding.cancelled_run for finding in found if finding.cancelled_run]
        if ended:
            from softlaunch.tasks.runs import show_cancelled

            show_cancelled(ended, _warn)
        return found

    def check_providers(self) -> None:
        """Whether stable's providers answer, for a single pass; who stays has it among the upkeep of each minute."""
        self._report(watch_providers(self._database, utc_now()))

    def _report(self, changes: list[tuple[str, bool]]) -> None:
        for sentence, worse in changes:
            if worse:
                _warn(sentence)
            elif not self._quiet:
                _print_timed(sentence)

    def _cancelled(self, runs: Collection[str]) -> Collection[str]:
        """Of these runs, those that a person cancelled; an outage of Prefect is reported once."""
        if not prefect_configured():
            return ()
        from softlaunch.tasks.runs import cancelled_runs

        problems: list[str] = []
        found = cancelled_runs(runs, problems.append)
        if problems and not self._prefect_silent:
            _warn(f"{problems[0]}; those without a driver are resumed")
        self._prefect_silent = bool(problems)
        return found


def _stay(database: Database, every: float, patience: float) -> None:
    """Check repeatedly until SIGINT or SIGTERM, also while the ledger can't be reached."""
    over = threading.Event()
    set_at_the_end(over)
    settled = _Settled(database, patience, quiet=False)
    _print_timed(f"Checking for releases without a driver every {every:g} s.")
    unreachable = False
    with delivering(database, _print), ModelMonitor(database, _print_timed, _warn):
        while not over.is_set():
            try:
                _print_found(settled.look(), quiet=True)
                unreachable = False
            except SQLAlchemyError as error:
                if not unreachable:
                    _warn(f"{describe_fault(error)}; trying on")
                unreachable = True
            over.wait(every)
    settled.controllers.stop()


def _print_found(found: tuple[Finding, ...], *, quiet: bool = False) -> None:
    for finding in found:
        _print_timed(finding.sentence)
    if not found and not quiet:
        _print_timed("Every live release has a driver.")


def _conclude(database: Database, found: tuple[Finding, ...], json: bool) -> None:
    with database.read() as session:
        ended = [(finding, read_release(session, finding.release_id)) for finding in found]
    if not json:
        for finding, release in ended:
            _print_timed(one_line(f"{finding.release_id} is {release.state}: {release.reason}."))
        return
    print_json(
        [
            {
                "release_id": finding.release_id,
                "app": finding.app,
                "stage": finding.stage,
                "last_driver": finding.holder or None,
                "silent_seconds": finding.silent_seconds,
                "remedy": finding.remedy,
                "reason": finding.reason,
                "state": release.state,
                "outcome": release.outcome,
            }
            for finding, release in ended
        ]
    )


def _print_timed(text: str) -> None:
    _print(f"[{utc_now():%H:%M:%S}] {text}")


def _print(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _warn(text: str) -> None:
    errors.print(f"softlaunch: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)
