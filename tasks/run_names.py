"""How Prefect's lists show the run of a release: its name and tags, which say what became of it or what it waits for.

The name of a run's final state stays Completed: events are named after it, and whoever waits for Completed (our own
automation for silent runs among them) would wait for good. So the outcome is in the state's message, in the run's name
and in a tag, by which lists can be filtered.
"""

import logging
from collections.abc import Iterable
from typing import cast
from uuid import UUID

from prefect import runtime
from prefect.states import Completed

from softlaunch.core.clock import utc_now
from softlaunch.core.visible import one_line
from softlaunch.releases.views import ReleaseView, read_view
from softlaunch.releases.wording import tell_state
from softlaunch.store.tables import ReleaseRow
from softlaunch.tasks.ledger import Standing, ledger
from softlaunch.tasks.runs import asking

_LOGGER = logging.getLogger(__name__)
_LONGEST = 200
_WAITING = "WAITS FOR YOU | "
_AND = " | "
WAITS, FROZEN = "waits-for-a-person", "frozen"


def conclude(stage: Standing) -> Standing:
    """What a flow that drove a release returns: its final state, whose message tells the outcome.

    Prefect hands the standing in it on to whoever called the flow. The run is named by the outcome, too.
    """
    told = show_run(stage.release_id)
    if stage.state.live:
        told = f"somebody else drives it now: {told}"
    return cast("Standing", Completed(message=told, data=stage))


def show_run(release_id: str) -> str:
    """Name and tag this run by how its release stands, where Prefect answers soon; returns that in words."""
    with ledger() as database, database.read() as session:
        view = read_view(session, session.get_one(ReleaseRow, release_id), utc_now())
    told = one_line(tell_state(view))
    run = runtime.flow_run.id
    if run:
        _show(run, view, told)
    return told


def run_name(called: str, view: ReleaseView, told: str) -> str:
    """The name of a run that was `called` so.

    What waits for a person says so first; what is over ends with how, and what a freeze is on with until when.
    """
    name = called.removeprefix(_WAITING).partition(_AND)[0]
    if view.approvals:
        name = f"{_WAITING}{name}"
    elif not view.release.state.live:
        name = f"{name}{_AND}{told}"
    elif view.frozen is not None:
        name = f"{name}{_AND}{one_line(view.frozen.words)}"
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 2]} …"


def run_tag(view: ReleaseView) -> str:
    """`rolled-back`, `promoted`, `waits-for-a-person`, `frozen`; empty while a release is simply under way."""
    if view.approvals:
        return WAITS
    if view.frozen is not None:
        return FROZEN
    return "" if view.release.state.live else view.release.state.value.replace("_", "-")


def _show(run: str, view: ReleaseView, told: str) -> None:
    """Give a run its name, and a tag in place of one that is over; a Prefect that is away is left alone."""
    with asking(lambda text: _LOGGER.debug("%s", text), "doesn't take a run's name") as client:
        found = client.read_flow_run(UUID(run))
        name, tags = run_name(found.name, view, told), _with(found.tags, run_tag(view))
        client.update_flow_run(UUID(run), name=name, tags=tags)


def _with(tags: Iterable[str], tag: str) -> list[str]:
    return [*(one for one in tags if one not in {WAITS, FROZEN, tag}), *([tag] if tag else [])]
