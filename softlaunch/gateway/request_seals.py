"""Seals on the ids of requests: which were given out by a gateway on this ledger, for which key, and when."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from softlaunch.core.request_ids import SEAL_DIGITS, seal_of
from softlaunch.gateway.requests import AppRequest

_CARRIERS = (b"authorization", b"api-key", b"x-api-key")


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that clients present: to ask, to rate, and to read the configuration. Without the first anybody may ask.

    With keys to rate, only they rate, and whatever was asked with any key; without them a request is rated with the
    key that asked it. Without keys for the configuration those to ask read it.
    """

    clients: tuple[bytes, ...] = ()
    feedback: tuple[bytes, ...] = ()
    config: tuple[bytes, ...] = ()

    @property
    def of_feedback(self) -> tuple[bytes, ...]:
        """Those that open the endpoint for ratings; none where anybody may rate."""
        return self.feedback or (self.of_requests if self.clients else ())

    @property
    def of_config(self) -> tuple[bytes, ...]:
        """Those that open the configuration."""
        return self.config or self.clients

    @property
    def of_requests(self) -> tuple[bytes, ...]:
        """Those that a request's id may be sealed for."""
        return (*self.clients, *self.config)


def seal(request: AppRequest, salt: str, key: bytes) -> None:
    """Put its seal behind a request's id; `key` is the one that asked, empty at an open gateway."""
    request.request_id += seal_of(request.request_id, salt, key)
    request.key = key


def is_sealed(request_id: str, salt: str, keys: Sequence[bytes]) -> bool:
    """Whether the id was given out for an app with this salt, to one of the keys."""
    bare, seal = request_id[:-SEAL_DIGITS], request_id[-SEAL_DIGITS:]
    return any(hmac.compare_digest(seal_of(bare, salt, key), seal) for key in keys)


def is_sealed_by(seal: str, bare: str, salt: str, key: bytes) -> bool:
    """Whether this is the seal of a text."""
    return hmac.compare_digest(seal_of(bare, salt, key), seal)


def key_of(headers: Mapping[bytes, bytes], keys: Sequence[bytes]) -> bytes:
    """Which of the keys a request carries; empty for none of them."""
    if not keys:
        return b""
    for carrier in _CARRIERS:
        given = headers.get(carrier)
        if given is not None:
            token = given.rpartition(b" ")[2]
            for key in keys:
                if hmac.compare_digest(token, key):
                    return key
    return b""
