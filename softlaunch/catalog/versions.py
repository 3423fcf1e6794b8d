"""Semantic versions: their order, and which one may follow which. Pure."""

from collections.abc import Collection
from enum import StrEnum

Core = tuple[int, int, int]


class Bump(StrEnum):
    """Which number of a version grows."""

    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"


def precedence(version: str) -> tuple[Core, bool, tuple[tuple[int, int, str], ...]]:
    """A key that sorts versions as Semantic Versioning 2.0.0, item 11, says."""
    core, _, prerelease = version.partition("-")
    identifiers = tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in prerelease.split(".") if prerelease
    )
    return _core(core), not prerelease, identifiers


def bumped(version: str, bump: Bump) -> str:
    """The version after this one: the next major, minor or patch."""
    return _written(_successors(_core(version.partition("-")[0]))[bump])


def objection(version: str, published: Collection[str]) -> str | None:
    """Why a version may not come after those that are published; None where it may.

    It must be the greatest, and leave out none: after 1.4.2 come 1.4.3, 1.5.0 and 2.0.0, and pre-releases of these.
    """
    if not published:
        return None
    newest = max(published, key=precedence)
    if precedence(version) <= precedence(newest):
        return f"versions only grow, and {newest} is published already; {_call_it(published)}"
    releases = [one for one in published if "-" not in one]
    if not releases:
        return None
    last = max(releases, key=precedence)
    if _core(version.partition("-")[0]) not in _successors(_core(last)).values():
        return f"there is a gap between {last} and {version}; {_call_it(published)}"
    return None


def _call_it(published: Collection[str]) -> str:
    """What the next version may be called."""
    newest = max(published, key=precedence)
    if "-" in newest:
        return f"call it {newest.partition('-')[0]}"
    patch, minor, major = (_written(one) for one in _successors(_core(newest)).values())
    return f"call it {patch}, {minor} or {major}"


def _successors(core: Core) -> dict[Bump, Core]:
    major, minor, patch = core
    return {
        Bump.PATCH: (major, minor, patch + 1),
        Bump.MINOR: (major, minor + 1, 0),
        Bump.MAJOR: (major + 1, 0, 0),
    }


def _core(text: str) -> Core:
    major, minor, patch = (int(number) for number in text.split("."))
    return major, minor, patch


def _written(core: Core) -> str:
    return ".".join(str(number) for number in core)
