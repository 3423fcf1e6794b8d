"""The order in which an eval asks: drawn, the same again, and fair at every moment."""

from collections import Counter

from softlaunch.evals.sequential.order import schedule
from softlaunch.evals.suites.case import Case


def tagged(counts: dict[str, int]) -> list[Case]:
    """So many cases of each tag."""
    return [
        Case(id=f"{tag}{number}", question="?", expected="yes", tags=(tag,))
        for tag, count in counts.items()
        for number in range(count)
    ]


def test_every_pair_is_asked_once_and_the_same_seed_asks_in_the_same_order() -> None:
    """Whoever starts again goes on with the same order, in whichever order the golden set is read; others draw anew."""
    cases = tagged({"refund": 40, "hours": 20})
    drawn = schedule(cases, 3, "bot-1", frozenset())
    assert Counter(drawn.pairs).most_common(1)[0][1] == 1
    assert len(drawn.pairs) == 180
    assert drawn == schedule(cases[::-1], 3, "bot-1", frozenset())
    assert drawn != schedule(cases, 3, "bot-2", frozenset())
    assert drawn.looks == (36, 72, 108, 144, 180)


def test_every_beginning_has_its_share_of_each_segment() -> None:
    """So that a segment's harm doesn't wait for the end, nor decide by coming first."""
    cases = tagged({"refund": 200, "hours": 100, "tone": 20})
    order = schedule(cases, 1, "seed", frozenset()).cases
    for length in (32, 96, 160, 300):
        found = Counter(case_id.rstrip("0123456789") for case_id in order[:length])
        for tag, count in (("refund", 200), ("hours", 100), ("tone", 20)):
            assert abs(found[tag] - length * count / 320) <= 1.01


def test_cases_that_flicker_are_spread_at_first_and_come_first_when_asked_again() -> None:
    """First in the first repeat they would be all that an early verdict sees."""
    cases = tagged({"refund": 100})
    flickering = frozenset(f"refund{number}" for number in range(20))
    drawn = schedule(cases, 2, "seed", flickering)
    assert sum(case_id in flickering for case_id in drawn.cases[:50]) in (9, 10, 11)
    assert {pair.case_id for pair in drawn.pairs[100:120]} == flickering


def test_each_case_is_equally_likely_to_be_early() -> None:
    """A case of a small segment as well as one of a large one."""
    cases = tagged({"refund": 30, "tone": 3})
    early = Counter(case_id for seed in range(400) for case_id in schedule(cases, 1, f"{seed}", frozenset()).cases[:11])
    assert all(abs(early[case.id] / 400 - 1 / 3) < 0.1 for case in cases)
