"""Copies of requests: made when the user has the answer, bounded in number and size; what is too much is dropped."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from softlaunch.gateway.limits import Limits


class Mirrors:
    """The copies under way."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes = 0

    def has_room(self, size: int) -> bool:
        """Whether one more copy, of a body of `size` bytes, may start now."""
        return len(self._tasks) < self._limits.mirrors and self._bytes + size <= self._limits.mirrors_bytes

    def start(self, copy: Coroutine[Any, Any, None], size: int) -> None:
        """Let a copy run by itself."""
        task = asyncio.get_running_loop().create_task(copy)
        self._tasks.add(task)
        self._bytes += size

        def over(ended: asyncio.Task[None]) -> None:
            self._tasks.discard(ended)
            self._bytes -= size

        task.add_done_callback(over)

    async def close(self) -> None:
        """Wait for the copies a bounded time, then end them."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._limits.mirrors_shutdown_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
