"""A judge that is often wrong: its kappa against the truth is 0.5."""

import random

KAPPA = 0.5


def chances(usual: float) -> tuple[float, float]:
    """How often such a judge says yes of what is so, and of what isn't, where it is so in a share `usual`.

    It says yes as often as it is so. Then kappa = 1 - b / usual, with b its yes where it isn't so, and the chance of
    yes where it is so follows; the two differ by kappa.
    """
    wrong_yes = usual * (1 - KAPPA)
    return wrong_yes + KAPPA, wrong_yes


def says_yes(*, is_so: bool, usual: float, luck: random.Random) -> bool:
    """What the judge says."""
    yes, wrong_yes = chances(usual)
    return luck.random() < (yes if is_so else wrong_yes)
