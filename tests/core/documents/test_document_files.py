"""Files of people: regular, bounded and UTF-8, or refused with what to do."""

import gzip
import os
import socket
from pathlib import Path

import pytest

from softlaunch.core.documents import DocumentError, decode, read_bytes, read_text


def test_what_is_no_regular_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    """A pipe would be waited for, a device might never end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name, said in {
            "pipe": "it is a pipe, expected a regular file",
            "link": "it is a device, expected a regular file",
            "socket": "it is a socket, expected a regular file",
            ".": "it is a folder, expected a regular file",
            "loop": "Too many levels of symbolic links",
            "gone": "No such file or directory",
            "a\0b": "embedded null byte",
            "x" * 300: "File name too long",
        }.items():
            with pytest.raises(DocumentError, match=said):
                read_bytes(tmp_path / name)


def test_a_file_is_bounded_also_unpacked(tmp_path: Path) -> None:
    """A few kilobytes that unpack to a gigabyte are stopped on the way."""
    (tmp_path / "long").write_bytes(b"x" * 1001)
    bomb = gzip.compress(b"\0" * (32 << 20))
    (tmp_path / "bomb.gz").write_bytes(bomb)
    with pytest.raises(DocumentError, match="more than"):
        read_bytes(tmp_path / "long", 1000)
    with pytest.raises(DocumentError, match="more than 1 MiB unpacked"):
        read_bytes(tmp_path / "bomb.gz", 1 << 20)
    assert len(read_bytes(tmp_path / "bomb.gz", 32 << 20)) == 32 << 20


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"plain", id="not packed"),
        pytest.param(gzip.compress(b"abc" * 100)[:-12], id="cut off"),
        pytest.param(gzip.compress(b"abc")[:-2] + b"xx", id="a wrong sum"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(tmp_path: Path, content: bytes) -> None:
    """The name promises gzip, and the content isn't."""
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(DocumentError, match=r"x\.gz can't be read: it is no sound gzip"):
        read_bytes(tmp_path / "x.gz")


def test_several_parts_of_gzip_are_one_file(tmp_path: Path) -> None:
    """As `cat a.gz b.gz` makes it, and with the padding of tapes."""
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"ab") + gzip.compress(b"") + gzip.compress(b"c") + b"\0" * 512)
    assert read_bytes(tmp_path / "x.gz") == b"abc"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("a\nGröße".encode("cp1252"), "line 2: not UTF-8 text .*iconv -f WINDOWS-1252", id="cp1252"),
        pytest.param("a".encode("utf-16"), "line 1: not UTF-8 text but UTF-16; .*iconv -f UTF-16", id="UTF-16"),
        pytest.param(b"a\nb\0c", "line 2: a NUL character", id="a NUL"),
    ],
)
def test_what_is_no_utf_8_is_refused_with_the_way_to_convert_it(content: bytes, said: str) -> None:
    """A guess at the encoding would put wrong letters into a golden set."""
    with pytest.raises(DocumentError, match=said):
        decode(Path("x.csv"), content)


def test_a_text_is_read_without_its_mark(tmp_path: Path) -> None:
    """Editors of Windows write a byte-order mark and other ends of lines."""
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(tmp_path / "x") == "a\nb\nc\n"
