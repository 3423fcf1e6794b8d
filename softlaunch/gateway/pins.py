"""What a gateway knows of where conversations began, so far as their policy keeps them there."""

import threading

from softlaunch.ledger.pins import Pin, read_pins
from softlaunch.store.database import Database

MOST_PINS = 100_000
"""So many conversations are known, the newest ones; an older one is taken for a new one."""


class Pins:
    """Pins by app and unit: this gateway's own at once, those of others as they are read.

    Written by the event loop and by the thread that reads the ledger.
    """

    def __init__(self, most: int = MOST_PINS) -> None:
        self._most = most
        self._pins: dict[tuple[str, int], Pin] = {}
        self._newest = 0
        self._lock = threading.Lock()

    def find(self, app: str, unit: int, now: float) -> Pin | None:
        """Where a conversation began, None where that isn't known or is over; `now` in epoch seconds."""
        pin = self._pins.get((app, unit))
        return pin if pin is not None and pin.expires_at > now else None

    def note(self, app: str, unit: int, pin: Pin) -> None:
        """One begins here."""
        with self._lock:
            self._pins.pop((app, unit), None)
            self._pins[app, unit] = pin
            self._make_room()

    def read(self, database: Database, now: float) -> None:
        """Learn of those that began at other gateways since the last time."""
        found = read_pins(database, self._newest, self._most, now)
        with self._lock:
            self._newest = found.newest
            for key, pin in found.pins:
                self._pins.pop(key, None)
                self._pins[key] = pin
            self._make_room()

    def _make_room(self) -> None:
        while len(self._pins) > self._most:
            del self._pins[next(iter(self._pins))]
