"""The order of semantic versions."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlaunch.catalog.versions import Bump, bumped, objection, precedence

_PUBLISHED_ORDER = [  # the example of Semantic Versioning 2.0.0, item 11
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.2",
    "1.0.10",
    "1.10.0",
]


def test_precedence() -> None:
    """Numbers count as numbers, and a pre-release comes before its release."""
    shuffled = random.Random(7).sample(_PUBLISHED_ORDER, len(_PUBLISHED_ORDER))
    assert sorted(shuffled, key=precedence) == _PUBLISHED_ORDER


@pytest.mark.parametrize(
    ("version", "published", "allowed"),
    [
        pytest.param("3.4.5", [], True, id="the first one may be any"),
        pytest.param("1.4.3", ["1.4.2"], True, id="patch"),
        pytest.param("1.5.0", ["1.4.2"], True, id="minor"),
        pytest.param("2.0.0", ["1.4.2"], True, id="major"),
        pytest.param("1.5.1", ["1.4.2"], False, id="a patch of nothing"),
        pytest.param("1.4.4", ["1.4.2"], False, id="a patch left out"),
        pytest.param("1.4.2", ["1.4.2"], False, id="the same"),
        pytest.param("1.4.3", ["1.4.2", "1.5.0"], False, id="an older line"),
        pytest.param("1.5.0-rc.1", ["1.4.2"], True, id="a candidate of the next"),
        pytest.param("1.5.0", ["1.4.2", "1.5.0-rc.1"], True, id="the release after its candidate"),
        pytest.param("1.6.0-rc.1", ["1.4.2", "1.5.0-rc.1"], False, id="a candidate left out its release"),
        pytest.param("1.4.3", ["1.4.2", "1.5.0-rc.1"], False, id="behind a candidate"),
    ],
)
def test_what_may_follow(version: str, published: list[str], *, allowed: bool) -> None:
    """A version is the greatest, and leaves out none."""
    assert (objection(version, published) is None) is allowed


@given(st.tuples(*[st.integers(0, 99)] * 3), st.lists(st.sampled_from(["major", "minor", "patch"]), max_size=8))
def test_bumps_may_always_follow(start: tuple[int, int, int], bumps: list[str]) -> None:
    """Whatever is bumped, the next version passes the check."""
    published = [".".join(map(str, start))]
    for bump in bumps:
        following = bumped(published[-1], Bump(bump))
        assert objection(following, published) is None
        published.append(following)
