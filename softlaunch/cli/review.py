"""`softlaunch review`: shows an eval in the browser, takes votes on its answers, and exports them."""

import socket
import webbrowser
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
import uvicorn
from starlette.applications import Starlette

from softlaunch.catalog.records import check_app
from softlaunch.cli.actor import who
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import print_text
from softlaunch.core.clock import utc_now
from softlaunch.evals.judges.votes import read_labels
from softlaunch.gateway.http.connections import Connections
from softlaunch.gateway.http.protocol import http_protocol
from softlaunch.gateway.limits import Limits
from softlaunch.ledger.review_draws import Draw, DrawError, draw, labelled, next_answer
from softlaunch.policy.model import Policy
from softlaunch.policy.named_metrics import MetricPolicy
from softlaunch.reports.eval_page import PageExtras
from softlaunch.reports.pages import write_whole
from softlaunch.reports.reviewing.ballot import reviewed_page
from softlaunch.reports.reviewing.export import calibration_rows, golden_cases, random_rows
from softlaunch.reports.reviewing.random_review import RandomReview
from softlaunch.reports.reviewing.reviewed import read_reviewed
from softlaunch.reports.reviewing.server import Review
from softlaunch.store.database import Database

_HOST = "127.0.0.1"
_CONNECTIONS = 256


def register(app: typer.Typer) -> None:
    """Add `review`."""
    app.command("review")(review)


def review(
    eval_or_app: Annotated[str, typer.Argument(help="The id of an eval, or an app for its newest one.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 for a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    page: Annotated[Path | None, typer.Option(help="Write the page to a file instead of serving it.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Write the app's votes for 'judge calibrate'.")] = None,
    golden: Annotated[Path | None, typer.Option(help="Write cases whose better answer people agreed on.")] = None,
    random: Annotated[bool, typer.Option("--random", help="Label randomly drawn live answers.")] = False,
    count: Annotated[int, typer.Option(min=2, help="With --random: how many to draw, half from each arm.")] = 40,
    metric: Annotated[
        str | None, typer.Option(help="With --random: which of the policy's 'drawn' metrics to label.")
    ] = None,
) -> None:
    """Review an eval: compare its answers side by side, and vote.

    The page is served to this machine only, until Ctrl-C. Votes are kept in the ledger under your name; --labels and
    --golden export the votes on all evals of the app.

    With --random, answers of the live release are drawn at random from both arms' kept texts, and labeled without
    showing the arm. A label counts as a value of a metric that the policy declares with 'drawn: true'. New answers are
    drawn once all earlier ones are labeled; --labels writes the existing labels, and draws nothing.
    """
    with ledger() as database:
        if random:
            _review_random(database, eval_or_app, metric, _Drawing(count, labels, port, browser))
            return
        reviewed = read_reviewed(database, eval_or_app)
        if labels or golden:
            with database.read() as session:
                votes = read_labels(session, reviewed.app)
            for path, rows in ((labels, calibration_rows(votes)), (golden, golden_cases(votes))):
                if path is not None:
                    print_text(f"{path}: {_write(path, rows)} of {len(votes)} votes' cases")
        elif page is not None:
            write_whole(page, reviewed_page(reviewed, PageExtras(reviewed.reasons, run_id=reviewed.run_id)))
            print_text(f"{page}: {reviewed.report.outcome}")
        else:
            _serve(Review(database, reviewed, who().name, utc_now).app, port, browser=browser)


@dataclass(frozen=True, slots=True)
class _Drawing:
    """How many answers to draw, a file to write labels to in their place, and where to serve."""

    count: int
    labels: Path | None
    port: int
    browser: bool


def _review_random(database: Database, app: str, named: str | None, drawing: _Drawing) -> None:
    """Draw answers and serve them to be labelled, or write the labels that there are."""
    with database.read() as session:
        metric = _drawn_metric(Policy.model_validate(check_app(session, app).policy), named)
        found = labelled(session, app, metric.name) if drawing.labels else ()
        waiting = next_answer(session, app, metric.name)
    if drawing.labels:
        print_text(f"{drawing.labels}: {_write(drawing.labels, random_rows(found))} labels of answers drawn at random")
        return
    if waiting is None:
        with database.begin() as session:
            asked = Draw(metric.name, drawing.count, utc_now().timestamp(), str(who()))
            print_text(f"drawn: {draw(session, app, asked, np.random.default_rng())} answers")
    else:
        print_text(f"{waiting.left} answers of an earlier draw are still to be labelled; none was drawn")
    review = RandomReview(database, app, metric, who().name, utc_now)
    _serve(review.app, drawing.port, browser=drawing.browser)


def _drawn_metric(policy: Policy, named: str | None) -> MetricPolicy:
    """The metric that is labelled; raises DrawError where the policy doesn't say which."""
    known = {metric.name: metric for metric in policy.metrics if metric.drawn}
    if named is None and len(known) == 1:
        return next(iter(known.values()))
    if named in known:
        return known[named]
    there = ", ".join(known) or "none yet: declare 'metrics: [{name: reviewed, kind: score, better: up, drawn: true}]'"
    raise DrawError(f"name the metric that is labelled with --metric; the policy's drawn metrics are {there}")


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows as JSON lines; returns how many."""
    lines = [orjson.dumps(row).decode() + "\n" for row in rows]
    write_whole(path, "".join(lines))
    return len(lines)


def _serve(page: Starlette, port: int, *, browser: bool) -> None:
    with socket.create_server((_HOST, port)) as listening:
        address = f"http://{_HOST}:{listening.getsockname()[1]}/"
        typer.echo(f"{address} (Ctrl-C ends the review)")
        if browser:
            webbrowser.open(address)
        protocol = http_protocol(Connections(Limits(connections=_CONNECTIONS)))
        config = uvicorn.Config(page, http=protocol, ws="none", log_level="error", access_log=False)
        server = uvicorn.Server(config)
        server.run(sockets=[listening])
