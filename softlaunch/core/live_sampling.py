"""Which units' live answers are judged: drawn by a hash of its own, so that it has nothing to do with their arms."""

import hashlib

_BUCKETS = 1 << 64


def is_judged(app: str, unit: int, percent: float) -> bool:
    """Whether the answers to a unit (its pseudonym) are in the sample of this share of an app's units.

    It is the same unit after unit and release after release, and nested: who is in a sample of 5 % is in one of 20 %.
    The split's hash is keyed otherwise, so that the sample is as large on either arm, whatever the weight.
    """
    if percent >= 100:
        return True
    digest = hashlib.blake2b(
        unit.to_bytes(8, "big", signed=True), digest_size=8, key=app.encode()[:64], person=b"live"
    ).digest()
    return int.from_bytes(digest, "big") / _BUCKETS * 100 < percent
