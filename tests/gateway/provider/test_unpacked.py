"""Answers that come compressed: plain however they are cut, and never larger than they may be."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import brotli
import pytest
from backports import zstd

from softlaunch.gateway.provider.errors import AnswerTooLargeError, BrokenOffError
from softlaunch.gateway.provider.unpacked import UnpackedAnswer, unpacker_of

TEXT = b"".join(b"data: %d\n\n" % number for number in range(20_000))
CODED = {
    b"gzip": gzip.compress(TEXT),
    b"x-gzip": gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:]),
    b"deflate": zlib.compress(TEXT),
    b"Deflate": zlib.compress(TEXT, wbits=-zlib.MAX_WBITS),
    b"br": brotli.compress(TEXT),
    b"zstd": zstd.compress(TEXT[:1000]) + zstd.compress(TEXT[1000:]),
}


class Packed:
    """A compressed answer in pieces of some size."""

    content_type = "text/plain"
    status = 200

    def __init__(self, coding: bytes, content: bytes, size: int) -> None:
        self.raw_headers = [(b"Content-Encoding", coding)]
        self._pieces = [content[start : start + size] for start in range(0, len(content), size)]

    async def whole(self, most: int) -> bytes:
        """All of it, as it came."""
        return b"".join(self._pieces)[:most]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def unpacked(coding: bytes, content: bytes, size: int) -> UnpackedAnswer:
    """The answer that is read from such pieces."""
    unpack = unpacker_of([(b"Content-Encoding", coding)])
    assert unpack is not None
    return UnpackedAnswer(Packed(coding, content, size), unpack)


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("coding", CODED)
def test_an_answer_is_plain_however_it_is_cut(coding: bytes, size: int) -> None:
    """Members and frames one after the other, and deflate with zlib's head and without."""
    answer = unpacked(coding, CODED[coding], size)
    assert asyncio.run(answer.whole(len(TEXT))) == TEXT


@pytest.mark.parametrize("coding", CODED)
def test_an_answer_that_becomes_too_large(coding: bytes) -> None:
    """It is given up at the bound, whatever it would have become."""
    with pytest.raises(AnswerTooLargeError):
        asyncio.run(unpacked(coding, CODED[coding], 1000).whole(len(TEXT) - 1))


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd"])
def test_pieces_stay_small(coding: bytes) -> None:
    """A megabyte of nothing in one piece of the network comes in pieces that a gateway can hold."""

    async def sizes() -> list[int]:
        content = {b"gzip": gzip.compress, b"br": brotli.compress, b"zstd": zstd.compress}[coding](bytes(8_000_000))
        return [len(piece) async for piece in unpacked(coding, content, 10**7)]

    found = asyncio.run(sizes())
    assert sum(found) == 8_000_000
    assert max(found) <= 1_000_000


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd"])
def test_what_is_not_in_its_encoding(coding: bytes) -> None:
    """It breaks off."""
    with pytest.raises(BrokenOffError):
        asyncio.run(unpacked(coding, b"plain words", 100).whole(1000))


def test_what_needs_no_unpacking() -> None:
    """No encoding, or one that isn't known: the bytes are passed on as they are."""
    assert unpacker_of([(b"content-type", b"text/plain")]) is None
    assert unpacker_of([(b"content-encoding", b"identity")]) is None
