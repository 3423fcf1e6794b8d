"""The breaker: massive failure of the candidate alone within seconds, seen by one gateway."""

import random
from collections.abc import Iterator

import pytest

from softlaunch.gateway.breaker import Breaker
from softlaunch.policy.gateway import BreakerPolicy

LONG_AGO = [(0.01 * i, False) for i in range(100)]
POLICY = BreakerPolicy(window=5.0, minimum_requests=10, failed_percent=50.0)
BEFORE, LASTING = 10.0, 30.0  # seconds of calm, and of an outage


def feed(breaker: Breaker, answers: Iterator[tuple[float, bool, bool]]) -> int | None:
    """How many of the candidate's answers it took to trip, those of the calm included; None if it never did."""
    seen = 0
    for now, candidate, failed in answers:
        seen += candidate
        if breaker.note(candidate=candidate, failed=failed, policy=POLICY, now=now):
            return seen
    return None


def traffic(
    seed: int, share: float, per_second: float, failing: tuple[float, float], *, fallback: bool = True
) -> Iterator[tuple[float, bool, bool]]:
    """Answers of users at random times, of whom 1 % fail, and of the candidate's and stable's so many in the outage.

    What the candidate failed to answer is put to stable, whose answer comes first.
    """
    rng, now = random.Random(seed), 0.0
    while (now := now + rng.expovariate(per_second)) < BEFORE + LASTING:
        candidate_rate, stable_rate = failing if now > BEFORE else (0.01, 0.01)
        if rng.random() >= share:
            yield now, False, rng.random() < stable_rate
            continue
        failed = rng.random() < candidate_rate
        if failed and fallback:
            yield now, False, rng.random() < stable_rate
        yield now, True, failed


@pytest.mark.parametrize(
    ("outcomes", "trips"),
    [
        pytest.param([(0.1 * i, True) for i in range(9)], False, id="too few answers"),
        pytest.param([(0.1 * i, True) for i in range(10)], True, id="ten failures in a second"),
        pytest.param([(0.1 * i, i % 2 == 0) for i in range(10)], True, id="exactly half failed"),
        pytest.param([(0.1 * i, i % 3 == 0) for i in range(30)], False, id="a third failed"),
        pytest.param([(1.0 * i, True) for i in range(30)], False, id="never ten within the window"),
        pytest.param([*LONG_AGO, *((7 + 0.1 * i, True) for i in range(10))], True, id="old successes are forgotten"),
    ],
)
def test_without_any_answer_of_stable_the_candidates_own_decide(
    outcomes: list[tuple[float, bool]], *, trips: bool
) -> None:
    """It trips at the first answer that makes the failed share too large among enough recent ones."""
    breaker = Breaker()
    assert (feed(breaker, ((now, True, failed) for now, failed in outcomes)) is not None) is trips
    assert breaker.tripped is trips


def test_it_trips_once_and_stays_so() -> None:
    """Only one answer trips it, and later successes don't close it again."""
    breaker = Breaker()
    tripped = [breaker.note(candidate=True, failed=i < 10, policy=POLICY, now=0.1 * i) for i in range(50)]
    assert tripped.count(True) == 1
    assert breaker.tripped
    assert breaker.reason == (
        "10 of the candidate's last 10 answers within 5 s failed, and stable gave none to compare with"
    )


def test_its_reason_says_how_stable_did_in_the_same_seconds() -> None:
    """Whoever is woken sees at once that it is the candidate alone."""
    breaker = Breaker()
    answers = ((0.05 * i, i % 2 == 0, i % 2 == 0 or i == 1) for i in range(60))
    assert feed(breaker, answers) == 10
    assert breaker.reason == "10 of the candidate's last 10 answers within 5 s failed, 1 of stable's 10"


@pytest.mark.parametrize("fallback", [True, False], ids=["fallback", "no fallback"])
@pytest.mark.parametrize("rate", [0.5, 0.6, 0.9, 1.0])
@pytest.mark.parametrize(("share", "per_second"), [(0.05, 100.0), (0.5, 20.0), (0.9, 50.0)])
def test_an_outage_of_both_arms_never_trips_it(share: float, per_second: float, rate: float, *, fallback: bool) -> None:
    """Whatever part of the answers fails, at every split that leaves stable some users."""
    for seed in range(10):
        breaker = Breaker()
        assert feed(breaker, traffic(seed, share, per_second, (rate, rate), fallback=fallback)) is None


@pytest.mark.parametrize("share", [0.99, 1.0])
def test_at_the_end_of_a_release_the_fallback_tells_of_an_outage(share: float) -> None:
    """Where the candidate serves nearly everybody, what stands in for it is what there is of stable."""
    for seed in range(20):
        assert feed(Breaker(), traffic(seed, share, 20.0, (0.8, 0.8))) is None


@pytest.mark.parametrize("fallback", [True, False], ids=["fallback", "no fallback"])
@pytest.mark.parametrize(("share", "per_second"), [(0.05, 100.0), (0.5, 20.0), (0.9, 50.0), (0.99, 20.0)])
def test_a_failing_candidate_trips_it_within_seconds(share: float, per_second: float, *, fallback: bool) -> None:
    """All its answers fail, and 1 % of stable's: it takes the first half of a window's, and not many more."""
    for seed in range(10):
        calm = BEFORE * share * per_second
        took = feed(Breaker(), traffic(seed, share, per_second, (1.0, 0.01), fallback=fallback))
        assert took is not None
        few_of_stable = share == 0.99 and not fallback
        assert took < 1.5 * calm + (LASTING if few_of_stable else 5.0) * share * per_second + 10


def test_a_candidate_alone_is_not_left_alone_because_stable_hardly_answers() -> None:
    """At 99 % without fallback: two windows without a failure of stable are enough, one failure is not."""
    calm = [(0.1 * i, i == 0, False) for i in range(2)]
    failing = [(1 + 0.2 * i, True, True) for i in range(80)]
    assert feed(Breaker(), iter([*calm, *failing])) == 60
    once = sorted([*calm, *failing, (4.0, False, True)])
    assert feed(Breaker(), iter(once)) is None


def test_it_remembers_no_single_answer() -> None:
    """5,000 answers a second take the room of a few numbers."""
    breaker = Breaker()
    for number in range(50_000):
        breaker.note(candidate=number % 2 == 0, failed=False, policy=POLICY, now=number / 5000)
    assert len(breaker._slices) <= 21
