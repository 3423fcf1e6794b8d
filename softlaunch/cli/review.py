"""`softlaunch review`: shows an eval in the browser, takes votes on its answers, and exports them."""

import socket
import webbrowser
from pathlib import Path
from typing import Annotated

import orjson
import typer
import uvicorn

from softlaunch.cli.actor import who
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import print_text
from softlaunch.core.clock import utc_now
from softlaunch.evals.judges.votes import read_labels
from softlaunch.gateway.http.connections import Connections
from softlaunch.gateway.http.protocol import http_protocol
from softlaunch.gateway.limits import Limits
from softlaunch.reports.eval_page import PageExtras
from softlaunch.reports.pages import write_whole
from softlaunch.reports.reviewing.export import calibration_rows, golden_cases
from softlaunch.reports.reviewing.reviewed import read_reviewed
from softlaunch.reports.reviewing.server import Review, reviewed_page

_HOST = "127.0.0.1"
_CONNECTIONS = 256


def register(app: typer.Typer) -> None:
    """Add `review`."""
    app.command("review")(review)


def review(
    eval_or_app: Annotated[str, typer.Argument(help="The id of an eval, or an app for its newest one.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    page: Annotated[Path | None, typer.Option(help="Write the page to a file instead of serving it.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Write the app's votes for 'judge calibrate'.")] = None,
    golden: Annotated[Path | None, typer.Option(help="Write cases whose better answer people agreed on.")] = None,
) -> None:
    """Review an eval: compare its answers side by side, and vote.

    The page is served to this machine only, until Ctrl-C. Votes are kept in the ledger under your name; --labels and
    --golden export the votes on all evals of the app.
    """
    with ledger() as database:
        reviewed = read_reviewed(database, eval_or_app)
        if labels or golden:
            with database.read() as session:
                votes = read_labels(session, reviewed.app)
            for path, rows in ((labels, calibration_rows(votes)), (golden, golden_cases(votes))):
                if path is not None:
                    lines = [orjson.dumps(row).decode() + "\n" for row in rows]
                    write_whole(path, "".join(lines))
                    print_text(f"{path}: {len(lines)} of {len(votes)} votes' cases")
        elif page is not None:
            write_whole(page, reviewed_page(reviewed, PageExtras(reviewed.reasons, run_id=reviewed.run_id)))
            print_text(f"{page}: {reviewed.report.outcome}")
        else:
            _serve(Review(database, reviewed, who().name, utc_now), port, browser=browser)


def _serve(review: Review, port: int, *, browser: bool) -> None:
    with socket.create_server((_HOST, port)) as listening:
        address = f"http://{_HOST}:{listening.getsockname()[1]}/"
        typer.echo(f"{address} (Ctrl-C ends the review)")
        if browser:
            webbrowser.open(address)
        protocol = http_protocol(Connections(Limits(connections=_CONNECTIONS)))
        config = uvicorn.Config(review.app, http=protocol, ws="none", log_level="error", access_log=False)
        server = uvicorn.Server(config)
        server.run(sockets=[listening])
