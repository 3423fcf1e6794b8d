"""Socket Mode: Slack sends clicks over a connection that we open, so nothing of ours need be reachable."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from slack_sdk import WebClient
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

_LOGGER = logging.getLogger(__name__)
_REMEMBERED = 2000


class Seen:
    """Remembers the newest keys; safe to be used by several threads."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        """Nothing was seen yet."""
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._most = most
        self._lock = threading.Lock()

    def first(self, key: str) -> bool:
        """Whether a key is new."""
        with self._lock:
            if key in self._keys:
                return False
            self._keys[key] = None
            while len(self._keys) > self._most:
                self._keys.popitem(last=False)
            return True


class SocketListener:
    """Keeps a connection to Slack; acknowledges every envelope at once, and hands each on once.

    Slack asks to reconnect every now and then, and sends an envelope again whose acknowledgement it missed.
    """

    def __init__(self, app_token: str, web: WebClient, handle: Callable[[Mapping[str, Any]], None]) -> None:
        """Connects in `start`."""
        self._handle = handle
        self._seen = Seen()
        self._client = SocketModeClient(app_token, web_client=web, logger=_LOGGER, concurrency=4)
        self._client.socket_mode_request_listeners.append(self._received)

    def start(self) -> None:
        """Connect; raises SlackClientError or OSError when that fails. Reconnects by itself afterwards."""
        self._client.connect()

    @property
    def connected(self) -> bool:
        """Whether clicks would arrive now."""
        return bool(self._client.is_connected())

    def stop(self) -> None:
        """Leave, after what is under way."""
        self._client.close()

    def _received(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        if request.type == "interactive" and self._seen.first(request.envelope_id):
            self._handle(request.payload)
