"""The demo's four releases, and what it says about them. Every decision is computed from the traffic."""

import time
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from softlaunch.catalog.example import EXAMPLE
from softlaunch.cli.ledger import ledger
from softlaunch.cli.live import render, showing
from softlaunch.cli.output import console
from softlaunch.core.clock import utc_now
from softlaunch.releases.changes import Changes
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.releases.views import ReleaseView, read_view
from softlaunch.store.tables import ReleaseRow


@dataclass(frozen=True, slots=True)
class Act:
    """One release of the demo: which variant of the example, and what to know about it."""

    variant: str
    title: str


ACTS = (
    Act("improved", "a better prompt on a slightly better model"),
    Act("overloaded", "a model that slows from 1 s to 5 s once half of the users are on it"),
    Act("budget", "a model that is cheaper, faster, and wrong more often"),
    Act("inventive", "a model as fast, cheap and right, that makes things up more often"),
)


def play(act: Act) -> ReleaseView:
    """Run the release flow in this process and show it as it goes."""
    from softlaunch.flows.release import release

    request = ReleaseRequest(app=EXAMPLE, changes=Changes(variant=act.variant), actor="demo", origin="softlaunch demo")
    with ledger() as database:
        with showing(database, EXAMPLE) as screen, screen.following():
            standing = release(request)
        with database.read() as session:
            view = read_view(session, session.get_one(ReleaseRow, standing.release_id), utc_now())
    console.print(render(view))
    return view


def conclude(views: list[ReleaseView], began: float) -> None:
    """What happened, and why."""
    table = Table(
        "candidate", "result", "after", "users who met it", "why", title="What happened", title_justify="left"
    )
    for act, view in zip(ACTS, views, strict=True):
        release = view.release
        lasted = ((release.ended_at or utc_now()) - release.opened_at).total_seconds()
        share = view.exposure.share_of_units
        table.add_row(
            act.title,
            Text(release.state, style="green" if release.state == "promoted" else "red"),
            f"{lasted:.0f} s",
            "none" if not view.exposure.units else f"{view.exposure.units:,} ({(share or 0) * 100:.1f} %)",
            release.reason,
        )
    console.print(table)
    console.print(f"The whole demo took {time.monotonic() - began:.0f} s.")
