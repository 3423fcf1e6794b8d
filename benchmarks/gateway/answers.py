"""Answers as they come in from a connection, one after the other."""


class Answer:
    """One answer, framed by its length or in chunks; whole answers and streams of events alike."""

    def __init__(self, events: int) -> None:
        self._events = events
        self._buffer = bytearray()
        self._body = -1
        self._length: int | None = None

    def add(self, part: bytes) -> None:
        """Take what has come."""
        self._buffer += part
        if self._body < 0 and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            self._body = end + 4
            self._length = content_length(bytes(self._buffer[:end]))

    @property
    def has_begun(self) -> bool:
        """Whether the first event of a stream is there, or all of an answer that isn't streamed."""
        if self._events == 0:
            return self.is_whole
        return self._body >= 0 and self._buffer.find(b"data:", self._body) >= 0

    @property
    def is_whole(self) -> bool:
        """Whether its end is there."""
        if self._body < 0:
            return False
        if self._length is None:
            return self._buffer.endswith(b"\r\n0\r\n\r\n")
        return len(self._buffer) >= self._body + self._length

    @property
    def is_good(self) -> bool:
        """Whether it says 200 and has every event of a stream, where the usage may have joined the one before."""
        if not self._buffer.startswith(b"HTTP/1.1 200"):
            return False
        if not self._events:
            return True
        return self._has_all(self._buffer) or self._has_all(without_chunks(bytes(self._buffer[self._body :])))

    def _has_all(self, stream: bytes | bytearray) -> bool:
        """Whether the events are there in one piece each: the frame of a chunk may have cut one."""
        return stream.count(b"data:") >= self._events and b"data: [DONE]" in stream


def content_length(head: bytes) -> int | None:
    """The Content-Length of a head, None where it has none."""
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        return None
    return int(head[at + 17 :].split(b"\r\n", 1)[0])


def without_chunks(body: bytes) -> bytes:
    """What a chunked body says."""
    parts, at = [], 0
    while (end := body.find(b"\r\n", at)) >= 0 and (size := int(body[at:end].split(b";")[0], 16)):
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(parts)
