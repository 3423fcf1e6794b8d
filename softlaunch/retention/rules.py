"""What a cleanup may delete, and why. Pure: items, rules and the time go in, choices come out."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from softlaunch.policy.retention import VersionRetention


class Kind(StrEnum):
    """What a cleanup looks at."""

    PROMPTS = "prompts"
    PARAMETERS = "parameters"
    MODELS = "models"
    VARIANTS = "variants"
    EVALS = "evals"
    REQUESTS = "requests"


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is kept or deleted as a whole. `group` is the name that its versions share.

    `since` is when it was recorded or, if that was later, put back from the archive.
    """

    kind: Kind
    key: str
    group: str
    since: datetime
    bytes: int
    tags: frozenset[str] = frozenset()


def fingerprint(kind: str, key: str) -> bytes:
    """What identifies an item among everything that a cleanup looks at, in 32 bytes."""
    return hashlib.sha256(f"{kind}\0{key}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether an item is deleted, and the reason in words."""

    item: Item
    deleted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one kind: retention, the tags that protect, and what uses which key (`production of my-bot`)."""

    retention: VersionRetention
    protected_tags: frozenset[str]
    uses: Mapping[str, str]


def choose(items: Iterable[Item], rules: Rules, now: datetime) -> Iterator[Choice]:
    """Choose for every item. Those of a group follow each other, newest first."""
    group, place = None, 0
    for item in items:
        group, place = item.group, place + 1 if item.group == group else 1
        yield _choose(item, place, rules, now)


def protection(item: Item, rules: Rules) -> str | None:
    """What keeps an item whatever its age; None where nothing does."""
    if item.key in rules.uses:
        return rules.uses[item.key]
    tags = sorted(item.tags & rules.protected_tags)
    return f"tagged {tags[0]}" if tags else None


def _choose(item: Item, place: int, rules: Rules, now: datetime) -> Choice:
    kept, retention = protection(item, rules), rules.retention
    if kept is not None:
        return Choice(item, deleted=False, reason=kept)
    if place <= retention.keep_newest:
        return Choice(item, deleted=False, reason=f"one of the newest {retention.keep_newest}")
    if retention.at_most is not None and place > retention.at_most:
        return Choice(item, deleted=True, reason=f"more than {retention.at_most} versions")
    limit, which = _limit(item, retention)
    if now - item.since > timedelta(seconds=limit):
        return Choice(item, deleted=True, reason=f"older than {_days(limit)}{which}")
    return Choice(item, deleted=False, reason=f"not {_days(limit)} old{which}")


def _limit(item: Item, retention: VersionRetention) -> tuple[float, str]:
    tagged = [(age, f" and tagged {tag}") for tag, age in retention.tags.items() if tag in item.tags]
    return min(tagged, default=(retention.age, ""))


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.3g} days"
