"""Who takes which message of this installation, and a sender that works in the background."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from sqlalchemy.exc import SQLAlchemyError

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings
from softlaunch.notify.console import ConsoleChat
from softlaunch.notify.delivery import Delivered, Router, Sender
from softlaunch.notify.interface import Chat, Receiver, ReceiverError
from softlaunch.notify.links import Links
from softlaunch.notify.webhook import SignedWebhook, SilentWebhook
from softlaunch.policy.model import Policy
from softlaunch.policy.people import ChatKind
from softlaunch.store.database import Database

_LOGGER = logging.getLogger(__name__)
_PAUSE_SECONDS = 2.0
_LAST_WORDS_SECONDS = 5.0


class InstalledDesk(Router):
    """the router of this installation; `write` takes the lines of apps that have no chat."""

    def __init__(self, settings: Settings, write: Callable[[str], None]) -> None:
        """Secrets are read when the first message needs them."""
        self._links = Links.of(settings)
        self._console = ConsoleChat(write)
        self._webhook = _webhook(settings, self._links)
        self._slack = cache(self._open_slack)

    def chat(self, policy: Policy | None) -> Chat:
        """The chat of an app's people."""
        if policy is None or policy.chat is ChatKind.CONSOLE or policy.slack is None:
            return self._console
        return self._slack(policy.slack.channel)

    def webhook(self) -> Receiver:
        """The receiver of every incident."""
        return self._webhook

    def _open_slack(self, channel: str) -> Chat:
        from softlaunch.notify.slack.client import SlackChat, web_client
        from softlaunch.notify.slack.credentials import SlackCredentials

        credentials = SlackCredentials()
        try:
            token = credentials.need("bot_token")
        except SoftlaunchError as error:
            raise ReceiverError(str(error), sure=True, retry_after=30) from error
        return SlackChat(web_client(token, credentials.api_url), channel, self._links)


def _webhook(settings: Settings, links: Links) -> Receiver:
    if settings.webhook_url is None:
        return SilentWebhook()
    if settings.webhook_secret is None:
        raise SoftlaunchError("SOFTLAUNCH_WEBHOOK_URL is set, but SOFTLAUNCH_WEBHOOK_SECRET, which signs, is not")
    return SignedWebhook(settings.webhook_url, settings.webhook_secret, settings.webhook_routing_key, links)


def deliver(database: Database, write: Callable[[str], None], seconds: float = 20.0) -> Delivered:
    """Send what waits, for at most about this long."""
    return Sender(database, InstalledDesk(Settings(), write)).run(seconds)


@contextmanager
def delivering(database: Database, write: Callable[[str], None]) -> Iterator[None]:
    """Send messages in the background while the block works, and a last time afterwards; never delays the block.

    What can't be sent waits in the ledger for the next sender.
    """
    done = threading.Event()
    sender = Sender(database, InstalledDesk(Settings(), write))

    def work() -> None:
        while not done.wait(_PAUSE_SECONDS):
            _round(sender)
        _round(sender, _LAST_WORDS_SECONDS)

    thread = threading.Thread(target=work, name="messages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(2 * _LAST_WORDS_SECONDS)


def _round(sender: Sender, seconds: float = 20.0) -> None:
    try:
        for problem in sender.run(seconds).problems:
            _LOGGER.warning("messages wait: %s", problem)
    except SQLAlchemyError as error:
        _LOGGER.warning("the outbox can't be read: %s", type(error).__name__)
