"""What takes too long for a page: worked out once beside it, and shown when it is there."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from softlaunch.core.errors import SoftlaunchError

_LOGGER = logging.getLogger(__name__)
_MOST = 500


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of something: its value, or why there is none; neither while it is still worked out."""

    value: Any = None
    problem: str = ""
    known_at: float = 0.0

    @property
    def pending(self) -> bool:
        """Whether nothing is known yet."""
        return self.known_at == 0.0


class Background:
    """Works out values one after the other in a thread of its own, and remembers the newest of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[Hashable, Found] = OrderedDict()
        self._under_way: set[Hashable] = set()
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="console-background")

    def get(self, key: Hashable, work: Callable[[], Any], seconds: float) -> Found:
        """What is known under a key. Nobody knows it, or it is older than `seconds`: it is worked out meanwhile."""
        with self._lock:
            found = self._known.get(key, Found())
            fresh = not found.pending and self._clock() - found.known_at < seconds
            if not fresh and key not in self._under_way and len(self._under_way) < _MOST:
                self._under_way.add(key)
                self._worker.submit(self._work, key, work)
            return found

    def close(self) -> None:
        """Stop; what waits is dropped."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _work(self, key: Hashable, work: Callable[[], Any]) -> None:
        try:
            value, problem = work(), ""
        except SoftlaunchError as error:
            value, problem = None, str(error)
        except Exception as error:  # a page goes without it, whatever is wrong
            _LOGGER.warning("the console could not work something out", exc_info=True)
            value, problem = None, f"it could not be computed ({error.__class__.__name__}); see the console's log"
        with self._lock:
            self._under_way.discard(key)
            self._known[key] = Found(value, problem, max(self._clock(), 1e-9))
            self._known.move_to_end(key)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
