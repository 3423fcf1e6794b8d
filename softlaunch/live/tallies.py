"""What live judging has come to in a stage and on a day: counts that judgements add to, and what is left to spend."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from softlaunch.policy.live import LiveBudgetPolicy
from softlaunch.store.tables import LiveTallyRow


@dataclass(frozen=True, slots=True)
class Tally:
    """Calls of judges, what the priced ones of them cost, and what became of judgements; see LiveTallyRow."""

    calls: int = 0
    cost_usd: float = 0.0
    judged: int = 0
    unreadable: int = 0
    unanswered: int = 0
    let_go: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(one + more for one, more in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    @property
    def over(self) -> int:
        """Judgements that judges were asked for and that are over."""
        return self.judged + self.unreadable + self.unanswered


NOTHING = Tally()
"""Of a period in which nobody was asked."""


def stage_period(release_id: str, position: int) -> str:
    """The period of a stage."""
    return f"{release_id}/{position}"


def day_period(at: float) -> str:
    """The period of the day (UTC) of a moment (epoch seconds)."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def read_tally(session: Session, app: str, period: str) -> Tally:
    """What a period has come to; nothing where nobody was asked."""
    row = session.get(LiveTallyRow, (app, period), populate_existing=True)
    if row is None:
        return NOTHING
    return Tally(row.calls, row.cost_usd, row.judged, row.unreadable, row.unanswered, row.let_go)


def add_tallies(session: Session, app: str, found: Mapping[str, Tally]) -> None:
    """Add to periods."""
    table: Any = LiveTallyRow.__table__  # type: ignore[attr-defined]  # SQLModel doesn't declare it
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    for period, more in sorted(
        found.items()
    ):  # always in the same order, so that two evaluators can't block each other
        statement = insert(table).values(app=app, period=period, **asdict(more))
        grown = {name: table.c[name] + statement.excluded[name] for name in asdict(more)}
        session.connection().execute(statement.on_conflict_do_update(index_elements=["app", "period"], set_=grown))


@dataclass(frozen=True, slots=True)
class Spending:
    """What judges may take in a period and have taken; `under_way` judgements are being asked for.

    Each takes `judges` calls at least, and is taken to cost what those that are over did on average; while nobody knows
    what one costs, one is asked for at a time.
    """

    calls: int
    usd: float | None
    tally: Tally
    judges: int
    under_way: int = 0

    @property
    def affordable(self) -> int:
        """How many more judgements may be begun."""
        by_calls = (self.calls - self.tally.calls) // self.judges - self.under_way
        if self.usd is None:
            return max(by_calls, 0)
        if not self.tally.over:
            return max(min(by_calls, 1 - self.under_way), 0)
        typical = self.tally.cost_usd / self.tally.over
        left = self.usd - self.tally.cost_usd - typical * self.under_way
        by_usd = by_calls if not typical and left > 0 else int(left / typical) if typical else 0
        return max(min(by_calls, by_usd), 0)

    @property
    def spent_out(self) -> str:
        """Which limit leaves no room, in words; empty where there is room, and while something is asked for."""
        if self.affordable or self.under_way:
            return ""
        if (self.calls - self.tally.calls) // self.judges < 1:
            return f"the budget of {self.calls:,} calls is used up"
        return f"the budget of ${self.usd:g} is used up (${self.tally.cost_usd:.4g} spent)"


def spending(
    budget: LiveBudgetPolicy, stage: Tally, day: Tally, judges: int, under_way: tuple[int, int] = (0, 0)
) -> tuple[Spending, Spending]:
    """What a stage and a day have left; `under_way` are the stage's judgements that are asked for, and the day's."""
    return (
        Spending(budget.stage_calls, budget.stage_usd, stage, judges, under_way[0]),
        Spending(budget.day_calls, budget.day_usd, day, judges, under_way[1]),
    )
