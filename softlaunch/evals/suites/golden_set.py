"""Golden sets: cases with unique ids, a digest of their content, and who keeps them, since when."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.core.visible import one_line
from softlaunch.evals.suites.case import Case
from softlaunch.metrics import normalise

STALE_AFTER = timedelta(days=183)
"""Six months: an older golden set asks what users asked then."""
_MANY = 10  # cases, from which on what never varies is no accident


class SuiteHeader(BaseModel):
    """Who keeps a golden set, which version it is, and when somebody last looked at whether it still fits."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = ""
    version: str = ""
    """A word for people, such as 2026-11 or 1.4.0; what was run is identified by the digest of the cases."""
    owner: str = ""
    """Who answers for it."""
    purpose: str = ""
    created: date | None = None
    refreshed: date | None = None
    """When cases were last taken from what users ask now."""
    error_budget: Margin | None = None
    """Share of cases that may flicker (vary in both arms) before the set must be repaired; left out: any."""

    segments: tuple[str, ...] = ()
    """Tags that are critical: where one is shown to be worse by more than the tolerance, an eval fails."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.created and self.refreshed and self.refreshed < self.created:
            raise KeyedError(f"{self.refreshed} is before created, which is {self.created}", "refreshed")
        if self.error_budget is not None and self.error_budget.kind is MarginKind.RELATIVE:
            raise KeyedError(f"it is written in points, like '10 points', not '{self.error_budget}'", "error_budget")
        return self

    @property
    def as_of(self) -> date | None:
        """The day whose questions it has; None where nobody wrote one down."""
        return self.refreshed or self.created


class WarningKind(StrEnum):
    """What a person should see to; evals continue meanwhile."""

    STALE = "golden_set_stale"
    UNDATED = "golden_set_undated"
    CONSTANT = "golden_set_constant"


@dataclass(frozen=True, slots=True)
class SuiteWarning:
    """Something about a golden set that a person should see to, with what to do about it."""

    kind: WarningKind
    text: str


@dataclass(frozen=True, slots=True)
class Suite:
    """A golden set: at least one case, ids unique. `digest` is that of the cases, whatever their order."""

    cases: tuple[Case, ...]
    digest: str
    header: SuiteHeader = field(default_factory=SuiteHeader)

    @classmethod
    def of(cls, cases: tuple[Case, ...], header: SuiteHeader | None = None) -> Self:
        """A suite of cases that are known to be sound."""
        digest = sha256("\n".join(sorted(case.digest for case in cases)).encode()).hexdigest()
        return cls(cases, digest, header or SuiteHeader())

    def warnings(self, today: date) -> tuple[SuiteWarning, ...]:
        """What a person should see to on a day: a golden set that is older than six months, or of unknown age.

        And one that expects the same in every case, which no answer has to read the question for.
        """
        return (*self._of_age(today), *self._of_expectations())

    def _of_age(self, today: date) -> Iterator[SuiteWarning]:
        as_of = self.header.as_of
        if as_of is None:
            message = "the golden set has no creation date; add one to its header, under created"
            yield SuiteWarning(WarningKind.UNDATED, message)
        elif today - as_of > STALE_AFTER:
            message = (
                f"the golden set is from {as_of}, {(today - as_of).days} days ago, so it may miss what users ask now; "
                "take cases from the traffic with 'softlaunch suite refresh'"
            )
            yield SuiteWarning(WarningKind.STALE, message)

    def _of_expectations(self) -> Iterator[SuiteWarning]:
        expected = {normalise(str(case.expected)) for case in self.cases if case.expected is not None}
        if len(expected) == 1 and len(self.cases) >= _MANY and all(one.expected is not None for one in self.cases):
            same = one_line(str(self.cases[0].expected))[:40]
            message = (
                f"all {len(self.cases):,} cases expect the same ({same!r}), so an "
                "answer that never changes is right; add cases that expect something else"
            )
            yield SuiteWarning(WarningKind.CONSTANT, message)
