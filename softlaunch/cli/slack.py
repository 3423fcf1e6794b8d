"""`softlaunch slack`: handles clicks in Slack, and sends notifications."""

import logging
import threading
from typing import Annotated

import typer

from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import console, errors
from softlaunch.core.clock import utc_now
from softlaunch.core.ending import set_at_the_end
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.logs import in_words
from softlaunch.notify.senders import delivering
from softlaunch.store.database import Database

_CONNECTIONS = 512
_MANIFEST = """display_information:
  name: softlaunch
features:
  bot_user: {display_name: softlaunch, always_online: true}
oauth_config:
  scopes:
    bot: [chat:write, channels:history, files:write, groups:history, usergroups:read]
settings:
  interactivity: {is_enabled: true}
  socket_mode_enabled: true
"""


class SlackStartError(SoftlaunchError):
    """Slack can't be listened to."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("slack")(slack)


def slack(
    http: Annotated[bool, typer.Option("--http", help="Serve a signed endpoint instead of Socket Mode.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on, with --http.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port, 0 for a free one, with --http.")] = 8810,
    manifest: Annotated[bool, typer.Option("--manifest", help="Print the Slack app's manifest and exit.")] = False,
) -> None:
    """Handle clicks in Slack, and send notifications.

    The command runs until Ctrl-C. It needs SLACK_BOT_TOKEN and, for Socket Mode, SLACK_APP_TOKEN; with --http it needs
    SLACK_SIGNING_SECRET instead. Each may be in a file that SLACK_..._FILE names. With --http, Slack's request URL is
    https://YOUR-HOST/slack/interactions.
    """
    if manifest:
        typer.echo(_MANIFEST, nl=False)
        return
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with ledger() as database, delivering(database, _print):
        _serve(database, host, port) if http else _listen(database)


def _listen(database: Database) -> None:
    """Stay connected until SIGINT or SIGTERM."""
    from slack_sdk.errors import SlackClientError

    from softlaunch.cli.starting import launch_release
    from softlaunch.inbound.slack.clicks import Clicks
    from softlaunch.inbound.slack.sockets import SocketListener
    from softlaunch.notify.slack.client import web_client
    from softlaunch.notify.slack.credentials import SlackCredentials

    credentials = SlackCredentials()
    web = web_client(credentials.need("bot_token"), credentials.api_url)
    listener = SocketListener(credentials.need("app_token"), web, Clicks(database, web, launch_release).handle)
    over = threading.Event()
    set_at_the_end(over)
    try:
        listener.start()
    except (SlackClientError, OSError) as error:
        listener.stop()
        raise SlackStartError(
            f"Slack can't be reached: {in_words(error)}; check SLACK_APP_TOKEN, and that Socket Mode is on for the app"
        ) from error
    _print("Listening to Slack over Socket Mode; Ctrl-C ends it.")
    over.wait()
    listener.stop()


def _serve(database: Database, host: str, port: int) -> None:
    """Serve the signed endpoint until SIGINT or SIGTERM."""
    import uvicorn

    from softlaunch.cli.starting import launch_release
    from softlaunch.gateway.http.connections import Connections
    from softlaunch.gateway.http.protocol import http_protocol
    from softlaunch.gateway.limits import Limits
    from softlaunch.inbound.slack.clicks import Clicks
    from softlaunch.inbound.slack.endpoint import PATH, Interactions, build_endpoint
    from softlaunch.ledger.replays import is_first
    from softlaunch.notify.slack.client import web_client
    from softlaunch.notify.slack.credentials import SlackCredentials

    credentials = SlackCredentials()
    web = web_client(credentials.need("bot_token"), credentials.api_url)
    secret, clicks = credentials.need("signing_secret"), Clicks(database, web, launch_release)
    interactions = Interactions(secret, clicks.handle, lambda signature: is_first(database, signature, utc_now()))
    config = uvicorn.Config(
        build_endpoint(interactions),
        host=host,
        port=port,
        http=http_protocol(Connections(Limits(connections=_CONNECTIONS))),
        ws="none",
        log_level="warning",
        access_log=False,
    )
    server = uvicorn.Server(config)
    errors.print(f"Serving http://{host}:{port}{PATH}; Ctrl-C ends it.", style="dim", highlight=False)
    server.run()


def _print(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
