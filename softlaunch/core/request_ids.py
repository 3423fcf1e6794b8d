"""Ids of requests, `<app>-<11 digits of time><11 of chance><10 of seal>` in hexadecimal.

The app spares feedback a look-up, and the time keeps the database's index of ids growing at its end: random ids alone
made writing the log twice as dear. The seal is a MAC of what stands before it, keyed by the app's secret in the ledger
(the salt of its units' pseudonyms) and by the key that asked. So everybody on the ledger can check every id, without
looking it up and without having been told of it. 40 bits are few for a secret that can be guessed at leisure, and many
for one that can only be tried against a gateway.
"""

import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator
from functools import lru_cache

SEAL_DIGITS = 10
_TIME_DIGITS = 11
_RANDOM_DIGITS = 11
_DRAWN_AT_ONCE = 256
_ID = re.compile(
    rf"[a-z0-9][a-z0-9._-]{{0,62}}-([0-9a-f]{{{_TIME_DIGITS}}})[0-9a-f]{{{_RANDOM_DIGITS}}}[0-9a-f]{{{SEAL_DIGITS}}}"
)


def request_id_for(app: str) -> str:
    """An id that no other request has, without its seal."""
    return f"{app}-{time.time_ns() // 1_000_000:0{_TIME_DIGITS}x}{next(_RANDOM.parts)}"


def sealed_id_for(app: str, salt: str, key: bytes) -> str:
    """An id that no other request has; `salt` is the app's, and `key` the one that asks, empty where none is needed."""
    bare = request_id_for(app)
    return bare + seal_of(bare, salt, key)


def asked_at(request_id: str) -> float | None:
    """When a request began by its id, in epoch seconds; None for what is no id of a request."""
    found = _ID.fullmatch(request_id)
    return int(found[1], 16) / 1000 if found else None


def app_of(request_id: str) -> str:
    """The app whose request has this id."""
    return request_id.rpartition("-")[0]


def seal_of(bare: str, salt: str, key: bytes) -> str:
    """Ten hexadecimal digits that only who has the salt and the key can make of a text."""
    return hashlib.blake2b(bare.encode(), digest_size=SEAL_DIGITS // 2, key=_secret(salt, key)).hexdigest()


@lru_cache(maxsize=4096)
def _secret(salt: str, key: bytes) -> bytes:
    salted = hashlib.blake2b(salt.encode(), digest_size=64, person=b"request seals").digest()
    return hashlib.blake2b(key, digest_size=64, key=salted).digest()


def _random_parts() -> Iterator[str]:
    """Many from one call, because asking the system for randomness has a price of its own."""
    size = _RANDOM_DIGITS
    while True:
        drawn = os.urandom(size * _DRAWN_AT_ONCE // 2).hex()
        yield from (drawn[start : start + size] for start in range(0, len(drawn), size))


class _Randomness(threading.local):
    """A supply for each thread: two event loops in one process must not draw from the same generator at once."""

    def __init__(self) -> None:
        self.parts = _random_parts()


_RANDOM = _Randomness()


def _draw_afresh() -> None:
    """What was drawn before a fork is its parent's."""
    global _RANDOM  # noqa: PLW0603
    _RANDOM = _Randomness()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_draw_afresh)
