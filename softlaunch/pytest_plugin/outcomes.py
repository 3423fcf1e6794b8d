"""What an eval in a test came to: its verdict, its figures, and the assertion that fails in words."""

from dataclasses import dataclass

import pytest

from softlaunch.evals.statistics.report import EvalReport
from softlaunch.pull_requests.formats.text import case_lines, judged_lines
from softlaunch.pull_requests.results import Conclusion, Judged


@dataclass(frozen=True)
class EvalResult:
    """What an eval came to."""

    name: str
    judged: Judged

    @property
    def verdict(self) -> str:
        """`pass`, `fail`, `review`, `inconclusive`, or `not judged` in a dry run."""
        return self.judged.conclusion.value

    @property
    def report(self) -> EvalReport | None:
        """All figures; None where nothing was asked."""
        return None if self.judged.compared is None else self.judged.compared.report

    @property
    def interval(self) -> tuple[float, float] | None:
        """Between which bounds the first metric's change lies: points of a score, or percent of what it was."""
        if self.report is None or not self.report.metrics:
            return None
        one = self.report.metrics[0]
        ends = sorted((-one.estimate.lower * 100, -one.estimate.upper * 100))
        return ends[0], ends[1]

    @property
    def calls(self) -> int:
        """Calls that it took."""
        return 0 if self.judged.compared is None else self.judged.compared.calls

    @property
    def reused(self) -> int:
        """Answers that earlier evals had paid for."""
        return 0 if self.judged.compared is None else self.judged.compared.reused

    @property
    def cost_usd(self) -> float | None:
        """What its calls cost; None where that is unknown."""
        return None if self.judged.compared is None else self.judged.compared.cost_usd

    def assert_no_worse(self) -> None:
        """Fail the test unless the variant is shown to be no worse by more than the tolerance; skip it in a dry run."""
        __tracebackhide__ = True
        if self.judged.conclusion is Conclusion.PASS:
            return
        if self.judged.conclusion is Conclusion.NOT_JUDGED:
            pytest.skip(f"{self.name}: not judged, because --softlaunch-dry makes no call")
        raise AssertionError(str(self))

    def __str__(self) -> str:
        """The verdict with its figures, and the cases that lost most."""
        rows = [line for row in self.judged.worst for line in case_lines(row)]
        return "\n".join([f"{self.name}: {self.verdict}", *judged_lines(self.judged), *rows])
