"""What an eval may spend, counted while it runs."""

from collections.abc import Iterable
from dataclasses import dataclass

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.prices import is_priced
from softlaunch.core.variant import ModelVersion


class UnpricedError(SoftlaunchError):
    """A budget in USD where a model's price is unknown."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an eval may spend in all; None is no limit. A request that is sent again counts again."""

    calls: int | None = None
    usd: float | None = None


class Budget:
    """What is left of the limits, `calls` and `usd` being spent already.

    A call is taken before it begins and settled when it has ended. With a limit in USD, calls under way are taken to
    cost what the answered ones did on average, and the first call goes alone, to learn what one costs.
    """

    def __init__(self, limits: Limits | None = None, *, calls: int = 0, usd: float = 0.0) -> None:
        self._limits = limits or Limits()
        self.calls = calls
        self.usd = usd
        self._priced_usd = usd
        self._priced = calls if usd else 0
        self._under_way = 0

    @property
    def spent_out(self) -> str | None:
        """Which limit leaves no room for another call, in words; None where there is room."""
        if self._limits.calls is not None and self.calls >= self._limits.calls:
            return f"the budget of {self._limits.calls:,} calls is used up"
        if self._limits.usd is not None and self.usd + self._typical_usd * (self._under_way + 1) > self._limits.usd:
            return f"the budget of ${self._limits.usd:g} is used up (${self.usd:.4g} spent)"
        return None

    @property
    def must_wait(self) -> bool:
        """Whether another call must wait for what one costs."""
        return self._limits.usd is not None and not self._priced and self._under_way > 0

    def check(self, models: Iterable[ModelVersion]) -> None:
        """Raise UnpricedError where a limit in USD can't be kept, because nobody knows a model's price."""
        if self._limits.usd is None:
            return
        for model in models:
            if not is_priced(model):
                raise UnpricedError(
                    f"a budget in USD can't be kept, because the price of {model.name} is unknown: give it "
                    "input_usd_per_million and output_usd_per_million, or set eval.budget_calls instead"
                )

    def take(self) -> None:
        """A call begins."""
        self._under_way += 1

    def begin_attempt(self) -> bool:
        """Count a request about to be sent; false where the limit in calls forbids it."""
        if self._limits.calls is not None and self.calls >= self._limits.calls:
            return False
        self.calls += 1
        return True

    def settle(self, price_usd: float | None, *, answered: bool) -> None:
        """A call has ended. Raises UnpricedError where a limit in USD can't be kept."""
        self._under_way -= 1
        if not answered:
            return
        if price_usd is None:
            if self._limits.usd is not None:
                raise UnpricedError(
                    "a budget in USD can't be kept, because the endpoint doesn't say how many tokens an answer took: "
                    "set eval.budget_calls instead"
                )
            return
        self.usd += price_usd
        self._priced_usd += price_usd
        self._priced += 1

    @property
    def _typical_usd(self) -> float:
        return self._priced_usd / self._priced if self._priced else 0.0
