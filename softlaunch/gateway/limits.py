"""What a gateway bounds, so that no client, provider or database can exhaust it."""

from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one gateway process; durations in seconds, sizes in bytes."""

    connections: int = 8192
    """Connections at once, of all clients; `serve` lowers it to what the process may have of open files."""
    connections_per_address: int = 0
    """Connections of one address (of one /64 network for IPv6). None may have more than are left for the others; with 0
    that is the only bound."""
    head_bytes: int = 64 * 1024
    """A larger head is refused with 431."""
    head_seconds: float = 20.0
    """How long a client may take to send a request's head, from its connection or its first byte."""
    idle_seconds: float = 75.0
    """How long a connection is kept for its next request."""
    body_bytes: int = 10 * _MIB
    """A larger request body is refused with 413."""
    body_seconds: float = 30.0
    """How long a client may take to send a body."""
    body_grace_seconds: float = 5.0
    """How long it may be slower than `body_rate`."""
    body_rate: int = 2048
    """Bytes of a body that must come in a second, on the average."""
    linger_seconds: float = 5.0
    """How long a client that was refused is heard out, so that it can read why; what it sends is thrown away."""
    stall_seconds: float = 20.0
    """A client must take `answer_rate` bytes a second of what it is sent, on the average of so long, or is dropped."""
    answer_rate: int = 1024
    """See `stall_seconds`."""
    answers_bytes: int = 256 * _MIB
    """What clients haven't taken of their answers, together; the slowest are dropped when it is more."""
    answer_bytes: int = 64 * _MIB
    """A provider's answer larger than this is malformed."""
    event_bytes: int = 32 * _MIB
    """A single event of a provider's stream larger than this is malformed."""
    requests: int = 2048
    """Requests under way at once; more are refused with 503."""
    requests_bytes: int = 256 * _MIB
    """Memory for the bodies of requests, from their first byte until they are answered; see `BodyRoom`."""
    mirrors: int = 128
    """Copies under way at once; more are dropped and counted."""
    mirrors_bytes: int = 64 * _MIB
    """Bodies of the copies under way, together."""
    log_hold_seconds: float = 60.0
    """How long a request under way holds back the moment up to which the log is complete; one that takes longer is
    evidence of the moment at which it ends, so that one long stream can't blind the gates."""
    log_rows: int = 100_000
    """Rows waiting to be written; what doesn't fit is counted in `drops`."""
    log_batch_rows: int = 5_000
    """Rows that are written in one transaction."""
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
