"""The lease of a route: a candidate is served only while somebody is seen to watch it."""


class Lease:
    """When a route's watcher was last seen alive, on this gateway's own monotonic clock (seconds).

    The watcher counts a beat up in the ledger. Only a change between two looks is proof of life: a beat found at the
    first look, or at the first one after a gap longer than half the lease, may be as old as the gap.
    """

    def __init__(self) -> None:
        self._beat: int | None = None
        self._looked_at = 0.0
        self._seen_at: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether somebody was ever seen to watch."""
        return self._seen_at is not None

    def look(self, beat: int, lease_seconds: float, now: float) -> None:
        """Take note of the beat read at `now`, the time before the reading began."""
        unbroken = self._beat is not None and now - self._looked_at <= lease_seconds / 2
        if unbroken and beat != self._beat:
            self._seen_at = now
        self._beat = beat
        self._looked_at = now

    def holds(self, lease_seconds: float, now: float) -> bool:
        """Whether the candidate may be served at `now`."""
        return self.left(lease_seconds, now) > 0

    def left(self, lease_seconds: float, now: float) -> float:
        """For how many more seconds the candidate may be served at `now` without another beat; at least 0."""
        return 0.0 if self._seen_at is None else max(0.0, self._seen_at + lease_seconds - now)
