"""Server-sent events as the HTML standard has them, taken apart as their bytes come (section 9.2.6, event streams)."""

import re
from collections.abc import Iterator

_BOM = b"\xef\xbb\xbf"
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FIELD = re.compile(rb"[A-Za-z][A-Za-z_-]{0,31}(?::|$)|:")


class EventTooLongError(ValueError):
    """An event larger than what a gateway holds."""


class EventSplitter:
    """Cuts bytes into whole events, each with the blank line that ends it.

    Lines may end in LF, CR LF or CR, mixed; a byte order mark at the start is left out. An event whose lines end alike
    is given as it came, one with mixed ends, which many clients misread, with LF.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = bytearray()
        self._begun = self._skip_line_feed = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that this piece completes. Raises EventTooLongError."""
        if self._skip_line_feed and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._skip_line_feed = False
        searched = max(0, len(self._rest) - 3)
        self._rest += chunk
        if not self._begun and not self._begin():
            return []
        if not self._has_end(searched):
            if len(self._rest) > self._longest:
                raise EventTooLongError(f"an event of more than {self._longest} bytes")
            return []
        buffer = bytes(self._rest)
        return self._split(buffer) if b"\r" in buffer else self._split_at_line_feeds(buffer)

    def _begin(self) -> bool:
        """Leave out a byte order mark; false while there may still be one coming."""
        if len(self._rest) < len(_BOM) and _BOM.startswith(self._rest):
            return False
        if self._rest.startswith(_BOM):
            del self._rest[: len(_BOM)]
        self._begun = True
        return True

    def _has_end(self, start: int) -> bool:
        """Whether an event ends after `start`: a long one isn't searched anew with each of its pieces."""
        if self._rest.find(b"\r", start) < 0:
            return self._rest.find(b"\n\n", start) >= 0
        return _BLANK_LINE.search(self._rest, start) is not None

    def close(self) -> bytes:
        """What is left when the stream has ended: its last event may lack its blank line. Empty where nothing is."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest + b"\n\n" if rest.strip() else b""

    def _split_at_line_feeds(self, buffer: bytes) -> list[bytes]:
        *events, rest = buffer.split(b"\n\n")
        self._rest = bytearray(rest)
        return [event + b"\n\n" for event in events]

    def _split(self, buffer: bytes) -> list[bytes]:
        events = []
        start = start_of_last = 0
        for blank in _BLANK_LINE.finditer(buffer):
            start_of_last = start
            events.append(_with_one_line_end(buffer[start : blank.end()]))
            start = blank.end()
        self._rest = bytearray(buffer[start:])
        self._skip_line_feed = not self._rest and buffer.endswith(b"\r")
        if self._skip_line_feed and events and _lacks_line_feed(buffer[start_of_last:]):
            events[-1] = buffer[start_of_last:] + b"\n"  # which is left out when it comes
        return events


def _lacks_line_feed(event: bytes) -> bool:
    """Whether all of its lines end in CR LF, but the last one, of which only the CR has come."""
    return set(_LINE_END.findall(event[:-1])) == {b"\r\n"}


def _with_one_line_end(event: bytes) -> bytes:
    ends = set(_LINE_END.findall(event))
    return event if len(ends) == 1 else _LINE_END.sub(b"\n", event)


def data_of(event: bytes) -> bytes | None:
    """The data of an event, its lines joined by LF, without white space around it; None where it has none."""
    if event.startswith(b"data:") and event.find(b"\n") == len(event) - 2:  # nearly all events of nearly all providers
        return event[5:].strip()
    found = [line[5:].removeprefix(b" ") if line[4:5] == b":" else b"" for line in lines_of(event) if _is_data(line)]
    return b"\n".join(found).strip() if found else None


def lines_of(event: bytes) -> Iterator[bytes]:
    """The lines of an event that hold something."""
    return (line for line in _LINE_END.split(event) if line)


def is_field(line: bytes) -> bool:
    """Whether a line is a field (known or not) or a comment, as in every stream of events."""
    return _FIELD.match(line) is not None


def _is_data(line: bytes) -> bool:
    return line.startswith(b"data:") or line == b"data"
