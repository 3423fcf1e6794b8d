"""What a gateway bounds, so that no client, provider or database can exhaust it."""

from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one gateway process; durations in seconds, sizes in bytes."""

    body_bytes: int = 10 * _MIB
    """A larger request body is refused with 413."""
    head_seconds: float = 20.0
    """How long a client may take to send a request's head, from its connection or its first byte."""
    body_seconds: float = 30.0
    """How long a client may take to send a body."""
    answer_bytes: int = 64 * _MIB
    """A provider's answer larger than this is malformed."""
    event_bytes: int = 16 * _MIB
    """A stream with an event larger than this is malformed."""
    requests: int = 2048
    """Requests under way at once; more are refused with 503."""
    requests_bytes: int = 256 * _MIB
    """Bodies of the requests under way, together."""
    mirrors: int = 128
    """Copies under way at once; more are dropped and counted."""
    mirrors_bytes: int = 64 * _MIB
    """Bodies of the copies under way, together."""
    log_rows: int = 100_000
    """Rows waiting to be written; what doesn't fit is counted in `drops`."""
    log_text_bytes: int = 64 * _MIB
    """Texts waiting to be written; a row whose texts don't fit is written without them."""
    shutdown_seconds: float = 25.0
    """How long a gateway that stops waits for its requests."""
    mirrors_shutdown_seconds: float = 3.0
    """How long it then waits for its copies."""
    route_poll_seconds: float = 0.2
    """How often the routes are looked at."""
    heartbeat_seconds: float = 0.5
    """How often an idle gateway says that it is alive and how far its log is complete."""
