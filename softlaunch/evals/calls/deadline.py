"""Until when calls of an eval may be started."""

from time import monotonic


class Deadline:
    """Until when calls may be started, on the monotonic clock; it can be moved on while they run."""

    def __init__(self, seconds: float = float("inf")) -> None:
        self.at = monotonic() + seconds

    def move(self, seconds: float) -> None:
        """Let calls start for so many seconds from now; zero or less stops them."""
        self.at = monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Whether no further call may be started."""
        return monotonic() >= self.at
