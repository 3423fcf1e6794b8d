"""Which incident a failed gate opens."""

import pytest

from softlaunch.core.incident_kinds import ANSWERS, BREAKER, IncidentKind, Severity, UnknownGateError
from softlaunch.core.live_metrics import Metric


@pytest.mark.parametrize("metric", Metric)
def test_each_metric_has_a_kind_of_its_own(metric: Metric) -> None:
    """Its name, words, runbook and severity follow from the table's entry."""
    kind = IncidentKind.of_gate(metric.value)
    assert (kind.value, kind.metric) == (f"gate_{metric.value}", metric)
    named = metric.value.replace("_", " ").capitalize()
    assert (kind.words, kind.runbook) == (f"{named} gate failed", f"runbooks/{kind}.md")
    assert kind.severity is (Severity.TICKET if metric.entry.is_ticket else Severity.PAGE)


@pytest.mark.parametrize("gate", [BREAKER, ANSWERS])
def test_what_fails_massively_is_one_kind(gate: str) -> None:
    """A gateway stopped the candidate, or the only gate of an emergency release did."""
    assert IncidentKind.of_gate(gate) is IncidentKind.BREAKER_TRIPPED


def test_an_unknown_gate_is_an_error() -> None:
    """It is never told as a breaker that tripped; the message lists what there is."""
    with pytest.raises(UnknownGateError, match=r"'accuracy'; live metrics are errors, unusable, "):
        IncidentKind.of_gate("accuracy")
