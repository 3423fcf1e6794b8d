"""What is said of metrics of other sources that are declared wrongly."""

from pathlib import Path

import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.policy.model import Policy
from tests.policy.policy_files import HEAD, complaints, load

ERRORS = "{metric: errors, total: requests_total, bad: failed_total}"
GATES = "gates:\n  - {metric: errors, margin: 1 point}\n"


def declared(metric: str, more: str = "", gates: str = GATES) -> str:
    """A policy with one metric of Prometheus, on line 6."""
    return f"{HEAD}sources:\n  prometheus:\n    url: http://prometheus:9090\n    metrics: [{metric}]\n{more}{gates}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            declared("{metric: errors, total: requests_total}"),
            "line 6: sources.prometheus.metrics[0].total: a share needs a counter of all requests, and bad or good",
            id="a share without its kind",
        ),
        pytest.param(
            declared("{metric: errors, histogram: seconds_bucket}"),
            "line 6: sources.prometheus.metrics[0].histogram: errors is a share: give total, and bad or good",
            id="a share from a histogram",
        ),
        pytest.param(
            declared("{metric: latency, total: requests_total, bad: slow_total}"),
            "line 6: sources.prometheus.metrics[0].histogram: latency comes from a histogram alone",
            id="a magnitude from counters",
        ),
        pytest.param(
            declared("{metric: agreement, total: a, bad: b}"),
            "line 6: sources.prometheus.metrics[0].metric: agreement compares texts, which no counter holds",
            id="texts",
        ),
        pytest.param(
            declared("{metric: cost, histogram: usd_bucket}"),
            "line 6: sources.prometheus.metrics[0].metric: cost has no gate, so it is never used; add one",
            id="no gate",
        ),
        pytest.param(
            declared(f"{ERRORS}, {ERRORS}"),
            "line 6: sources.prometheus.metrics[1].metric: errors is listed already; keep one",
            id="twice",
        ),
        pytest.param(
            declared(ERRORS, "    interval: 5 min\n"),
            "line 4: sources.prometheus.stale_after: must be at least the interval, which is 5 min",
            id="stale before a piece is over",
        ),
        pytest.param(
            f"{HEAD}sources: {{sql: {{url_env: SHOP_URL}}}}\n{GATES}  - {{metric: refused, margin: 1 point}}\n",
            "line 6: gates[1].metric: refused comes from the gateway's checks of answers, which a view doesn't have; "
            "leave it out",
            id="checks of answers in a view",
        ),
        pytest.param(
            f"{HEAD}sources: {{sql: {{url_env: SHOP_URL}}}}\n"
            "gates:\n  - {metric: latency, margin: 20 %, adjust_for: [streamed]}\n",
            "line 5: gates[0].adjust_for: a view doesn't tell what requests are like; leave it out",
            id="adjusted for what a view doesn't have",
        ),
        pytest.param(
            declared(ERRORS, gates="gates:\n  - {metric: errors, margin: 1 point, per: session}\n"),
            "line 8: gates[0].per: counters don't tell whose requests they count; leave it out",
            id="per session",
        ),
        pytest.param(
            declared(
                "{metric: latency, histogram: seconds_bucket}",
                gates="gates:\n  - {metric: latency, margin: 10 %, adjust_for: [streamed]}\n",
            ),
            "line 8: gates[0].adjust_for: counters don't tell what requests are like; leave it out",
            id="adjusted",
        ),
        pytest.param(
            declared(ERRORS, "    arms: {control: null}\n"),
            "line 7: sources.prometheus.arms.control: nothing could be judged at 100 % without it; set it",
            id="nothing to compare with at the end",
        ),
        pytest.param(
            declared(ERRORS, "    arms: {shadow: null}\n"),
            "line 7: sources.prometheus.arms.shadow: nothing could be judged in the shadow without it; set it",
            id="nothing to compare with in the shadow",
        ),
    ],
)
def test_what_is_said_of_a_mistake(tmp_path: Path, text: str, complaint: str) -> None:
    """The key to change is named, with its line."""
    assert complaint in complaints(tmp_path, text)


def test_a_view_is_named_and_its_address_is_not_written_down(tmp_path: Path) -> None:
    """A database's address holds a password, so that the policy names the variable that holds it."""
    said = complaints(tmp_path, HEAD + "sources:\n  sql: {url_env: postgresql://me:secret@db/shop, view: a b}\n")
    assert [line.split(": ")[1] for line in said] == ["sources.sql.url_env", "sources.sql.view"]


def test_an_expression_is_no_selector(tmp_path: Path) -> None:
    """A function of a counter hides its resets, and is refused where it is written."""
    said = complaints(tmp_path, declared('{metric: errors, total: "rate(requests_total[1m])", bad: failed_total}'))
    assert said[0].startswith("line 6: sources.prometheus.metrics[0].total: ")


def test_unusable_answers_are_judged_where_errors_are_logged(tmp_path: Path) -> None:
    """The gate that is there by itself reads the request log, and so isn't where errors come from elsewhere."""
    elsewhere = load(tmp_path, declared(ERRORS))
    assert [gate.metric for gate in elsewhere.gates] == [Metric.ERRORS]
    assert not elsewhere.reads_log
    assert load(tmp_path, HEAD).reads_log


def test_metrics_of_the_app_come_from_prometheus(tmp_path: Path) -> None:
    """What a policy declares by name may be counted elsewhere, like any other metric."""
    text = declared(
        "{metric: queue_time, histogram: queue_bucket}",
        "metrics: [{name: queue_time, kind: duration, better: down}]\n",
        "gates: [{metric: errors, margin: 1 point}, {metric: queue_time, margin: 20 %}]\n",
    )
    policy = load(tmp_path, text)
    assert policy.sources.counted == {"queue_time"}
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            "  sql: {url_env: SHOP_URL}\n", "sources.otlp: a view takes the place of the request log", id="a view"
        ),
        pytest.param(
            "unit: {redraw: 1 d}\n", "unit.redraw: spans name the unit that an arm was drawn for", id="redraw"
        ),
        pytest.param(
            "gates: [{metric: refused, margin: 1 point}]\n", "gates[0].metric: refused needs texts", id="texts"
        ),
        pytest.param(
            "gates: [{metric: cost, margin: 5 %, adjust_for: [request_size]}]\n",
            "gates[0].adjust_for: spans don't tell how large a request was",
            id="sizes",
        ),
    ],
)
def test_what_spans_can_not_tell_is_said(tmp_path: Path, text: str, complaint: str) -> None:
    """Before a release waits for it in vain."""
    said = complaints(tmp_path, f"{HEAD}sources:\n  otlp: {{}}\n{text}")
    assert any(complaint in line for line in said), said


def test_gates_read_behind_the_present_as_far_as_spans_may_come(tmp_path: Path) -> None:
    """Long requests count before their end, so that they come in time, too."""
    otlp = load(tmp_path, HEAD + "sources:\n  otlp: {hold: 10 s, late: 5 s}\n").sources.otlp
    assert otlp is not None
    assert (otlp.behind, otlp.counts_at(100.0, 104.0), otlp.counts_at(100.0, 130.0)) == (15.0, 100.0, 120.0)
