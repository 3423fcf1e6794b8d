"""Compressed request bodies: taken apart in pieces, and never further than a body may be large."""

import zlib
from collections.abc import Callable, Iterator

import brotli
from backports import zstd

from softlaunch.gateway.limits import Limits
from softlaunch.gateway.wire import RefusedError, too_large

_PIECE = 64 * 1024
_MOST_LAYERS = 3
_ZSTD_WINDOW_LOG = 23  # 8 MiB, what RFC 8878 asks of every decoder, and no more
_Pieces = Iterator[bytes]


class _BrokenError(Exception):
    """Bytes that aren't in the encoding that they are said to be in."""


def decompress(body: bytes, encoding: bytes, limits: Limits) -> bytes:
    """A body without its Content-Encoding, empty where it has none.

    Raises RefusedError: 415 for an encoding that isn't known, 400 for a broken body, 413 for one that is too large.
    """
    layers = [name.strip() for name in encoding.decode("latin-1").lower().split(",")]
    layers = [name for name in layers if name not in {"", "identity"}]
    if not layers:
        return body
    if len(layers) > _MOST_LAYERS or any(name not in _DECODERS for name in layers):
        known = ", ".join(_DECODERS)
        text = f"the body's Content-Encoding {', '.join(layers)!r} isn't known; use one of {known}, or none"
        accepted = (b"accept-encoding", known.encode())
        raise RefusedError(415, text, code="unsupported_encoding", headers=[accepted])
    for name in reversed(layers):
        body = _decoded(body, name, limits)
    return body


def _decoded(body: bytes, name: str, limits: Limits) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        for piece in _DECODERS[name](body):
            size += len(piece)
            if size > limits.body_bytes:
                raise too_large(limits)
            parts.append(piece)
    except (_BrokenError, zlib.error, brotli.error, zstd.ZstdError):
        text = f"the request's body isn't the {name} that its Content-Encoding says, or isn't whole"
        raise RefusedError(400, text, code="invalid_encoding") from None
    return b"".join(parts)


def _gzip(body: bytes) -> _Pieces:
    """Members, one after the other, as RFC 1952 has it."""
    while body:
        decoder = zlib.decompressobj(wbits=31)
        yield from _zlib(decoder, body)
        body = decoder.unused_data


def _deflate(body: bytes) -> _Pieces:
    """With zlib's head, or without it as some clients send it."""
    has_head = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return _zlib(zlib.decompressobj(wbits=15 if has_head else -15), body)


def _zlib(decoder: "zlib._Decompress", body: bytes) -> _Pieces:
    while not decoder.eof:
        piece = decoder.decompress(body, _PIECE)
        if not piece and not decoder.eof:
            raise _BrokenError
        body = decoder.unconsumed_tail
        yield piece


def _brotli(body: bytes) -> _Pieces:
    decoder = brotli.Decompressor()
    yield decoder.process(body, output_buffer_limit=_PIECE)
    while not decoder.is_finished():
        piece = decoder.process(b"", output_buffer_limit=_PIECE)
        if not piece and not decoder.is_finished():
            raise _BrokenError
        yield piece


def _zstd(body: bytes) -> _Pieces:
    """Frames, one after the other, as RFC 8878 has it."""
    options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
    while body:
        decoder = zstd.ZstdDecompressor(options=options)
        yield decoder.decompress(body, _PIECE)
        while not decoder.eof:
            if decoder.needs_input:
                raise _BrokenError
            yield decoder.decompress(b"", _PIECE)
        body = decoder.unused_data


_DECODERS: dict[str, Callable[[bytes], _Pieces]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
