"""Compressed request bodies."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
from backports import zstd

from softlaunch.gateway.encodings import decompress
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.wire import RefusedError

BODY = b'{"model": "bot"}' * 20_000
LIMITS = Limits(body_bytes=len(BODY))
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "X-GZIP": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: brotli.compress(body, quality=1),
    "zstd": zstd.compress,
}


def raw_deflate(body: bytes) -> bytes:
    """Deflate without zlib's head."""
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(body) + encoder.flush()


@pytest.mark.parametrize("name", ENCODERS)
def test_what_clients_compress_is_read(name: str) -> None:
    """To the byte, up to the limit's last byte; whatever the case of the name."""
    assert decompress(ENCODERS[name](BODY), name.encode(), LIMITS) == BODY


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        pytest.param(BODY, b"", id="none"),
        pytest.param(BODY, b" identity ", id="identity"),
        pytest.param(raw_deflate(BODY), b"deflate", id="deflate without a head"),
        pytest.param(gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), b"gzip", id="two members"),
        pytest.param(zstd.compress(BODY[:9]) + zstd.compress(BODY[9:]), b"zstd", id="two frames"),
        pytest.param(gzip.compress(brotli.compress(BODY)), b"br, gzip", id="twice"),
    ],
)
def test_other_forms(body: bytes, encoding: bytes) -> None:
    """What the standards allow, and what clients make of them."""
    assert decompress(body, encoding, LIMITS) == BODY


@pytest.mark.parametrize("name", ENCODERS)
def test_a_bomb_is_refused_before_it_goes_off(name: str) -> None:
    """30 MB in a small body: 413, and at no time more memory than a few times the limit."""
    bomb = ENCODERS[name](bytes(30_000_000))
    tracemalloc.start()
    with pytest.raises(RefusedError) as refused:
        decompress(bomb, name.encode(), LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.value.status == 413
    assert peak < 3_000_000


@pytest.mark.parametrize(
    ("body", "encoding", "status", "said"),
    [
        pytest.param(b"x", b"compress", 415, "gzip, x-gzip, deflate, br, zstd", id="an encoding of the eighties"),
        pytest.param(b"x", b"gzip, \xff", 415, "isn't known", id="no name"),
        pytest.param(b"x", b"gzip,gzip,gzip,gzip", 415, "isn't known", id="too often"),
        pytest.param(BODY, b"gzip", 400, "isn't the gzip", id="not compressed at all"),
        *(pytest.param(BODY[:50], name.encode(), 400, "isn't the", id=f"no {name}") for name in ("br", "zstd")),
        *(
            pytest.param(ENCODERS[name](BODY)[:-9], name.encode(), 400, "isn't whole", id=f"half of {name}")
            for name in ("gzip", "deflate", "br", "zstd")
        ),
        pytest.param(gzip.compress(BODY) + b"junk", b"gzip", 400, "isn't the gzip", id="junk behind it"),
    ],
)
def test_what_can_not_be_read_is_refused(body: bytes, encoding: bytes, status: int, said: str) -> None:
    """With what is wrong, and what would be right."""
    with pytest.raises(RefusedError, match=said) as refused:
        decompress(body, encoding, LIMITS)
    assert refused.value.status == status
