"""What the fixture `softlaunch_eval` does: find the app and both variants, compare them, and say what came of it."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from softlaunch.catalog.app_folder import POLICY_FILE
from softlaunch.core.errors import NotFoundError, SoftlaunchError
from softlaunch.core.variant import Variant
from softlaunch.evals.calls.budget import Limits
from softlaunch.evals.suites.golden_set import SuiteHeader
from softlaunch.evals.suites.suite import load_suite
from softlaunch.evals.suites.suite_growth import write_suite, written_case
from softlaunch.integrations.git.repository import Repository
from softlaunch.pull_requests.asking import Allowed, why_not_asked
from softlaunch.pull_requests.check import DEFAULT_REUSE_SECONDS
from softlaunch.pull_requests.comparing import Comparison, compare_pair, less
from softlaunch.pull_requests.deciding import what_would_decide
from softlaunch.pull_requests.formats.document import judged_document
from softlaunch.pull_requests.planning import plan_comparison
from softlaunch.pull_requests.results import Conclusion, Judged
from softlaunch.pull_requests.sides import AppSide, Unreadable, both_sides, read_side
from softlaunch.pull_requests.turns import taking_turns
from softlaunch.pytest_plugin.outcomes import EvalResult
from softlaunch.store.database import Database

Cases = str | Path | Sequence[str] | Sequence[Mapping[str, Any]]


class EvalUsageError(SoftlaunchError):
    """A call of `softlaunch_eval`, or a marker, that says too little or contradicts itself."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an eval compares, by the marker or the call; budgets, which all evals of a test share, by the marker."""

    app: str | None = None
    variant: str | None = None
    against: str | None = None
    base: str | None = None
    cases: Cases | None = None
    budget_calls: int | None = None
    budget_usd: float | None = None


def wanted_by(marks: Sequence[Mapping[str, Any]], base: str | None) -> Wanted:
    """What markers say, the nearest first, and the command line for the base. Raises EvalUsageError."""
    found: dict[str, Any] = {"base": base}
    known = {field.name for field in fields(Wanted)}
    for mark in reversed(marks):
        unknown = sorted(mark.keys() - known)
        if unknown:
            raise EvalUsageError(f"the marker softlaunch takes {', '.join(sorted(known))}, and not {unknown[0]!r}")
        found.update(mark)
    return Wanted(**found)


@dataclass(frozen=True)
class SoftlaunchEval:
    """The fixture: call it to compare two variants of an app."""

    root: Path
    database: Database | None
    endpoint: str | None
    defaults: Wanted
    found: list[dict[str, Any]]

    def __call__(
        self,
        app: str | None = None,
        *,
        variant: str | None = None,
        against: str | None = None,
        base: str | None = None,
        cases: Cases | None = None,
    ) -> EvalResult:
        """Compare `variant` with what it was at the revision `base`, or with the variant `against`.

        app: the app's name, or its folder. variant: its name in variants.yaml; left out, the stable one. against: left
        out, the stable one. cases: a golden set's file, ids of cases, or cases; left out, the app's golden set. What
        is left out altogether is what the marker says. Raises SoftlaunchError.
        """
        named = {"app": app, "variant": variant, "against": against, "base": base, "cases": cases}
        given: dict[str, Any] = {name: one for name, one in named.items() if one is not None}
        wanted = replace(self.defaults, **given)
        with ExitStack() as stack:
            head = self._side(wanted)
            name, before, after = self._pair(stack, wanted, head)
            golden_set = stack.enter_context(_golden_set(wanted.cases, head))
            result = EvalResult(f"{head.app}, {name}", self._judged(wanted, head, (before, after), golden_set))
        self.found.append({"eval": result.name, **judged_document(result.judged), "text": str(result)})
        return result

    def _side(self, wanted: Wanted) -> AppSide:
        if wanted.app is None:
            raise EvalUsageError(
                "name the app: softlaunch_eval('apps/shop'), or @pytest.mark.softlaunch(app='apps/shop')"
            )
        folder = wanted.app if (self.root / wanted.app / POLICY_FILE).is_file() else self._folder_of(wanted.app)
        side = read_side(self.root, folder)
        if isinstance(side, Unreadable):
            raise EvalUsageError(side.problem)
        return side

    def _folder_of(self, app: str) -> str:
        repository = Repository(self.root)
        sides = [read_side(repository.folder, str(Path(path).parent)) for path in repository.present(POLICY_FILE)]
        for side in sides:
            if isinstance(side, AppSide) and side.app == app:
                return os.path.relpath(side.files.path, self.root)
        known = ", ".join(sorted(side.app for side in sides if isinstance(side, AppSide))) or "none"
        raise NotFoundError(f"no app {app!r} is in {self.root}; there are: {known}")

    def _pair(self, stack: ExitStack, wanted: Wanted, head: AppSide) -> tuple[str, Variant, Variant]:
        """The variant's name, and both to compare."""
        name = wanted.variant or head.files.stable
        after = _variant(head, name)
        if wanted.against is None and wanted.base is not None:
            sides = stack.enter_context(both_sides(head.files.path, wanted.base))
            before = next(
                (one for one in sides.before.values() if isinstance(one, AppSide) and one.app == head.app), None
            )
            if before is None:
                raise NotFoundError(f"{head.app} isn't at {sides.base}; compare with another variant: against=NAME")
            known = before.files.variants
            return name, self._placed(known.get(name, known[before.files.stable])), self._placed(after)
        against = wanted.against or head.files.stable
        if against == name:
            raise EvalUsageError(
                f"{name} would be compared with itself: name another variant, or a revision (--softlaunch-base, base=)"
            )
        return name, self._placed(_variant(head, against)), self._placed(after)

    def _placed(self, variant: Variant) -> Variant:
        if self.endpoint is None:
            return variant
        content = variant.model_dump(mode="json")
        return Variant.model_validate({**content, "model": {**content["model"], "endpoint": self.endpoint}})

    def _judged(self, wanted: Wanted, head: AppSide, pair: tuple[Variant, Variant], golden_set: Path) -> Judged:
        before, after = pair
        policy = head.files.policy.eval
        if before.digest == after.digest:
            return Judged("", Conclusion.PASS, "the variant hasn't changed, so nothing was asked")
        if self.database is None:
            plan = plan_comparison(pair, load_suite(golden_set), policy, {})
            return Judged("", Conclusion.NOT_JUDGED, "no model was asked", plan=plan)
        models = [before.model, after.model]
        missing = why_not_asked(models, Allowed.by(models, ()), os.environ)
        if missing:
            raise EvalUsageError(f"{'; '.join(missing)}; or plan only, with --softlaunch-dry")
        limits = Limits(wanted.budget_calls or policy.budget_calls, wanted.budget_usd or policy.budget_usd)
        for one in self.found:
            spent = one["comparison"] or {"calls": 0, "cost_usd": 0.0}
            limits = less(limits, spent["calls"], spent["cost_usd"])
        if limits.calls == 0 or limits.usd == 0:
            return Judged("", Conclusion.INCONCLUSIVE, "the budget of the test was used up before; raise it")
        comparison = Comparison(head.app, before, after, golden_set, policy, limits, DEFAULT_REUSE_SECONDS)
        with taking_turns(self.database, head.app):
            compared = compare_pair(self.database, comparison, lambda _: None)
        return Judged.of("", compared, what_would_decide(compared.report, compared.answers))


def _variant(side: AppSide, name: str) -> Variant:
    if name not in side.files.variants:
        raise NotFoundError(f"{side.app} has no variant {name!r}; variants.yaml has {', '.join(side.files.variants)}")
    return side.files.variants[name]


@contextmanager
def _golden_set(cases: Cases | None, side: AppSide) -> Iterator[Path]:
    """A file with the cases to ask."""
    if cases is None:
        if side.golden_set is None:
            raise EvalUsageError(f"{side.app} has no golden set; give cases=")
        yield side.golden_set
        return
    if isinstance(cases, str | Path):
        yield Path(cases)
        return
    with tempfile.TemporaryDirectory(prefix="softlaunch-cases-") as folder:
        path = Path(folder) / "cases.jsonl"
        suite = side.suite
        known = {} if suite is None else {case.id: case for case in suite.cases}
        unknown = [one for one in cases if isinstance(one, str) and one not in known]
        if unknown:
            raise NotFoundError(
                f"the golden set of {side.app} has no case {unknown[0]!r}; see 'softlaunch suite stats'"
            )
        rows = [written_case(known[one]) if isinstance(one, str) else dict(one) for one in cases]
        write_suite(path, _header(side), rows)
        yield path


def _header(side: AppSide) -> SuiteHeader:
    return SuiteHeader() if side.suite is None else side.suite.header
