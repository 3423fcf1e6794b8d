"""Splitting traffic: the same unit always falls on the same side, and stays in as the weight grows."""

import hashlib
from functools import lru_cache

_BUCKETS = 1 << 64
_FRACTIONS = 1 << 32


def unit_hash(unit: str, salt: str) -> int:
    """A stable pseudonym of a unit: a signed 64-bit integer, keyed by the app's salt so that it can't be looked up."""
    keyed = _keyed(salt).copy()
    keyed.update(unit.encode())
    return int.from_bytes(keyed.digest(), "big", signed=True)


def drawn_afresh(pseudonym: int, occasion: str) -> int:
    """The pseudonym of a unit on one occasion, such as an epoch: by it the unit's arm is drawn anew on each."""
    digest = hashlib.blake2b(pseudonym.to_bytes(8, "big", signed=True) + occasion.encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)


def position_percent(pseudonym: int, release_id: str) -> float:
    """Where a unit stands in one release's order, in [0, 100).

    Each release shuffles anew, so that the same people aren't always the first to meet a candidate.
    """
    keyed = _keyed(release_id).copy()
    keyed.update(pseudonym.to_bytes(8, "big", signed=True))
    return int.from_bytes(keyed.digest(), "big") / _BUCKETS * 100


@lru_cache(maxsize=1024)
def _keyed(key: str) -> "hashlib.blake2b":
    """A hash with this key, to be copied: taking the key in costs as much as what is hashed by it."""
    return hashlib.blake2b(digest_size=8, key=key.encode()[:64])


def takes_candidate(pseudonym: int, release_id: str, weight_percent: float) -> bool:
    """Whether a unit is served by the candidate; monotone in the weight: nobody moves back as it grows."""
    return position_percent(pseudonym, release_id) < weight_percent


def is_sampled(request_id: str, percent: float) -> bool:
    """Whether a request belongs to a sample of this share; the same request always does or doesn't."""
    if percent <= 0:
        return False
    digest = hashlib.blake2b(request_id.encode(), digest_size=4, person=b"mirror").digest()
    return int.from_bytes(digest, "big") / _FRACTIONS * 100 < percent
