"""The view that another database shows of an app's requests, and how it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Float, Select, String, TableClause, and_, column, exists, func, select, table

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gates.observations import Events
from softlaunch.gates.telemetry import TelemetryError
from softlaunch.telemetry.batch import Batch
from softlaunch.telemetry.ratings import Ratings, pseudonym

COLUMNS = ("request_id", "started_at", "arm", "unit", "outcome", "latency_ms", "cost_usd")
_TEXTS = frozenset({"request_id", "arm", "unit", "outcome"})


@dataclass(frozen=True, slots=True)
class RequestView:
    """A view with COLUMNS, and one of the same name for each metric that is scored or rated."""

    name: str
    app: str
    scored: tuple[Metric, ...]

    @property
    def _table(self) -> TableClause:
        names = (*COLUMNS, "app", *(metric.value for metric in self.scored))
        schema, _, name = self.name.rpartition(".")
        columns = [column(one, String() if one in {*_TEXTS, "app"} else Float()) for one in names]
        return table(name, *columns, schema=schema or None)

    def between(self, arms: ByArm[str], began: float, window: tuple[float, float]) -> Select[Any]:
        """The rows of both arms in a window, in order, and whether their unit is first seen in this stage."""
        rows, earlier = self._table, self._table.alias("earlier")
        labels = (arms.candidate, arms.stable)
        known = and_(
            *(earlier.c.app == self.app, earlier.c.unit == rows.c.unit, earlier.c.arm.in_(labels)),
            *(earlier.c.started_at >= began, earlier.c.started_at < window[0]),
        )
        first = ~exists(select(1).select_from(earlier).where(known))
        return (
            select(*rows.c, first.label("first"))
            .where(
                rows.c.app == self.app,
                rows.c.arm.in_(labels),
                rows.c.started_at >= window[0],
                rows.c.started_at < window[1],
            )
            .order_by(rows.c.started_at, rows.c.request_id)
        )

    def latest(self, arm: str, before: float, most: int) -> Select[Any]:
        """An arm's last rows before a moment."""
        rows = self._table
        chosen = select(*rows.c).where(rows.c.app == self.app, rows.c.arm == arm, rows.c.started_at < before)
        return chosen.order_by(rows.c.started_at.desc()).limit(most)

    def newest(self) -> Select[Any]:
        """When the newest row's request began."""
        rows = self._table
        return select(func.max(rows.c.started_at)).where(rows.c.app == self.app)


def pairs(rows: Sequence[Mapping[Any, Any]]) -> list[Mapping[Any, Any]]:
    """The rows of requests that both arms answered: each that was copied, and its copy."""
    arms: dict[str, set[str]] = {}
    for row in rows:
        arms.setdefault(row["request_id"], set()).add(row["arm"])
    return [row for row in rows if len(arms[row["request_id"]]) == 2]


def batch_of(rows: Sequence[Mapping[Any, Any]], arms: ByArm[str]) -> Batch:
    """Rows as the request log would have them; raises TelemetryError where an outcome is none of ours."""
    return Batch.of(
        [
            (
                pseudonym(str(row["unit"])),
                outcome := outcome_of(row["outcome"]),
                row["latency_ms"],
                row["cost_usd"],
                row["started_at"],
                "candidate" if row["arm"] == arms.candidate else "stable",
                outcome is RequestOutcome.CLIENT_GONE,
                np.nan,
                np.nan,
                None,
                row.get("first", True),
            )
            for row in rows
        ]
    )


def ratings_of(rows: Sequence[Mapping[Any, Any]], arms: ByArm[str], scored: Sequence[Metric]) -> list[Ratings]:
    """The scores that rows hold, metric by metric where there are any; each counts when its request began."""
    found = []
    for metric in scored:
        said = [row for row in rows if row[metric.value] is not None]
        if said:
            events = Events(
                np.array([row["started_at"] for row in said], np.float64),
                np.array([pseudonym(str(row["unit"])) for row in said], np.int64),
                np.array([row["arm"] == arms.candidate for row in said], np.bool_),
                {metric: np.array([row[metric.value] for row in said], np.float64)},
                answers=np.array([pseudonym(str(row["request_id"])) for row in said], np.int64),
            )
            found.append(Ratings(metric, events, np.array([row.get("first", True) for row in said], np.bool_)))
    return found


def outcome_of(written: str) -> RequestOutcome:
    """The outcome that is written in a row; raises TelemetryError where there is none of that name."""
    try:
        return RequestOutcome(written)
    except ValueError:
        known = ", ".join(RequestOutcome)
        raise TelemetryError(f"the view has the outcome {written!r}; expected one of {known}") from None
