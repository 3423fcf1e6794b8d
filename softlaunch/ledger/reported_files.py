"""Values of an app's own metrics from a file: what is taken of it, and what isn't and why."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.split import unit_hash
from softlaunch.core.verdict import Per
from softlaunch.ledger.logged import of_request
from softlaunch.ledger.reported import REPORTED, last_request
from softlaunch.policy.named_metrics import MetricKind, MetricPolicy
from softlaunch.policy.units import UnitPolicy
from softlaunch.store.database import Database
from softlaunch.store.tables import RequestRow, RouteRow, ScoreRow

_ROWS = 100  # in one transaction, which must be over before gates expect its values
_TRIES = 3
_TRUE_OR_FALSE = {"true": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "0": 0.0, "0.0": 0.0}
_Numbered = tuple[int, Mapping[str, str]]
_REQUEST, _UNIT = "request_id", "unit"


class ReportFileError(SoftlaunchError):
    """A file of values that can't be read at all."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row of the file, counted from 1 below its header, that wasn't taken, and why."""

    row: int
    reason: str


@dataclass(slots=True)
class Imported:
    """How many values were `accepted` or `known` before, which rows were refused, and columns that mean nothing."""

    accepted: int = 0
    known: int = 0
    refused: list[Refusal] = field(default_factory=list)
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reporter:
    """Takes values of an app. `salt` makes the pseudonyms of its units."""

    database: Database
    app: str
    salt: str
    unit: UnitPolicy
    metrics: Mapping[str, MetricPolicy]

    def import_file(self, path: Path, now: Callable[[], float]) -> Imported:
        """Take a CSV file in; it may be taken in again, then everything is known. Raises ReportFileError."""
        columns, rows = _opened(path)
        named = [name for name in columns if name in self.metrics]
        if not named or not {_REQUEST, _UNIT} & set(columns):
            declared = ", ".join(self.metrics) or "none yet: declare 'metrics' in the policy, and apply it"
            raise ReportFileError(
                f"{path}: expected a column {_REQUEST} or {_UNIT}, and one or more of the app's metrics ({declared}); "
                f"found {', '.join(columns)}"
            )
        done = Imported(ignored=tuple(name for name in columns if name not in {*named, _REQUEST, _UNIT}))
        numbered = enumerate(rows, start=1)
        while chunk := list(islice(numbered, _ROWS)):
            self._take(chunk, named, now, done)
        return done

    def _take(
        self,
        rows: Sequence[tuple[int, Mapping[str, str]]],
        named: Sequence[str],
        now: Callable[[], float],
        done: Imported,
    ) -> None:
        """Take some rows in one transaction, again where a gateway was quicker with one of them."""
        for left in reversed(range(_TRIES)):
            found = Imported()
            try:
                with self.database.begin() as session:
                    for number, row in rows:
                        try:
                            self._take_row(session, row, named, now(), found)
                        except ValueError as error:
                            found.refused.append(Refusal(number, str(error)))
                    session.flush()
            except IntegrityError:
                if not left:
                    raise
                continue
            break
        done.accepted, done.known = done.accepted + found.accepted, done.known + found.known
        done.refused.extend(found.refused)

    def _take_row(
        self, session: Session, row: Mapping[str, str], named: Sequence[str], now: float, found: Imported
    ) -> None:
        """Take one row whole, or raise ValueError with why not."""
        given = {name: text.strip() for name in named if (text := row.get(name) or "").strip()}
        if not given:
            raise ValueError("it has no value of any metric")
        values = {name: _read(self.metrics[name], text) for name, text in given.items()}
        request_id, heard = self._request(session, row, values, now)
        fresh = {name: value for name, value in values.items() if name not in heard}
        for name, value in fresh.items():
            session.add(
                ScoreRow(
                    request_id=request_id, app=self.app, metric=name, value=value, source=REPORTED, received_at=now
                )
            )
        found.accepted += len(fresh)
        found.known += len(values) - len(fresh)

    def _request(
        self, session: Session, row: Mapping[str, str], values: Iterable[str], now: float
    ) -> tuple[str, frozenset[str]]:
        """The request that a row is of, and the metrics that were heard of it."""
        since = now - min(self.metrics[name].window for name in values)
        request_id, unit = (row.get(_REQUEST) or "").strip(), (row.get(_UNIT) or "").strip()
        if bool(request_id) == bool(unit):
            raise ValueError(f"it needs either a {_REQUEST} or a {_UNIT}")
        if unit:
            return self._of_unit(session, unit, values, since)
        asked = select(col(RequestRow.started_at)).where(
            of_request(request_id),
            col(RequestRow.app) == self.app,
            col(RequestRow.mirrored).is_(False),
        )
        began = session.scalars(asked).first()
        if began is None:
            raise ValueError(f"{self.app} has no request {request_id!r} in its log")
        if began < since:
            raise ValueError(f"request {request_id!r} is older than the metric's window")
        heard = select(col(ScoreRow.metric)).where(col(ScoreRow.request_id) == request_id)
        return request_id, frozenset(session.scalars(heard))

    def _of_unit(self, session: Session, unit: str, values: Iterable[str], since: float) -> tuple[str, frozenset[str]]:
        single = next((name for name in values if self.metrics[name].unit is Per.REQUEST), None)
        if single is not None:
            raise ValueError(f"{single} is of single requests by the policy; it needs a {_REQUEST}")
        if self.unit.redraw is not None:
            raise ValueError(f"the app's units are drawn afresh, so that none is known by its name; give a {_REQUEST}")
        route = session.get(RouteRow, self.app)
        release_id = None if route is None else route.release_id
        spoken = last_request(session, self.app, unit_hash(unit, self.salt), release_id, since)
        if spoken is None:
            raise ValueError("this unit has asked nothing lately, or not since the metric's window")
        return spoken.request_id, spoken.heard


def _read(metric: MetricPolicy, text: str) -> float:
    try:
        if metric.kind is MetricKind.SHARE:
            return _TRUE_OR_FALSE[text.lower()]
        return metric.read(float(text))
    except (KeyError, ValueError):
        raise ValueError(f"{metric.name} is {text!r}; {metric.expected}") from None


def _opened(path: Path) -> tuple[list[str], Iterator[dict[str, str]]]:
    """The columns of a file and its rows, read one by one. Raises ReportFileError."""
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        raise ReportFileError(f"{path} has no rows below its header")
    return list(first), _again(first, rows)


def _again(first: dict[str, str], rest: Iterator[dict[str, str]]) -> Iterator[dict[str, str]]:
    yield first
    yield from rest


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines, restkey="", restval=""):
                yield {name: text for name, text in row.items() if isinstance(text, str)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReportFileError(f"{path} can't be read as CSV in UTF-8: {error}") from error
