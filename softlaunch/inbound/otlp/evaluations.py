"""What others say of answers: `gen_ai.evaluation.result`, as an event of a span or as a log record.

It is said of the span that the event belongs to, or of the request that `softlaunch.request_id` names. Its name is that
of a metric that judges score, or that the app's policy declares; blanks and dashes are underscores, and capitals small.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from softlaunch.core.live_metrics import SCORED
from softlaunch.inbound.otlp.attributes import Attributes, number_of, read_attributes, text_of
from softlaunch.inbound.otlp.attribution import Lacking
from softlaunch.inbound.otlp.call_spans import request_id
from softlaunch.inbound.otlp.names import APP, OWN, REQUEST
from softlaunch.ledger.reported import REPORTED
from softlaunch.ledger.request_log import ScoreRecord
from softlaunch.policy.named_metrics import MetricKind, MetricPolicy

EVENT = "gen_ai.evaluation.result"
_NAME, _VALUE, _LABEL = "gen_ai.evaluation.name", "gen_ai.evaluation.score.value", "gen_ai.evaluation.score.label"
_SOURCE = "otlp"
_LABELS = {"pass": 1.0, "true": 1.0, "yes": 1.0, "fail": 0.0, "false": 0.0, "no": 0.0}
_ALL = frozenset({*OWN, REQUEST, _NAME, _VALUE, _LABEL, "error.type", "event.name"})
_ID = re.compile(r"([a-z0-9][a-z0-9._-]{0,62})-[0-9a-f]{1,32}")
_MOST_EVENTS = 256


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One result: the request that it is about, its app, its name, and its value or label; `failed` without any."""

    app: str
    request_id: str
    name: str
    value: float | None
    label: str
    failed: bool = False


def of_span(span: Any, own: Attributes) -> Iterator[Evaluation]:
    """What the events of a span say; `own` is what the span, or its resource, says of itself."""
    for event in span.events[:_MOST_EVENTS]:
        if event.name == EVENT:
            found = read_attributes(event.attributes, _ALL)
            yield _evaluation({**own, **found}, span.trace_id.hex(), span.span_id.hex())


def of_record(record: Any, resource: Attributes) -> Evaluation | None:
    """What a log record says; None where it is something else."""
    found = read_attributes(record.attributes, _ALL)
    if EVENT not in (record.event_name, found.get("event.name")):
        return None
    return _evaluation({**resource, **found}, record.trace_id.hex(), record.span_id.hex())


def _evaluation(found: Attributes, trace_id: str, span_id: str) -> Evaluation:
    named = text_of(found, REQUEST)
    match = _ID.fullmatch(named)
    app = match.group(1) if match else text_of(found, APP)
    about = named if match else request_id(app, trace_id, span_id) if app and span_id else ""
    name = re.sub(r"[\s-]+", "_", text_of(found, _NAME)).lower()
    value, label = number_of(found, _VALUE), text_of(found, _LABEL).lower()
    return Evaluation(app, about, name, value, label, failed=bool(text_of(found, "error.type")))


def score_of(evaluation: Evaluation, declared: tuple[MetricPolicy, ...], now: float) -> ScoreRecord | Lacking:
    """The row of a result, or what it lacks."""
    own = {metric.name: metric for metric in declared}.get(evaluation.name)
    if not evaluation.request_id:
        return Lacking.REQUEST
    if own is None and evaluation.name not in SCORED:
        return Lacking.METRIC
    value = evaluation.value
    if value is None and (own is None or own.kind is MetricKind.SHARE):
        value = _LABELS.get(evaluation.label)
    try:
        read = _share(value) if own is None else own.read(value)
    except ValueError:
        return Lacking.VALUE
    source = _SOURCE if own is None else REPORTED
    return ScoreRecord(evaluation.request_id, evaluation.app, evaluation.name, read, source, now)


def _share(value: float | None) -> float:
    if value is None or not 0 <= value <= 1:
        raise ValueError("expected a number from 0 to 1")
    return value
