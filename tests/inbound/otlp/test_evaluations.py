"""What evaluations say, and of what."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlmodel import col, select

from softlaunch.inbound.otlp.attribution import Lacking
from softlaunch.inbound.otlp.evaluations import Evaluation, of_record, of_span, score_of
from softlaunch.ledger.request_log import ScoreRecord
from softlaunch.policy.named_metrics import MetricPolicy
from softlaunch.store.database import Database
from softlaunch.store.tables import ScoreRow
from tests.support.builders import APP, NOON
from tests.support.otlp import OWN, evaluated, record_split, span

T = NOON.timestamp()
_RESOLVED = MetricPolicy.model_validate({"name": "ticket_resolved", "kind": "share", "better": "up"})


def read(**attributes: Any) -> Evaluation:
    """A result of a span's evaluation as a log record."""
    found = of_record(evaluated(span(1.0, ids=("ab" * 16, "cd" * 8)), **attributes), {})
    assert found is not None
    return found


def test_a_record_is_about_the_span_it_belongs_to() -> None:
    """Its request is known by that span's ids."""
    found = read(gen_ai__evaluation__score__value=0.8)
    assert score_of(found, (), T) == ScoreRecord(f"{APP}-{'ab' * 8}{'cd' * 8}", APP, "quality", 0.8, "otlp", T)


def test_a_request_of_a_gateway_is_named_by_its_id() -> None:
    """So that a tool that scores traces can score what gateways answered."""
    found = read(softlaunch__request_id="shop-0123abcd", gen_ai__evaluation__score__value=1)
    assert (found.app, found.request_id) == ("shop", "shop-0123abcd")


def test_an_event_of_a_span_belongs_to_the_span_s_app() -> None:
    """Where it doesn't say so itself."""
    event = (0.5, "gen_ai.evaluation.result", {"gen_ai.evaluation.name": "Quality", "gen_ai.evaluation.score.value": 1})
    made = span(1.0, ids=("ab" * 16, "cd" * 8), events=[event, (0.6, "another", {})])
    (found,) = of_span(made, OWN)
    assert (found.app, found.name, found.request_id[-16:]) == (APP, "quality", "cd" * 8)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        pytest.param({"gen_ai__evaluation__score__value": 0.25}, 0.25, id="a score"),
        pytest.param({"gen_ai__evaluation__score__label": "pass"}, 1.0, id="a label that everybody knows"),
        pytest.param({"gen_ai__evaluation__score__label": "relevant"}, Lacking.VALUE, id="a label that nobody knows"),
        pytest.param({"gen_ai__evaluation__score__value": 4.0}, Lacking.VALUE, id="a score by another scale"),
        pytest.param({"gen_ai__evaluation__name": "Relevance"}, Lacking.METRIC, id="a metric that isn't declared"),
        pytest.param(
            {"gen_ai__evaluation__name": "Ticket Resolved", "gen_ai__evaluation__score__value": 1}, 1.0, id="declared"
        ),
        pytest.param(
            {"gen_ai__evaluation__name": "ticket-resolved", "gen_ai__evaluation__score__value": 0.5},
            Lacking.VALUE,
            id="half of a share",
        ),
    ],
)
def test_values_are_those_of_the_metric(attributes: dict[str, Any], said: float | Lacking) -> None:
    """Of judges' metrics, and of those that the policy declares."""
    found = score_of(read(**attributes), (_RESOLVED,), T)
    assert (found.value if isinstance(found, ScoreRecord) else found) == said


def test_a_result_without_a_request_is_of_no_use() -> None:
    """It names neither a span nor a request."""
    found = of_record(evaluated(gen_ai__evaluation__score__value=1.0), {})
    assert found is not None
    assert score_of(found, (), T) is Lacking.REQUEST


def test_other_records_are_none_of_ours() -> None:
    """An app's logs may come too."""
    record = evaluated()
    record.event_name = "session.start"
    assert of_record(record, {}) is None


def test_scores_are_kept_once(database: Database) -> None:
    """Whether they come before their span or after it; and those of an evaluator that failed never."""
    from softlaunch.inbound.otlp.intake import Export, Intake

    record_split(database, 50.0, since=T - 60)
    intake = Intake(database, "receiver-1", "http://127.0.0.1:4318", wall_clock=lambda: T)
    intake.open()
    first, failed = read(gen_ai__evaluation__score__value=0.8), read(error__type="timeout")
    for _ in range(2):
        verdicts = intake.take(Export((), (first, failed)))
    assert (verdicts.evaluations, verdicts.other, verdicts.rejected) == (1, 1, 0)
    with database.read() as session:
        rows: Sequence[ScoreRow] = session.exec(select(ScoreRow).order_by(col(ScoreRow.id))).all()
    assert [(row.metric, row.value) for row in rows] == [("quality", 0.8)]
