"""Copies of calls to the other side of a comparison, made by the application behind the user's answer."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from softlaunch.client.call import Call, Variant
from softlaunch.client.drawn import CANDIDATE, CONTROL, SHADOW
from softlaunch.core.request_outcome import GIVEN
from softlaunch.core.split import is_sampled

Replay = Callable[[Variant, Any], object]
"""Asks a variant what a request asked; it records the call by `variant.call()`."""
_LOGGER = logging.getLogger(__name__)
_THREADS = 2
_WAITING = 64


class Copying:
    """Makes copies in a few threads; those that find too many before them are left out and counted."""

    def __init__(self, replay: Replay, *, allowed: bool | None = None) -> None:
        self._replay = replay
        self._allowed = allowed
        self.left_out = 0
        self.forget()

    def forget(self) -> None:
        """Be as a fork of the process has to be: without its threads, and without what they had to do."""
        self._waiting: deque[tuple[Variant, Any]] = deque()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def consider(self, call: Call) -> None:
        """Make the copies that the route asks for of this call, if any and if they may be made."""
        for arm in self._arms(call):
            variant = call.variant.copy(arm, call.reference)
            if variant is not None:
                self._put(variant, call.request)

    def close(self) -> None:
        """Make no more; those under way are left to themselves."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _arms(self, call: Call) -> tuple[str, ...]:
        """As gateways choose them, by the same sample of the same ids; nothing is copied that had no answer."""
        route = call.variant.route
        may = route.texts_kept if self._allowed is None else self._allowed
        if not may or call.request is None or call.outcome not in GIVEN or not route.is_live:
            return ()
        is_control = is_sampled(call.id, route.control_percent)
        if call.variant.arm == CANDIDATE:
            return (CONTROL,) if is_control else ()
        if call.variant.weight_percent != route.weight_percent or not is_sampled(call.id, route.shadow_percent):
            return ()
        return (SHADOW, CONTROL) if is_control else (SHADOW,)

    def _put(self, variant: Variant, request: Any) -> None:
        with self._changed:
            if self._closed or len(self._waiting) >= _WAITING:
                self.left_out += 1
                return
            self._waiting.append((variant, request))
            if len(self._threads) < min(_THREADS, len(self._waiting) + 1):
                thread = threading.Thread(target=self._run, name="softlaunch-copies", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                variant, request = self._waiting.popleft()
            try:
                self._replay(variant, request)
            except Exception as error:
                _LOGGER.debug("a copy to the arm %s failed: %s", variant.arm, error)
