"""The check of a pull request, from a repository to a result.

Each pair of variants is judged by the policy and on the golden set of the base. Where the change edits these too, it is
judged by its own as well, and the graver verdict counts: an edit of the cases or of the tolerance can't hide a loss.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from softlaunch.catalog.records import record_model, record_prompt
from softlaunch.core.clock import utc_now
from softlaunch.core.errors import NotFoundError
from softlaunch.core.variant import ModelVersion
from softlaunch.evals.calls.budget import Limits
from softlaunch.evals.calls.recorded_answers import find_reusable
from softlaunch.evals.foresight import ASSUMED, Variation, measured_variation
from softlaunch.evals.orders import EvalProgress
from softlaunch.evals.suites.golden_set import Suite
from softlaunch.policy.evals import EvalPolicy
from softlaunch.pull_requests.asking import Allowed, sends_the_same, unanswerable, unseen_by_evals, why_not_asked
from softlaunch.pull_requests.changes import AppChange, Pair, change_of
from softlaunch.pull_requests.comparing import Compared, Comparison, compare_pair, less
from softlaunch.pull_requests.deciding import what_would_decide
from softlaunch.pull_requests.planning import Recorded, plan_comparison
from softlaunch.pull_requests.results import AppResult, CheckResult, Conclusion, Judged, PairResult
from softlaunch.pull_requests.sides import AppSide, Side, Sides, Unreadable, both_sides
from softlaunch.pull_requests.turns import taking_turns
from softlaunch.store.database import Database

DEFAULT_REUSE_SECONDS = 30 * 86400.0
OpenLedger = Callable[[], AbstractContextManager[Database]]
Tell = Callable[[str, EvalProgress], None]


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """What to check. Without `apps` it is all; `limits` hold for the whole check; `hosts` may be sent keys, too."""

    folder: Path
    base: str
    head: str | None = None
    apps: tuple[str, ...] = ()
    dry: bool = False
    limits: Limits = field(default_factory=Limits)
    reuse_seconds: float = DEFAULT_REUSE_SECONDS
    hosts: frozenset[str] = frozenset()


def run_check(order: CheckOrder, open_ledger: OpenLedger, tell: Tell, *, has_ledger: bool = True) -> CheckResult:
    """Check what a change does. The ledger is opened only where something is to be judged.

    has_ledger: whether there is one already, in which recorded answers are worth looking for without asking any.
    Raises GitError where a revision isn't there, NotFoundError for an app that isn't, SoftlaunchError where a model
    can't be asked as its files say.
    """
    with ExitStack() as stack:
        sides = stack.enter_context(both_sides(order.folder, order.base, order.head))
        changes = list(_changes(sides, order.apps))
        withheld = _withheld([change for _, change in changes if isinstance(change, AppChange)], order)
        wanted = any(isinstance(change, AppChange) and change.pairs for _, change in changes)
        broken = any(isinstance(change, Unreadable) for _, change in changes)
        dry = order.dry or bool(withheld) or broken
        database = stack.enter_context(open_ledger()) if wanted and (not dry or has_ledger) else None
        judging = _Judging(order, database, tell, dry=dry, left=order.limits)
        apps = tuple(judging.app(name, change) for name, change in changes)
    shown = "the work tree" if sides.head is None else str(sides.head)
    return CheckResult(sides.base, shown, apps, withheld, order.dry)


def _changes(sides: Sides, named: Collection[str]) -> Iterator[tuple[str, AppChange | Unreadable]]:
    """Every app with what becomes of it; an app that moved to another folder is still the same."""
    before, after = dict(sides.before), dict(sides.after)
    known = {_name(one) for one in (*before.values(), *after.values())}
    unknown = sorted(set(named) - known)
    readable = all(isinstance(one, AppSide) for one in after.values())
    if unknown and readable:  # else the app that is meant may be the one whose name can't be read
        there = ", ".join(sorted(known)) or "none: no folder has a softlaunch.yaml"
        raise NotFoundError(f"no app {unknown[0]!r} is in this repository; there are: {there}")
    for folder, head in sorted(after.items()):
        base = before.pop(folder, None) or _moved(before, sides.after, head)
        if not named or _name(head) in named or isinstance(head, Unreadable):
            yield _name(head), _change(base, head)
    for _, base in sorted(before.items()):
        if isinstance(base, AppSide) and (not named or base.app in named):
            yield base.app, change_of(base, None)


def _name(side: Side) -> str:
    return side.app if isinstance(side, AppSide) else side.folder or "."


def _moved(before: dict[str, Side], after: dict[str, Side], head: Side) -> Side | None:
    """The base of an app whose folder is new: the one of its name whose folder is gone."""
    gone = [folder for folder, base in before.items() if folder not in after and _name(base) == _name(head)]
    return before.pop(gone[0]) if gone else None


def _change(base: Side | None, head: Side) -> AppChange | Unreadable:
    if isinstance(head, Unreadable):
        return head
    if isinstance(base, Unreadable):
        return Unreadable(head.folder, f"at the base the app can't be read, so nothing can be compared: {base.problem}")
    return change_of(base, head)


def _withheld(changes: Sequence[AppChange], order: CheckOrder) -> tuple[str, ...]:
    """Why no model may be asked; nothing where all can, or where none is needed."""
    if order.dry:
        return ()
    reasons: list[str] = []
    for change in changes:
        if change.base is not None and change.pairs:
            asked = [variant.model for pair in change.pairs for variant in (pair.base, pair.head)]
            asked += [model for side in (change.base, change.head) if side is not None for model in _judges(side)]
            allowed = Allowed.by(change.base.files.models, order.hosts)
            reasons += why_not_asked(asked, allowed, os.environ)
    return tuple(dict.fromkeys(reasons))


def _judges(side: AppSide) -> list[ModelVersion]:
    judge = side.files.policy.eval.judge
    return [] if judge is None else [model for model in side.files.models if model.name in judge.models]


@dataclass(slots=True)
class _Judging:
    """Judges app after app; `left` is what may still be spent."""

    order: CheckOrder
    database: Database | None
    tell: Tell
    dry: bool
    left: Limits

    def app(self, name: str, change: AppChange | Unreadable) -> AppResult:
        """An app, with everything that was judged of it."""
        if isinstance(change, Unreadable):
            return AppResult(name, change.folder, None, problem=change.problem)
        side = change.head or change.base
        folder = "" if side is None else side.folder
        if self.dry or self.database is None:
            pairs = tuple(self._pair(change, pair) for pair in change.pairs)
        else:
            with taking_turns(self.database, name):
                pairs = tuple(self._pair(change, pair) for pair in change.pairs)
        return AppResult(name, folder, change, pairs, warnings=_warnings(change))

    def _pair(self, change: AppChange, pair: Pair) -> PairResult:
        assert change.base is not None  # noqa: S101  (a pair has both)
        assert change.head is not None  # noqa: S101
        if not change.judged_twice:
            return PairResult(pair, (self._judged("", change, pair, change.base),))
        old, own = "the base's golden set and policy", "the change's own golden set and policy"
        first = self._judged(old, change, pair, change.base)
        return PairResult(pair, (first, self._judged(own, change, pair, change.head)))

    def _judged(self, on: str, change: AppChange, pair: Pair, side: AppSide) -> Judged:
        """A pair by one side's policy on its golden set, as far as that goes without a call."""
        suite, policy = side.suite, side.files.policy.eval
        if suite is None:
            reason = "the policy names no golden set (eval.golden_set), so there is nothing to ask"
            return Judged(on, Conclusion.NOT_JUDGED, reason)
        if sends_the_same(pair.base, pair.head, suite.cases):
            unseen = unseen_by_evals(pair.base, pair.head)
            reason = "what is sent to the model is the same for every case, so its answers are too"
            more = (
                f"; {' and '.join(unseen)} differ, which no eval can see, so a person has to decide" if unseen else ""
            )
            return Judged(on, Conclusion.REVIEW if unseen else Conclusion.PASS, f"{reason}{more}")
        problem = unanswerable(pair.head, suite.cases)
        if problem:
            outgrown = side is change.base and change.judged_twice
            return Judged(on, Conclusion.REVIEW if outgrown else Conclusion.FAIL, f"it can't be asked: {problem}")
        if self.dry or self.database is None:
            variation = self._variation(change.app, suite)
            plan = plan_comparison((pair.base, pair.head), suite, policy, self._recorded(pair), variation)
            return Judged(on, Conclusion.NOT_JUDGED, "no model was asked", plan=plan)
        return self._compared(self.database, on, change, pair, side)

    def _compared(self, database: Database, on: str, change: AppChange, pair: Pair, side: AppSide) -> Judged:
        policy, golden_set = side.files.policy.eval, side.golden_set
        assert golden_set is not None  # noqa: S101  (there is a suite)
        limits = _lower(self.left, Limits(policy.budget_calls, policy.budget_usd))
        if limits.calls == 0 or limits.usd == 0:
            return Judged(on, Conclusion.INCONCLUSIVE, "the budget of the check was used up before; raise it")
        _record_judges(database, side, policy)
        reuse = self.order.reuse_seconds
        wanted = Comparison(change.app, pair.base, pair.head, golden_set, policy, limits, reuse)
        compared = compare_pair(database, wanted, partial(self.tell, f"{change.app}, {pair.name}"))
        self.left = less(self.left, compared.calls, compared.cost_usd)
        return Judged.of(on, compared, _decides(compared))

    def _variation(self, app: str, suite: Suite) -> Variation:
        if self.database is None:
            return ASSUMED
        with self.database.read() as session:
            return measured_variation(session, app, suite.cases)

    def _recorded(self, pair: Pair) -> Recorded:
        if self.database is None:
            return {}
        since = utc_now() - timedelta(seconds=self.order.reuse_seconds)
        with self.database.read() as session:
            return find_reusable(session, "", [pair.base.digest, pair.head.digest], since)


def _lower(one: Limits, other: Limits) -> Limits:
    """The tighter of two limits, each for itself."""
    calls = [limit for limit in (one.calls, other.calls) if limit is not None]
    usd = [limit for limit in (one.usd, other.usd) if limit is not None]
    return Limits(min(calls, default=None), min(usd, default=None))


def _decides(compared: Compared) -> tuple[str, ...]:
    budget = (f"{compared.halted}; with a larger one the rest is asked",) if compared.halted else ()
    return (*budget, *what_would_decide(compared.report, compared.answers))


def _record_judges(database: Database, side: AppSide, policy: EvalPolicy) -> None:
    """Record the judges of a policy, where the ledger doesn't have them: evals find them there.

    Models and prompts that are judged are not recorded: what is not merged must not take a name.
    """
    if policy.judge is None:
        return
    models = {model.name: model for model in side.files.models}
    prompts = {one.prompt.label: one for one in side.files.prompts}
    now = utc_now()
    with database.begin() as session:
        for name in policy.judge.models:
            if name in models:
                record_model(session, models[name], side.place(side.files.models_path), now)
        for label in policy.judge.prompts.values():
            if label in prompts:
                record_prompt(session, prompts[label].prompt, side.place(prompts[label].path), now)


def _warnings(change: AppChange) -> tuple[str, ...]:
    """What a person should see to in the golden set that the change leaves."""
    side = change.head
    if side is None or side.suite is None or not change.any:
        return ()
    return tuple(one.text for one in side.suite.warnings(utc_now().date()))
