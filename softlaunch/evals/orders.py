"""What an eval is asked to do, and how far it is."""

from dataclasses import dataclass
from pathlib import Path

from softlaunch.core.variant import Variant
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.evals.suites.suite import Suite, load_suite
from softlaunch.policy.evals import EvalPolicy


@dataclass(frozen=True, slots=True)
class EvalOrder:
    """What to compare, how, and under which name the answers are kept. `suite` replaces the golden set's file."""

    run_id: str
    app: str
    release_id: str | None
    stable: Variant
    candidate: Variant
    policy: EvalPolicy
    golden_set: Path
    suite: Suite | None = None

    @property
    def asked(self) -> Suite:
        """The golden set. Raises SuiteError where its file is broken."""
        return self.suite or load_suite(self.golden_set)


@dataclass(frozen=True, slots=True)
class EvalProgress:
    """How far an eval is. `planned` grows when a first comparison is inconclusive; the report comes with the last call.

    `cost_usd` covers the answered calls so far; None where none was answered or a price is unknown. `halted` is why no
    more calls are made although some are missing; the report is then on what there is.
    """

    done: int
    planned: int
    cost_usd: float | None
    report: EvalReport | None
    halted: str | None = None
