"""A server that is taken out of a load balancer: it serves on for a while, and asks its clients to go elsewhere.

Whoever stops a server tells the load balancer at the same time, or later: requests come for some seconds more, on new
connections and on kept ones. A server that closed its port at once would lose them.
"""

import signal
import time
from dataclasses import dataclass
from types import FrameType

import uvicorn


@dataclass(slots=True)
class Drain:
    """How long a server serves on after SIGTERM, and whether that time has begun."""

    seconds: float = 0.0
    begun: bool = False
    hurried: bool = False
    """Whether nobody wants to wait any longer."""

    @property
    def goes_on(self) -> bool:
        """Whether clients are still given time to go elsewhere."""
        return self.begun and not self.hurried


class DrainingServer(uvicorn.Server):
    """Stops at SIGTERM when the time of its drain is over, and at once at SIGINT or a second SIGTERM."""

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain
        self._ends: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What a signal does; connections learn of it at the next tick, within a tenth of a second."""
        if sig == signal.SIGTERM and self._drain.seconds > 0 and self._ends is None and not self.should_exit:
            self._ends = time.monotonic() + self._drain.seconds
        else:
            self._drain.hurried = True
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Whether it is time to stop."""
        if self._ends is not None and not self._drain.begun:
            self._drain.begun = True
            for connection in self.server_state.connections:
                connection.drain()  # type: ignore[union-attr]  # all are of our own protocol
        if self._ends is not None and time.monotonic() >= self._ends:
            self.should_exit = True
        return await super().on_tick(counter)
