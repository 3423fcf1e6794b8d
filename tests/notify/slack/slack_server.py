"""A small Slack on a free port: channels with threads, dialogs, user groups, Socket Mode, and faults on command."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from tests.support.servers import wait_until

CHANNEL = "C0RELEASES"


@dataclass
class FakeSlack:
    """What was posted, and what goes wrong.

    A file is known to blocks once it is shared in the channel, and after `slow_files` messages that wanted it.

    `fault` is applied to calls that write: `down` drops the connection, `lost answer` does what was asked and drops
    it then, `limited` answers 429 with Retry-After 7, and anything else is the error that Slack names.
    """

    url: str = ""
    fault: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    may_read: bool = True
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    takes_files: bool = True
    scopes: str = ""
    slow_files: int = 0
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    _ticks: "count[int]" = field(default_factory=lambda: count(1))
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @property
    def api(self) -> str:
        """The address of the API."""
        return f"{self.url}/api/"

    def called(self, method: str) -> list[dict[str, Any]]:
        """The arguments of every call of a method."""
        return [arguments for name, arguments in self.calls if name == method]

    def texts(self, thread: str | None = None) -> list[str]:
        """The texts in a thread, or of everything in the channel, in order."""
        return [one["text"] for one in self.messages if thread is None or one.get("thread_ts") == thread]

    async def answer(self, request: web.Request) -> web.Response:
        """One call of the API."""
        method = request.match_info["method"]
        arguments = await _arguments(request)
        writes = method in {"chat.postMessage", "chat.update", "views.open", "chat.postEphemeral"}
        if writes and self.fault:
            if self.fault == "limited":
                return web.json_response(
                    {"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "7"}
                )
            if self.fault in {"down", "lost answer"}:
                if self.fault == "lost answer":
                    self._do(method, arguments)
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            if self.fault != "invalid_blocks" or "blocks" in arguments:
                return web.json_response({"ok": False, "error": self.fault})
        told = {"x-oauth-scopes": self.scopes} if self.scopes else {}
        return web.json_response(self._do(method, arguments), headers=told)

    def _do(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((method, arguments))
        known: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": self._read,
            "conversations.replies": self._read,
            "usergroups.users.list": lambda said: {"ok": True, "users": self.groups.get(said["usergroup"], [])},
            "files.getUploadURLExternal": self._place,
            "files.completeUploadExternal": self._share,
            "apps.connections.open": lambda _: {"ok": True, "url": f"ws{self.url.removeprefix('http')}/socket"},
        }
        answer = known.get(method)
        return {"ok": True, "user_id": "U0BOT000", "team": "test"} if answer is None else answer(arguments)

    def _place(self, said: dict[str, Any]) -> dict[str, Any]:
        if not self.takes_files:
            return {"ok": False, "error": "missing_scope", "needed": "files:write"}
        file_id = f"F0PLOT{len(self.files):03d}"
        self.files[file_id] = {"id": file_id, "name": said["filename"], "alt_txt": said.get("alt_txt", "")}
        return {"ok": True, "upload_url": f"{self.url}/upload/{file_id}", "file_id": file_id}

    async def upload(self, request: web.Request) -> web.Response:
        """The content of a file."""
        self.files[request.match_info["file"]]["content"] = await request.read()
        return web.Response(text="OK")

    def _share(self, said: dict[str, Any]) -> dict[str, Any]:
        shared = [self.files[one["id"]] for one in said["files"]]
        told = [{"id": one["id"], "name": one["name"]} for one in shared]
        placed = {"channel": said["channel_id"], "thread_ts": said["thread_ts"], "text": "", "files": told}
        self.messages.append({**placed, "ts": f"1700000000.{next(self._ticks):06d}"})
        return {"ok": True, "files": told}

    def _knows_files(self, blocks: list[dict[str, Any]]) -> bool:
        wanted = [block["slack_file"]["id"] for block in blocks if block["type"] == "image"]
        shared = {file["id"] for message in self.messages for file in message.get("files", [])}
        if wanted and self.slow_files:
            self.slow_files -= 1
            return False
        return set(wanted) <= shared

    def _post(self, said: dict[str, Any]) -> dict[str, Any]:
        message = {**said, "ts": f"1700000000.{next(self._ticks):06d}"}
        self.messages.append(message)
        return {"ok": True, "channel": said["channel"], "ts": message["ts"], "message": message}

    def _update(self, said: dict[str, Any]) -> dict[str, Any]:
        found = next((one for one in self.messages if one["ts"] == said["ts"]), None)
        if found is None:
            return {"ok": False, "error": "message_not_found"}
        if not self._knows_files(said.get("blocks", [])):
            return {"ok": False, "error": "invalid_blocks"}
        found.update(said)
        return {"ok": True, "channel": said["channel"], "ts": said["ts"]}

    def _read(self, said: dict[str, Any]) -> dict[str, Any]:
        if not self.may_read:
            return {"ok": False, "error": "not_allowed_token_type"}
        return {"ok": True, "messages": [one for one in self.messages if one.get("thread_ts") == said.get("ts")]}

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """One connection of Socket Mode."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        await socket.send_str(orjson.dumps({"type": "hello", "num_connections": 1}).decode())
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data.startswith("{"):
                self.acknowledged.append(orjson.loads(message.data)["envelope_id"])
        return socket

    def send(self, envelope: Mapping[str, Any]) -> None:
        """Send an envelope over the newest connection."""
        text = orjson.dumps(envelope).decode()
        asyncio.run_coroutine_threadsafe(self.sockets[-1].send_str(text), self._loop).result(10)

    def interact(self, envelope_id: str, payload: Mapping[str, Any]) -> None:
        """Send what somebody did."""
        self.send(
            {"type": "interactive", "envelope_id": envelope_id, "payload": payload, "accepts_response_payload": True}
        )

    def hang_up(self) -> None:
        """Close the newest connection without a word."""
        asyncio.run_coroutine_threadsafe(self.sockets[-1].close(), self._loop).result(10)


async def _arguments(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        return dict(orjson.loads(await request.read() or b"{}"))
    return {key: _plain(value) for key, value in (await request.post()).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "[{":
        return orjson.loads(value)
    return value


@contextmanager
def running_slack() -> Iterator[FakeSlack]:
    """Slack in a thread with its own event loop."""
    slack = FakeSlack()
    loop = slack._loop
    application = web.Application()
    application.router.add_post("/api/{method}", slack.answer)
    application.router.add_post("/upload/{file}", slack.upload)
    application.router.add_get("/socket", slack.socket)
    runner = web.AppRunner(application, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        slack.url = "http://127.0.0.1:{}".format(*runner.addresses[0][1:])

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    wait_until(lambda: bool(slack.url), "Slack listens")
    try:
        yield slack
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
