"""Each way to start work, on a real Prefect server: form, schedule, event, command line, and what an operator sees."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from softlaunch.ledger.releases import find_latest, find_newest, list_releases, to_release
from softlaunch.policy.release import Release, State
from softlaunch.releases.reconcile import CANCELLED
from softlaunch.simulator.cases import Case
from softlaunch.store.tables import RouteRow
from tests.end_to_end.browser import Form, opened
from tests.support.deployed import (
    PATIENCE,
    Environment,
    Server,
    environment_of,
    prefect,
    running_worker,
    softlaunch,
)
from tests.support.paths import ROOT
from tests.support.providers import quick_profile, running_provider
from tests.support.servers import wait_until
from tests.support.stage import APP, BRIEF, Installation, installation, write_app

pytestmark = [pytest.mark.prefect, pytest.mark.long, pytest.mark.timeout(900)]

CASES = [Case(id=f"c{number}", question=f"What is {number} + 1?", expected=str(number + 1)) for number in range(200)]
MODELS = ("first", "second")


@dataclass
class Site:
    """An installation whose flows are deployed, with a worker."""

    playing: Installation
    environment: Environment
    server: Server
    folder: Path

    def candidate(self) -> tuple[str, str]:
        """The model that serves now, and the other one, which a test may release."""
        with self.playing.database.read() as session:
            served = list_releases(session, APP, 1)
        promoted = [one for one in served if one.state == "promoted"]
        serving = promoted[0].candidate.model.name if promoted else self._stable(served)
        return serving, next(model for model in MODELS if model != serving)

    def _stable(self, served: list[Release]) -> str:
        return served[0].stable.model.name if served else MODELS[0]

    def newest(self) -> Release:
        """The app's newest release."""
        with self.playing.database.read() as session:
            return to_release(session, find_latest(session, APP))

    def opened_from(self, origin: str) -> bool:
        """Whether the newest release was asked for from there."""
        with self.playing.database.read() as session:
            newest = find_newest(session, APP, set(State))
        return newest is not None and newest.opened_from.startswith(origin)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, prefect_environment: dict[str, str]
) -> Iterator[Site]:
    """A provider with two equally good models, a gateway, users, the deployments and a worker."""
    folder = tmp_path_factory.mktemp("site")
    environment = environment_of(prefect_environment, folder)
    shutil.copy(migrated_file, folder / "ledger.db")
    golden = [{"id": case.id, "question": case.question, "expected": case.expected} for case in CASES]
    with ExitStack() as stack:
        provider = stack.enter_context(running_provider(CASES, [quick_profile(model) for model in MODELS]))
        write_app(folder / "app", provider.endpoint, MODELS, golden, BRIEF)
        url = environment["SOFTLAUNCH_DATABASE_URL"]
        playing = stack.enter_context(installation(folder / "app", url, provider, CASES, rate_rps=40))
        softlaunch(environment, "deploy")
        stack.enter_context(running_worker(environment, folder))
        yield Site(playing, environment, Server(environment), folder)


def test_the_form_in_the_ui_releases(site: Site) -> None:
    """Somebody fills the form and submits it; the release runs, and its artifacts show in the run's page."""
    before, after = site.candidate()
    with opened(site.server.ui) as page:
        form = Form(page, site.server.deployment("release/release")["id"])
        form.write("App", APP)
        form.choose("Model (Optional)", "str")
        form.write("Model (Optional)", after)
        form.write("Who (Optional)", "anna")
        form.submit()
        run = site.server.await_completed(f"{APP}: {before} -> {after}")
        assert (site.newest().state, site.newest().opened_by) == ("promoted", "anna")
        page.goto(f"/runs/flow-run/{run['id']}")
        page.get_by_text("Artifacts", exact=True).last.click()
        page.get_by_text(site.newest().id, exact=True).first.click()
        page.get_by_role("heading", name=f"{APP}: promoted").wait_for()


def test_a_schedule_releases(site: Site) -> None:
    """A schedule with parameters of its own makes a run when it is due: here a rehearsal with what serves."""
    soon = datetime.now(UTC) + timedelta(seconds=15)  # a server that is busy then takes the next time, a minute later
    schedule = {"interval": 60, "anchor_date": soon.isoformat(), "timezone": "Europe/Berlin"}
    request = {"app": APP, "changes": {}, "allow_same": True, "actor": "schedule", "origin": "nightly rehearsal"}
    wanted = {"schedule": schedule, "active": True, "parameters": {"request": request}}
    deployment = site.server.deployment("release/release")["id"]
    (made,) = site.server.post(f"/deployments/{deployment}/schedules", [wanted])
    try:
        wait_until(lambda: site.opened_from("nightly"), "the schedule's run has opened a release", PATIENCE)
    finally:
        site.server.delete(f"/deployments/{deployment}/schedules/{made['id']}")
    site.server.await_completed(f"{APP}: rehearsal with {site.newest().stable.label}")
    assert site.newest().state == "promoted"


def test_an_event_releases(site: Site) -> None:
    """What a build or a webhook emits becomes a run with the event's parameters, by the automation that is deployed."""
    before, after = site.candidate()
    payload = orjson.dumps({"app": APP, "changes": {"model": after}, "actor": "build 4711"}).decode()
    emit = ("event", "emit", "softlaunch.release.requested", "--resource-id", f"softlaunch.app.{APP}", "-p", payload)
    prefect(site.environment, *emit)
    wait_until(lambda: site.opened_from("event "), "the event's run has opened a release", PATIENCE)
    site.server.await_completed(f"{APP}: {before} -> {after}")
    assert (site.newest().state, site.newest().opened_by) == ("promoted", "build 4711")


def test_deploying_again_makes_no_second_automation(site: Site) -> None:
    """An event that two automations wait for would ask twice."""
    names = orjson.loads(softlaunch(site.environment, "deploy", "--json"))["automations"]
    found = [one["name"] for one in site.server.post("/automations/filter", {"limit": 200})]
    assert sorted(found) == sorted(names)


def test_prefects_own_command_releases_approves_and_rolls_back(site: Site) -> None:
    """`prefect deployment run` with parameters does what the form does, for all three flows that a person starts.

    While the release waits for a person its progress shows, in one artifact; its log tells the story in few lines.
    """
    before, after = site.candidate()
    (once,) = BRIEF["stages"]
    policy = _policy(site, "asks.yaml", [{**once, "weight_percent": 50}, {**once, "approval": True}])
    request = {"app": APP, "changes": {"model": after}, "policy_file": policy, "actor": "anna"}
    _run(site, "release/release", request)
    wait_until(lambda: site.newest().stages[-1].approval and _is_asked(site), "the release asks", PATIENCE)
    bar = f"{site.newest().id}-1-progress"
    wait_until(lambda: bar in site.server.artifacts(bar), "the progress shows", PATIENCE)
    _run(site, "decide-approval/decide-approval", {"app": APP, "decision": "approve", "actor": "berta"})
    run = site.server.await_completed(f"{APP}: {before} -> {after}")
    assert site.newest().state == "promoted"
    told = site.server.logs_of(run["id"])
    assert any("canary 100 % starts" in line or "canary 50 %" in line for line in told), told
    assert len(told) < 40, told
    _run(site, "rollback/rollback", {"app": APP, "reason": "customers report wrong prices", "actor": "carla"})
    site.server.await_completed(f"{APP}: roll back")
    assert (site.newest().state, site.newest().reason) == ("rolled_back", "customers report wrong prices")


IN_VAIN = """
import orjson
from softlaunch.flows.ab_test import ab_test
from softlaunch.flows.decide_approval import decide_approval
from softlaunch.flows.prompt_drift import drift_next_step, prompt_drift
from softlaunch.flows.release import release, resume_release
from softlaunch.flows.rollback import rollback
from softlaunch.ab.opening import TrialRequest
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.releases.changes import Changes
from softlaunch.approvals.requests import DecisionRequest, RollbackRequest
from softlaunch.core.approvals import ApprovalChoice
asked = [
    (release, ReleaseRequest(app="boot", changes=Changes(model="second"))),
    (release, ReleaseRequest(app="bot", changes=Changes(variant="best"))),
    (resume_release, "bot-4711"),
    (rollback, RollbackRequest(app="boot", reason="it is slow")),
    (decide_approval, DecisionRequest(app="bot", decision=ApprovalChoice.APPROVE, actor="anna")),
    (ab_test, TrialRequest(app="bot", changes=Changes(model="best"))),
    (prompt_drift, "boot"),
    (drift_next_step, "bot"),
]
runs = [flow(parameter, return_state=True).state_details.flow_run_id for flow, parameter in asked]
print(orjson.dumps(runs).decode())
"""
TOLD = [
    "no app 'boot' is recorded; recorded: bot",
    "bot has no variant 'best'; its variants: ",
    "no release 'bot-4711' is recorded; see 'softlaunch release list'",
    "no app 'boot' is recorded; recorded: bot",
    "no approval of bot is pending",
    "no model 'best' is recorded; recorded: first, second",
    "no app 'boot' is recorded; recorded: bot",
    "bot has no finished drift check; run 'softlaunch drift check bot'",
]


def test_a_run_that_cannot_do_what_it_is_asked_says_so_in_plain_words(site: Site) -> None:
    """However a form was filled in, the run fails with what is wrong and what to do, and without a traceback."""
    done = subprocess.run(
        [sys.executable, "-c", IN_VAIN], env=site.environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    for run, words in zip(orjson.loads(done.stdout.splitlines()[-1]), TOLD, strict=True):
        _failed_plainly(site, run, words)


def test_a_second_release_of_an_app_is_told_who_holds_it(site: Site) -> None:
    """A worker's run ends in the same plain words as one in the foreground; the first release goes on."""
    _, after = site.candidate()
    policy = _policy(site, "waits.yaml", [{**BRIEF["stages"][0], "approval": True}])
    request = {"app": APP, "changes": {"model": after}, "policy_file": policy, "actor": "anna"}
    _run(site, "release/release", {**request, "origin": "the first form"})
    wait_until(lambda: site.opened_from("the first") and _is_asked(site), "the first release asks", PATIENCE)
    deployment = site.server.deployment("release/release")["id"]
    second = {"parameters": {"request": {**request, "actor": "berta"}}, "state": {"type": "SCHEDULED"}}
    run = site.server.post(f"/deployments/{deployment}/create_flow_run", second)["id"]
    wait_until(lambda: site.server.get(f"/flow_runs/{run}")["state_type"] == "FAILED", "the second fails", PATIENCE)
    _failed_plainly(site, run, f"{APP} has a live release: {site.newest().id} (evaluating), opened by anna")
    assert site.newest().state.live
    softlaunch(site.environment, "release", "abort", APP)


WATCHED = {"weight_percent": 50, "minimum_time": "1 h", "minimum_requests": 20, "deadline": "2 h"}
RELEASE = """
import sys
from softlaunch.flows.release import release
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.releases.changes import Changes
release(ReleaseRequest(app="bot", changes=Changes(model=sys.argv[1]), policy_file=sys.argv[2], origin="a process"))
"""


def test_cancel_in_prefect_takes_the_candidate_back(site: Site) -> None:
    """The worker kills the run, and the scheduled reconcile ends its release in place of resuming it."""
    _, after = site.candidate()
    policy = _policy(site, "watched.yaml", [WATCHED, BRIEF["stages"][0]])
    request = {"app": APP, "changes": {"model": after}, "policy_file": policy, "origin": "the form to cancel"}
    _run(site, "release/release", request)
    wait_until(lambda: site.opened_from("the form to cancel") and _in_canary(site), "users meet it", PATIENCE)
    cancelled = site.newest()
    run = _cancel(site)
    wait_until(lambda: not site.newest().state.live, "the release is over", PATIENCE)
    _ended_by_cancel(site, cancelled)
    wait_until(lambda: site.server.get(f"/flow_runs/{run}")["state_type"] == "CANCELLED", "its run is too", PATIENCE)
    ended = orjson.loads(softlaunch(site.environment, "history", APP, "--json"))[-1]
    assert (ended["event"], ended["by"]) == ("ended", "somebody (prefect)")


def test_cancel_takes_back_what_no_worker_can_kill(site: Site) -> None:
    """A flow in somebody's own process: plain reconcile ends its release, the process ends, the run is over."""
    _, after = site.candidate()
    command = [sys.executable, "-c", RELEASE, after, _policy(site, "watched.yaml", [WATCHED, BRIEF["stages"][0]])]
    flow = subprocess.Popen(command, env=site.environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: site.opened_from("a process") and _in_canary(site), "users meet it", PATIENCE)
        cancelled = site.newest()
        run = _cancel(site)
        softlaunch(site.environment, "reconcile", "--json")
        _ended_by_cancel(site, cancelled)
        wait_until(lambda: flow.poll() is not None, "its process ends by itself", PATIENCE)
        over = {"CANCELLED", "COMPLETED"}  # whoever speaks last: who ended the release, or the flow, which was let end
        wait_until(lambda: site.server.get(f"/flow_runs/{run}")["state_type"] in over, "its run is over", PATIENCE)
    finally:
        flow.kill()
        flow.wait()


def _policy(site: Site, name: str, stages: list[dict[str, Any]]) -> str:
    policy = site.folder / "app" / name
    policy.write_text(yaml.safe_dump({**BRIEF, "stages": stages}), encoding="utf-8")
    return str(policy)


def _in_canary(site: Site) -> bool:
    return site.newest().state is State.CANARY


def _cancel(site: Site) -> str:
    """Do what the button in the UI does to the run that drives the newest release; returns the run's id."""
    run = site.newest().run_url.rsplit("/", 1)[1]
    site.server.post(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    return run


def _ended_by_cancel(site: Site, release: Release) -> None:
    """The release that was live is rolled back, nothing came after it, and stable alone serves."""
    ended = site.newest()
    assert (ended.id, ended.state, ended.reason) == (release.id, "rolled_back", CANCELLED)
    with site.playing.database.read() as session:
        route = session.get_one(RouteRow, APP)
    assert (route.stable_digest, route.weight_percent) == (release.stable.digest, 0)


def _failed_plainly(site: Site, run: str, words: str) -> None:
    """The run's message is the error's, its logs tell it once a task and once for the run, and nothing else."""
    state = site.server.get(f"/flow_runs/{run}")["state"]
    assert (state["type"], state["message"][: len(words)]) == ("FAILED", words)
    wait_until(lambda: len(_ends(site, run)) >= 2, "the run's logs have arrived", PATIENCE)
    told = site.server.logs_of(run)
    assert not [line for line in told if "Traceback" in line or "exception during" in line], told
    assert len(_ends(site, run)) == 2, told


def _ends(site: Site, run: str) -> list[str]:
    return [line for line in site.server.logs_of(run) if line.startswith("Finished in state Failed(")]


def _run(site: Site, deployment: str, request: dict[str, Any]) -> None:
    prefect(site.environment, "deployment", "run", deployment, "--params", orjson.dumps({"request": request}).decode())


def _is_asked(site: Site) -> bool:
    return bool(site.playing.view(site.newest().id).approvals)


def test_every_schedule_makes_runs(site: Site) -> None:
    """What deployments/prefect.yaml schedules is really planned by the server, in the time zone that it names."""
    deployments = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    for deployment in deployments:
        name = f"{deployment['name']}/{deployment['name']}"
        if deployment.get("schedules"):
            wait_until(lambda name=name: _planned(site, name), f"{name} is planned", PATIENCE)


def _planned(site: Site, deployment: str) -> list[dict[str, Any]]:
    return [run for run in site.server.runs_of(deployment) if run["auto_scheduled"]]
