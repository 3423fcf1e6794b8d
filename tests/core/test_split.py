"""Splitting units between stable and candidate."""

from hypothesis import given
from hypothesis import strategies as st

from softlaunch.core.split import drawn_afresh, envoy_key, position_percent, takes_candidate, unit_hash

pseudonyms = st.integers(-(2**63), 2**63 - 1)
weights = st.floats(0, 100)


@given(pseudonyms, weights, weights)
def test_growing_the_weight_moves_nobody_back(pseudonym: int, one: float, other: float) -> None:
    """Who has the candidate at a weight has it at every larger one."""
    lower, higher = sorted((one, other))
    if takes_candidate(pseudonym, "support-bot-1", lower):
        assert takes_candidate(pseudonym, "support-bot-1", higher)


@given(pseudonyms)
def test_the_ends_are_nobody_and_everybody(pseudonym: int) -> None:
    """At 0 % nobody has the candidate, at 100 % everybody."""
    assert not takes_candidate(pseudonym, "support-bot-1", 0)
    assert takes_candidate(pseudonym, "support-bot-1", 100)


@given(st.text(), st.text(min_size=1))
def test_a_pseudonym_fits_a_signed_64_bit_column(unit: str, salt: str) -> None:
    """Whatever clients and salts are called, the pseudonym can be stored, and stays the same."""
    assert -(2**63) <= unit_hash(unit, salt) < 2**63
    assert unit_hash(unit, salt) == unit_hash(unit, salt)


def test_half_a_character_names_somebody_too() -> None:
    """A unit that was cut within an emoji raises nothing in an application, by either way of splitting."""
    assert unit_hash("ann \ud83d", "salt") != unit_hash("ann", "salt")
    assert envoy_key("ann \ud83d", "salt", "r") != envoy_key("ann", "salt", "r")


def test_1000_units_at_5_percent_are_within_binomial_bounds() -> None:
    """The share of units is the weight, up to chance: 50 of 1,000, give or take four standard deviations."""
    taken = sum(takes_candidate(unit_hash(f"user-{number}", "salt"), "support-bot-1", 5) for number in range(1000))
    assert 50 - 4 * 6.9 <= taken <= 50 + 4 * 6.9


def test_positions_are_spread_evenly() -> None:
    """Every tenth of the order holds a tenth of 10,000 units, give or take four standard deviations."""
    tenths = [0] * 10
    for number in range(10_000):
        tenths[int(position_percent(unit_hash(f"user-{number}", "salt"), "support-bot-1") / 10)] += 1
    assert all(abs(count - 1000) <= 4 * 30 for count in tenths), tenths


def test_each_release_shuffles_anew() -> None:
    """The units that meet one release's candidate first are no likelier to meet the next one's first."""
    units = [unit_hash(f"user-{number}", "salt") for number in range(10_000)]
    first, second = ({unit for unit in units if takes_candidate(unit, release, 10)} for release in ("bot-1", "bot-2"))
    assert abs(len(first & second) - 100) <= 4 * 10


def test_each_occasion_draws_anew() -> None:
    """Who has the candidate in one epoch is no likelier to have it in the next; the share in each is the weight."""
    units = [unit_hash(f"user-{number}", "salt") for number in range(10_000)]
    first, second = (
        {unit for unit in units if takes_candidate(drawn_afresh(unit, str(epoch)), "bot-1", 10)} for epoch in (7, 8)
    )
    assert all(abs(len(epoch) - 1000) <= 4 * 30 for epoch in (first, second))
    assert abs(len(first & second) - 100) <= 4 * 10


@given(pseudonyms, st.text())
def test_an_occasion_fits_the_same_column(pseudonym: int, occasion: str) -> None:
    """It is a pseudonym like any other, the same whoever computes it."""
    assert -(2**63) <= drawn_afresh(pseudonym, occasion) < 2**63
    assert drawn_afresh(pseudonym, occasion) == drawn_afresh(pseudonym, occasion)


def test_a_pseudonym_depends_on_the_salt() -> None:
    """Who doesn't know an app's salt can't look a user up in its log."""
    assert unit_hash("anna@example.com", "one salt") != unit_hash("anna@example.com", "another salt")
