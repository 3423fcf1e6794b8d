"""Requests from a view of another database, in the place of the request log."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import Engine, Select, create_engine
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Window
from softlaunch.gates.telemetry import HISTORY_ROWS, Reading, Scope, TelemetryError
from softlaunch.policy.release import StageKind
from softlaunch.policy.sources import SqlPolicy
from softlaunch.telemetry.batch import Batch
from softlaunch.telemetry.request_log import windows_of
from softlaunch.telemetry.sql.rows import RequestView, batch_of, pairs, ratings_of

_MOST_SECONDS = 3600.0
"""How much is read at once by a driver that catches up."""
Rows = Sequence[Mapping[Any, Any]]


@dataclass(frozen=True, slots=True)
class SqlTelemetry:
    """Reads a view. A row is complete when it appears, and appears no later than `policy.late` after it began."""

    policy: SqlPolicy
    app: str
    scored: tuple[Metric, ...] = ()

    def read(self, scope: Scope, after: float, now: float) -> Reading:
        """Requests up to as long ago as a row may be late. A view without a new row for long has no data."""
        newest = self._ask(self._view.newest())[0].popitem()[1]
        if newest is None or now - newest > self.policy.stale_after:
            age = "there is none" if newest is None else f"the newest is {now - newest:.0f} s old"
            return Reading((), after, problem=f"no new row in {self.policy.view}: {age}")
        until = max(after, min(now - self.policy.late, after + _MOST_SECONDS))
        arms = self._arms(scope)
        rows = self._ask(self._view.between(arms, scope.began, (after, until)))
        compared = rows if scope.stage.is_split else pairs(rows)
        batch = batch_of(compared, arms)
        said = ratings_of(rows, arms, self.scored) if scope.stage.is_split else []
        candidates = int(np.count_nonzero(batch.of_candidate))
        shown = sum(row["arm"] == self.policy.arms.candidate for row in rows)
        windows = tuple(windows_of(scope, batch, said, (after, until))) if until > after else ()
        return Reading(windows, until, requests=ByArm(candidates, len(batch) - candidates), exposed=shown)

    def read_again(self, scope: Scope, after: float, until: float) -> Iterator[Window]:
        """Requests and scores that were read before, in pieces; nothing where copies are compared."""
        arms = self._arms(scope)
        while scope.stage.is_split and after < until:
            reached = min(until, after + _MOST_SECONDS)
            rows = self._ask(self._view.between(arms, scope.began, (after, reached)))
            yield self._window(rows, arms, scope.stage.candidate_share, reached)
            after = reached

    def history(self, app: str, stable_digest: str, before: float, rows: int = HISTORY_ROWS) -> Window:
        """The last so many requests of stable, whichever variant that was: the view doesn't say."""
        del app, stable_digest
        arms = ByArm(self.policy.arms.candidate, self.policy.arms.stable)
        found = self._ask(self._view.latest(arms.stable, before, rows))[::-1]
        return self._window(found, arms, 0.5, before)

    def _window(self, rows: Rows, arms: ByArm[str], share: float, until: float) -> Window:
        batch: Batch = batch_of(rows, arms)
        said = {one.metric: one.events for one in ratings_of(rows, arms, self.scored)}
        return Window(share, {}, batch.observations(), requests=batch.events(), ratings=said, until=until)

    def _arms(self, scope: Scope) -> ByArm[str]:
        is_shadow, everybody = scope.stage.kind is StageKind.SHADOW, scope.stage.weight_percent == 100
        arms = self.policy.arms.of_stage(shadow=is_shadow, everybody=everybody)
        if arms is None:
            raise TelemetryError(f"sources.sql.arms names no copies, so that {scope.stage.name} can't be judged")
        return arms

    @property
    def _view(self) -> RequestView:
        return RequestView(self.policy.view, self.app, self.scored)

    def _ask(self, query: Select[Any]) -> list[dict[Any, Any]]:
        url = os.environ.get(self.policy.url_env, "")
        if not url:
            raise TelemetryError(f"the environment variable {self.policy.url_env} has no address of a database; set it")
        try:
            with _engine(url).connect() as connection:
                return [dict(row) for row in connection.execute(query).mappings()]
        except (SQLAlchemyError, ArgumentError, ImportError) as error:
            said = str(getattr(error, "orig", None) or error.__class__.__name__).splitlines()[0]
            raise TelemetryError(f"the view {self.policy.view} can't be read: {said}") from error


@cache
def _engine(url: str) -> Engine:
    return create_engine(url, hide_parameters=True, pool_pre_ping=True)
