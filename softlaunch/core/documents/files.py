"""Opening the files of people: regular ones only, of a bounded size, and as UTF-8."""

import gzip
import os
import stat
import zlib
from pathlib import Path

from softlaunch.core.documents.problems import DocumentError

_MIB = 1 << 20
LONGEST_DOCUMENT = 1 * _MIB
"""Bytes of a policy, a prompt, models.yaml, variants.yaml or profiles at most."""
LONGEST_YAML = 16 * _MIB
"""Bytes of a golden set or a promptfoo configuration in YAML, which takes far longer to read than JSON lines."""
LONGEST_GOLDEN_SET = 64 * _MIB
"""Bytes of a golden set in JSON lines or CSV, unpacked."""
LONGEST_RECORDING = 512 * _MIB
"""Bytes of a file of recorded outputs, labels or arrivals, unpacked."""
_CHUNK = 1 * _MIB
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_FOREIGN_MARKS = (b"\xff\xfe", b"\xfe\xff")  # UTF-16


def read_text(path: Path, longest: int = LONGEST_DOCUMENT) -> str:
    """A UTF-8 file's text without a byte-order mark, line ends as newlines. Raises DocumentError."""
    return decode(path, read_bytes(path, longest))


def read_bytes(path: Path, longest: int = LONGEST_DOCUMENT) -> bytes:
    """A regular file's content, unpacked where its name ends in `.gz`. Raises DocumentError.

    `longest` bounds the content in bytes, also the unpacked one. Pipes, devices, sockets and folders are refused
    before they are opened, so nothing waits for them.
    """
    check_regular(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DocumentError(f"{named(path)} can't be read: it isn't a regular file any more")
            content = file.read(longest + 1)
    except OSError as error:
        raise DocumentError(f"{named(path)} can't be read: {error.strerror or error}") from error
    if len(content) > longest:
        raise _too_long(path, longest)
    return _unpacked(path, content, longest) if is_packed(path) else content


def check_regular(path: Path) -> None:
    """Raise DocumentError where there is no regular file (links are followed)."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # a ValueError for a NUL in the name
        said = getattr(error, "strerror", None) or error
        raise DocumentError(f"{named(path)} can't be read: {said}") from error
    if not stat.S_ISREG(mode):
        found = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise DocumentError(f"{named(path)} can't be read: it is {found}, expected a regular file")


def is_packed(path: Path) -> bool:
    """Whether a file is compressed with gzip, by its name."""
    return path.suffix.lower() == ".gz"


def named(path: Path) -> str:
    """A path as messages show it."""
    return str(path).encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def decode(path: Path, content: bytes) -> str:
    """The text of a file's content without a byte-order mark, line ends as newlines. Raises DocumentError."""
    return decode_as_written(path, content).replace("\r\n", "\n").replace("\r", "\n")


def decode_as_written(path: Path, content: bytes) -> str:
    """The text of a file's content without a byte-order mark. Raises DocumentError for what is no UTF-8 text."""
    if content.startswith(_FOREIGN_MARKS):
        raise DocumentError(f"{named(path)}, line 1: not UTF-8 text but UTF-16; {_conversion(path, 'UTF-16')}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DocumentError(
            f"{named(path)}, line {line}: not UTF-8 text (the byte 0x{error.object[error.start]:02x} is not UTF-8); "
            f"save the file as UTF-8. If it is Windows-1252: {_conversion(path, 'WINDOWS-1252')}"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DocumentError(f"{named(path)}, line {line}: a NUL character, so this is no text; save it as UTF-8 text")
    return text


def _conversion(path: Path, encoding: str) -> str:
    return f"convert it with 'iconv -f {encoding} -t UTF-8 {path.name} > converted{path.suffix}'"


def _unpacked(path: Path, content: bytes, longest: int) -> bytes:
    parts, size, rest = [], 0, content
    try:
        while rest:
            unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            while not unpacking.eof:
                part = unpacking.decompress(rest, _CHUNK)
                rest = unpacking.unconsumed_tail
                if not (part or rest or unpacking.eof):
                    raise EOFError("the compressed file ends too early")
                parts.append(part)
                size += len(part)
                if size > longest:
                    raise _too_long(path, longest)
            rest = unpacking.unused_data.lstrip(b"\0")  # padding, as gzip allows it
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DocumentError(f"{named(path)} can't be read: it is no sound gzip ({error})") from error
    return b"".join(parts)


def _too_long(path: Path, longest: int) -> DocumentError:
    size = f"{longest // _MIB} MiB"
    unpacked = " unpacked" if is_packed(path) else ""
    return DocumentError(f"{named(path)} can't be read: it has more than {size}{unpacked}; split it, or take less")
