"""Answers that come compressed although nobody asked for it: taken apart as they come, a bounded piece at a time."""

import zlib
from collections.abc import Callable, Iterator
from typing import Self

import brotli
from backports import zstd

from softlaunch.gateway.provider.answer import HttpAnswer
from softlaunch.gateway.provider.errors import AnswerTooLargeError, BrokenOffError

_PIECE = 64 * 1024
_ZSTD_WINDOW_LOG = 23  # 8 MiB, what RFC 8878 asks of every decoder, and no more
_BROKEN = (zlib.error, brotli.error, zstd.ZstdError)


class UnpackedAnswer:
    """An answer in the encoding that its head names, as plain bytes."""

    def __init__(self, packed: HttpAnswer, unpack: Callable[[bytes], Iterator[bytes]]) -> None:
        self.packed = packed
        self.status = packed.status
        self.raw_headers = packed.raw_headers
        self._unpack = unpack
        self._source = aiter(packed)
        self._pieces: Iterator[bytes] = iter(())

    @property
    def content_type(self) -> str:
        """The media type, without its parameters."""
        return self.packed.content_type

    async def whole(self, most: int) -> bytes:
        """The whole body. Raises AnswerTooLargeError above `most` bytes, and BrokenOffError."""
        parts: list[bytes] = []
        size = 0
        async for part in self:
            parts.append(part)
            size += len(part)
            if size > most:
                raise AnswerTooLargeError
        return b"".join(parts)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            try:
                piece = next(self._pieces, b"")
            except _BROKEN as error:
                raise BrokenOffError("the answer isn't in the encoding that its head names") from error
            if piece:
                return piece
            self._pieces = self._unpack(await anext(self._source))


def unpacker_of(headers: list[tuple[bytes, bytes]]) -> Callable[[bytes], Iterator[bytes]] | None:
    """What takes an answer apart; None where it is plain, or in an encoding that isn't known."""
    for name, value in headers:
        if name.lower() == b"content-encoding":
            made = _UNPACKERS.get(value.strip().lower())
            return None if made is None else made()
    return None


class _Gzip:
    """Members, one after the other; for deflate with zlib's head, or without it as some send it."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._decoder = zlib.decompressobj(wbits=wbits)
        self._begun = False

    def __call__(self, part: bytes) -> Iterator[bytes]:
        if not self._begun and self._wbits != _GZIP and part and part[0] & 0x0F != 8:
            self._decoder = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        self._begun = True
        while part:
            piece = self._decoder.decompress(part, _PIECE)
            while piece:
                yield piece
                piece = self._decoder.decompress(self._decoder.unconsumed_tail, _PIECE)
            part = self._decoder.unused_data
            if part:
                self._decoder = zlib.decompressobj(wbits=self._wbits)


class _Brotli:
    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()

    def __call__(self, part: bytes) -> Iterator[bytes]:
        piece = self._decoder.process(part, output_buffer_limit=_PIECE)
        while piece:  # it holds output back where there is much, and says so by nothing but more output
            yield piece
            piece = self._decoder.process(b"", output_buffer_limit=_PIECE)


class _Zstd:
    def __init__(self) -> None:
        self._decoder = self._new()

    def __call__(self, part: bytes) -> Iterator[bytes]:
        while part:
            yield self._decoder.decompress(part, _PIECE)
            while not (self._decoder.needs_input or self._decoder.eof):
                yield self._decoder.decompress(b"", _PIECE)
            part = b""
            if self._decoder.eof:
                part = self._decoder.unused_data
                self._decoder = self._new()

    def _new(self) -> "zstd.ZstdDecompressor":
        return zstd.ZstdDecompressor(options={int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG})


_GZIP = 31
_UNPACKERS: dict[bytes, Callable[[], Callable[[bytes], Iterator[bytes]]]] = {
    b"gzip": lambda: _Gzip(_GZIP),
    b"x-gzip": lambda: _Gzip(_GZIP),
    b"deflate": lambda: _Gzip(zlib.MAX_WBITS),
    b"br": _Brotli,
    b"zstd": _Zstd,
}
