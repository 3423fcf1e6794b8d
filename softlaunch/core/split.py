"""Splitting traffic: the same unit always falls on the same side, and stays in as the weight grows."""

import hashlib
from enum import StrEnum
from functools import lru_cache

_BUCKETS = 1 << 64
_FRACTIONS = 1 << 32
SHARES = 10_000
"""Into how many equal parts Envoy's traffic is split: weights are hundredths of a percent there."""


class SplitMethod(StrEnum):
    """By which function units are assigned; all that serve an app use the same one."""

    SOFTLAUNCH = "softlaunch"
    ENVOY = "envoy"


def unit_hash(unit: str, salt: str) -> int:
    """A stable pseudonym of a unit: a signed 64-bit integer, keyed by the app's salt so that it can't be looked up."""
    keyed = _keyed(salt).copy()
    keyed.update(unit.encode(errors="surrogatepass"))
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


def envoy_key(unit: str, salt: str, release_id: str) -> bytes:
    """The text that Envoy hashes: what stands before a unit makes each release shuffle anew.

    A header's name comes to Envoy as the bytes that were sent, and to others as Latin-1: bytes that are UTF-8 are it.
    """
    try:
        sent = unit.encode("latin-1")
        sent.decode()
    except UnicodeError:
        sent = unit.encode(errors="surrogatepass")
    return f"{salt}:{release_id}:".encode() + sent


def envoy_shares(weight_percent: float) -> int:
    """The candidate's weight of all `SHARES`."""
    return round(weight_percent * SHARES / 100)


def takes_candidate_in_envoy(unit: str, salt: str, release_id: str, weight_percent: float) -> bool:
    """Whether Envoy sends a unit to the candidate: the last shares are its own, so that nobody moves back.

    That is xxHash64 without a seed, modulo the sum of the weights, with stable listed first.
    """
    import xxhash  # clients that evaluate by themselves mostly don't need it

    position = xxhash.xxh64_intdigest(envoy_key(unit, salt, release_id)) % SHARES
    return position >= SHARES - envoy_shares(weight_percent)
