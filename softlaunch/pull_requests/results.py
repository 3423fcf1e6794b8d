"""What a check found: frozen values that every format is written from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from softlaunch.core.verdict import Outcome
from softlaunch.evals.statistics.report import CaseRow
from softlaunch.integrations.git.repository import Commit
from softlaunch.pull_requests.changes import AppChange, Pair
from softlaunch.pull_requests.comparing import Compared
from softlaunch.pull_requests.planning import Plan

WORST_CASES = 5


class Conclusion(StrEnum):
    """What a check comes to, in one word; in the order of gravity."""

    BROKEN = "broken"
    """Files of the change can't be read or used, so nothing was judged."""
    FAIL = "fail"
    REVIEW = "review"
    INCONCLUSIVE = "inconclusive"
    NOT_JUDGED = "not judged"
    """Only the part without calls was done."""
    PASS = "pass"  # noqa: S105  (a verdict, not a password)
    UNCHANGED = "unchanged"
    """No variant is touched."""


_OF_OUTCOME = {
    Outcome.PASS: Conclusion.PASS,
    Outcome.FAIL: Conclusion.FAIL,
    Outcome.REVIEW: Conclusion.REVIEW,
    Outcome.INCONCLUSIVE: Conclusion.INCONCLUSIVE,
    Outcome.ERROR: Conclusion.INCONCLUSIVE,
}


def gravest(conclusions: Iterable[Conclusion]) -> Conclusion:
    """What several conclusions come to; nothing at all is unchanged."""
    order = list(Conclusion)
    return min(conclusions, key=order.index, default=Conclusion.UNCHANGED)


@dataclass(frozen=True, slots=True)
class Judged:
    """A pair judged on one golden set under one policy.

    `on` says which where there are two. Without `compared` nothing was asked, for the `reason` given. `decides` is what
    would decide it, where it is undecided.
    """

    on: str
    conclusion: Conclusion
    reason: str
    compared: Compared | None = None
    decides: tuple[str, ...] = ()
    plan: Plan | None = None

    @classmethod
    def of(cls, on: str, compared: Compared, decides: tuple[str, ...]) -> "Judged":
        """What a comparison came to."""
        report = compared.report
        return cls(on, _OF_OUTCOME[report.outcome], report.reason, compared, decides)

    @property
    def worst(self) -> Sequence[CaseRow]:
        """The cases that lost most, the heaviest losses first."""
        rows = [] if self.compared is None else self.compared.report.cases
        lost = [row for row in rows if row.change is not None and row.change < 0]
        return sorted(lost, key=lambda row: ((row.change or 0) * row.weight, row.case_id))[:WORST_CASES]


@dataclass(frozen=True, slots=True)
class PairResult:
    """A pair with what was judged of it."""

    pair: Pair
    judged: tuple[Judged, ...]

    @property
    def conclusion(self) -> Conclusion:
        """The gravest of what was judged."""
        return gravest(one.conclusion for one in self.judged)

    @property
    def worst(self) -> Sequence[CaseRow]:
        """The cases that lost most where it was judged gravest."""
        return next((one.worst for one in self.judged if one.conclusion is self.conclusion), ())


@dataclass(frozen=True, slots=True)
class AppResult:
    """An app with its pairs; `problem` is why its files can't be used, and `folder` where they are."""

    name: str
    folder: str
    change: AppChange | None
    pairs: tuple[PairResult, ...] = ()
    problem: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def conclusion(self) -> Conclusion:
        """The gravest of its pairs."""
        return Conclusion.BROKEN if self.problem else gravest(one.conclusion for one in self.pairs)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found. `withheld` is why only the part without calls was done, unless it was `asked_dry`."""

    base: Commit
    head: str
    apps: tuple[AppResult, ...]
    withheld: tuple[str, ...] = ()
    asked_dry: bool = False

    @property
    def conclusion(self) -> Conclusion:
        """The gravest of all apps."""
        return gravest(one.conclusion for one in self.apps)

    @property
    def touched(self) -> tuple[AppResult, ...]:
        """The apps of which anything has changed."""
        return tuple(one for one in self.apps if one.problem or (one.change is not None and one.change.any))

    @property
    def calls(self) -> int:
        """Calls that the check's comparisons took, whoever began them."""
        return sum(one.calls for one in self._compared)

    @property
    def reused(self) -> int:
        """Answers that earlier runs had paid for."""
        return sum(one.reused for one in self._compared)

    @property
    def cost_usd(self) -> float | None:
        """USD of the comparisons; None where nothing was answered, or any price is unknown."""
        paid = [one.cost_usd for one in self._compared if one.calls]
        known = [one for one in paid if one is not None]
        return sum(known) if paid and len(known) == len(paid) else None

    @property
    def _compared(self) -> list[Compared]:
        judged = (one for app in self.apps for result in app.pairs for one in result.judged)
        return [one.compared for one in judged if one.compared is not None]


MEANINGS = {
    Conclusion.BROKEN: "files of the change can't be used; nothing was judged",
    Conclusion.FAIL: "the change makes answers worse by more than may be tolerated",
    Conclusion.REVIEW: "a person has to decide",
    Conclusion.INCONCLUSIVE: "shown is neither that the change is good enough nor that it isn't",
    Conclusion.NOT_JUDGED: "no model was asked, so nothing is known of the answers",
    Conclusion.PASS: "answers are no worse by more than the tolerance",
    Conclusion.UNCHANGED: "no variant is touched, so nothing was asked",
}
"""Each conclusion in a sentence."""
