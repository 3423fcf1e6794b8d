"""What users and outside judges say about an answer, and what an app reports came of it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from softlaunch.core.live_metrics import SCORED
from softlaunch.core.request_ids import app_of
from softlaunch.gateway.wire import RefusedError
from softlaunch.ledger.reported import REPORTED
from softlaunch.ledger.request_log import FeedbackRecord, ScoreRecord
from softlaunch.policy.named_metrics import MetricPolicy

_KINDS = ("thumbs", "stars", "scores", "metrics")
_THUMBS = {"up": 1.0, "down": 0.0}
_SOURCE = "feedback"
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}-[0-9a-f]{1,32}")


def parse_feedback(
    body: Mapping[str, Any], now: float, declared: Callable[[str], Sequence[MetricPolicy]] = lambda _: ()
) -> list[FeedbackRecord | ScoreRecord]:
    """The rows that one piece of feedback makes; `declared` are an app's own metrics. Raises RefusedError with 400."""
    request_id = body.get("request_id")
    if not isinstance(request_id, str) or not _ID.fullmatch(request_id):
        raise _bad("request_id", "must be the value of an answer's x-softlaunch-request-id header")
    given = [kind for kind in _KINDS if body.get(kind) is not None]
    if len(given) != 1:
        raise _bad("thumbs", "or 'stars', 'scores' or 'metrics' must be given, exactly one of them")
    kind = given[0]
    if kind == "metrics":
        values = parse_values(body[kind], declared(app_of(request_id)))
        return [ScoreRecord(request_id, app_of(request_id), name, one, REPORTED, now) for name, one in values.items()]
    if kind == "scores":
        return [
            ScoreRecord(request_id, app_of(request_id), metric, value, _SOURCE, now)
            for metric, value in _scores(body["scores"]).items()
        ]
    satisfaction = _of_thumbs(body[kind]) if kind == "thumbs" else _of_stars(body[kind])
    return [FeedbackRecord(request_id, app_of(request_id), satisfaction, kind, now)]


def parse_values(value: object, declared: Sequence[MetricPolicy]) -> dict[str, float]:
    """Values of an app's own metrics, by name. Raises RefusedError with 400."""
    known = {metric.name: metric for metric in declared}
    if not isinstance(value, dict) or not value or not set(value) <= set(known):
        names = ", ".join(known) or "nothing yet: declare 'metrics' in the app's policy, and apply it"
        raise _bad("metrics", f"must be an object with one or more of: {names}")
    found = {}
    for name, one in value.items():
        try:
            found[name] = known[name].read(one)
        except ValueError as error:
            raise _bad(f"metrics.{name}", f"is not understood: {error}") from error
    return found


def _of_thumbs(value: object) -> float:
    if not isinstance(value, str) or value not in _THUMBS:
        raise _bad("thumbs", "must be 'up' or 'down'")
    return _THUMBS[value]


def _of_stars(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5:
        raise _bad("stars", "must be a whole number from 1 to 5")
    return (value - 1) / 4


def _scores(value: object) -> dict[str, float]:
    if not isinstance(value, dict) or not value or not set(value) <= set(SCORED):
        raise _bad("scores", f"must be an object with one or more of: {', '.join(SCORED)}")
    for metric, score in value.items():
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise _bad(f"scores.{metric}", "must be a number from 0 to 1")
    return {metric: float(score) for metric, score in value.items()}


def _bad(param: str, what: str) -> RefusedError:
    return RefusedError(400, f"'{param}' {what}", param=param, code="invalid_value")
