"""What is read of a real Prometheus that holds samples which a test dictates."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.gates.telemetry import TelemetryError
from softlaunch.policy.sources import PrometheusPolicy
from softlaunch.telemetry.prometheus.source import PrometheusSource
from softlaunch.telemetry.sources.source import Counted
from tests.support.builders import NOON
from tests.support.prometheus import holding, needs_prometheus

pytestmark = needs_prometheus

T = NOON.timestamp()
ARMS = ByArm("candidate", "stable")
Samples = Mapping[str, Sequence[tuple[float, float | str]]]
ERRORS = {"metric": "errors", "total": "requests_total", "bad": "failed_total"}
LATENCY = {"metric": "latency", "histogram": "seconds_bucket"}


@contextmanager
def source(samples: Samples, declared: Mapping[str, Any] = ERRORS, **keys: Any) -> Iterator[PrometheusSource]:
    """A source on these samples: seconds after noon and values, by series."""
    lines = [f"{series} {value} {T + at:.3f}" for series, some in samples.items() for at, value in some]
    with holding("\n".join([*lines, "# EOF\n"])) as server:
        brief = {"interval": 10, "stale_after": 30}
        yield PrometheusSource.of(
            PrometheusPolicy.model_validate({"url": server.url, "metrics": [declared], **brief, **keys})
        )


def series(name: str, arm: str, **labels: str) -> str:
    """A series of the app's only instance, unless told otherwise."""
    named = {"job": "app", "instance": "one", "arm": arm, **labels}
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in named.items()) + "}"


def steady(until: float, each: float, start: float = 0.0, step: float = 5.0) -> list[tuple[float, float]]:
    """A counter that grows by so much each five seconds, from the minute before noon on."""
    times = [-60 + step * place for place in range(round((until + 60) / step) + 1)]
    return [(at, start + each * place) for place, at in enumerate(times)]


BOTH = {series("requests_total", "stable"): steady(60, 90), series("requests_total", "candidate"): steady(60, 10)}


def read(one: PrometheusSource, after: float = 0, now: float = 60, since: float = 0) -> Counted:
    """A reading, in seconds after noon."""
    return one.read(one.metrics[0], ARMS, T + since, T + after, T + now)


def by_value(counted: Counted) -> tuple[list[int], list[int]]:
    """The candidate's requests and stable's by value, over all pieces."""
    return (
        np.sum([piece.counts.candidate for piece in counted.pieces], axis=0).tolist(),
        np.sum([piece.counts.stable for piece in counted.pieces], axis=0).tolist(),
    )


def test_counters_become_pieces_of_requests() -> None:
    """Each piece holds the requests of its interval, good and bad, of each arm."""
    failed = {series("failed_total", "stable"): steady(60, 3), series("failed_total", "candidate"): steady(60, 1)}
    with source({**BOTH, **failed}) as one:
        counted = read(one)
    assert counted.until == T + 60
    assert [piece.until - T for piece in counted.pieces] == [10, 20, 30, 40, 50, 60]
    assert counted.pieces[1].counts.candidate.tolist() == [18, 2]
    assert counted.pieces[1].counts.stable.tolist() == [174, 6]


def test_readings_follow_each_other_without_loss() -> None:
    """What several readings hold together is what one holds."""
    failed = {series("failed_total", "stable"): steady(60, 3), series("failed_total", "candidate"): steady(60, 1)}
    with source({**BOTH, **failed}) as one:
        whole = by_value(read(one))
        parts = [by_value(read(one, after, now)) for after, now in ((0, 27), (20, 41), (40, 60))]
    assert whole == tuple([sum(both) for both in zip(*(part[arm] for part in parts), strict=True)] for arm in (0, 1))


def test_what_fails_for_the_first_time_is_counted() -> None:
    """A counter that appears where its instance was scraped before has counted from zero."""
    with source({**BOTH, series("failed_total", "candidate", code="500"): [(25, 4), (30, 6)]}) as one:
        assert by_value(read(one))[0][1] == 6


def test_what_a_new_instance_brings_is_not_counted() -> None:
    """The first sample of an instance holds what was counted nobody knows when."""
    new = {series("requests_total", "candidate", instance="two"): [(30, 5000.0), (35, 5010.0), (60, 5010.0)]}
    with source({**BOTH, **new}) as one:
        assert sum(by_value(read(one))[0]) == 10 * 12 + 10


def test_a_counter_that_falls_was_reset() -> None:
    """After a restart a counter begins at zero again."""
    samples = [(-10, 1000.0), (-5, 1000.0), (0, 1000.0), (5, 1100.0), (10, 20.0), (15, 50.0), (20, 50.0)]
    with source({series("requests_total", "stable"): samples}) as one:
        assert sum(by_value(read(one, now=20))[1]) == 100 + 20 + 30


def test_what_began_before_the_stage_is_left_out() -> None:
    """Requests between two samples of which one is older than the stage may belong to the stage before."""
    samples = [(-8, 0.0), (2, 500.0), (7, 510.0), (12, 520.0)]
    with source({series("requests_total", "stable"): samples}) as one:
        assert sum(by_value(read(one, now=20))[1]) == 10  # up to 10 s, where the last whole piece ends


def test_long_gaps_are_left_out_and_told() -> None:
    """What was counted while nobody scraped isn't known by time."""
    samples = [*steady(10, 10), (50, 4000.0), (55, 4010.0), (60, 4020.0)]
    with source({series("requests_total", "stable"): samples}) as one:
        counted = read(one)
    assert sum(by_value(counted)[1]) == 20 + 20
    assert counted.lost_seconds == 40


def test_no_numbers_are_no_samples() -> None:
    """NaN is left out, and a counter goes on behind it."""
    with source({series("requests_total", "stable"): [(0, 10.0), (5, "NaN"), (10, 30.0), (15, "NaN")]}) as one:
        assert by_value(read(one, now=15))[1] == [20, 0]


def test_a_piece_is_complete_when_every_living_instance_was_scraped() -> None:
    """An instance that is behind is waited for; one that is silent for long is gone."""
    behind = {series("requests_total", "stable", instance="two"): steady(35, 1)}
    with source({**BOTH, **behind}) as one:
        assert read(one, now=60).until == T + 30
        assert read(one, now=70).until == T + 60


def _complaint(samples: Samples, declared: Mapping[str, Any], now: float) -> str:
    with source(samples, declared) as one:
        counted = read(one, now=now)
    assert counted.until == T
    assert not counted.pieces
    return counted.problem


@pytest.mark.parametrize(
    ("samples", "declared", "now", "complaint"),
    [
        pytest.param(
            {series("other_total", "stable"): steady(60, 1)},
            ERRORS,
            60,
            "Prometheus has no sample of requests_total since 30 s before the last reading",
            id="no series",
        ),
        pytest.param(
            BOTH,
            ERRORS,
            120,
            "the newest sample of requests_total is 60 s old: Prometheus doesn't reach the app",
            id="silence",
        ),
        pytest.param(
            {series("requests_total", "blue"): steady(60, 1), series("requests_total", "green"): steady(60, 1)},
            ERRORS,
            60,
            'no series of requests_total has arm="stable"; its values are: blue, green',
            id="other names of arms",
        ),
        pytest.param(
            {**BOTH, series("failed_total", "candidate"): steady(60, 20)},
            ERRORS,
            60,
            "failed_total counts 120 requests of candidate that requests_total doesn't: it must be a part of it",
            id="more bad ones than there are",
        ),
        pytest.param(
            {series("seconds_bucket", "stable", le="1.0"): steady(60, 1)},
            LATENCY,
            60,
            "seconds_bucket is no histogram of amounts: its label le must have bounds above zero and +Inf",
            id="half a histogram",
        ),
        pytest.param(
            {
                series("seconds_bucket", "stable", le="1.0"): steady(60, 1),
                series("seconds_bucket", "stable", le="+Inf"): steady(60, 1),
                series("seconds_bucket", "candidate", le="2.0"): steady(60, 1),
                series("seconds_bucket", "candidate", le="+Inf"): steady(60, 1),
            },
            LATENCY,
            60,
            "the instances of seconds_bucket have different buckets; give all the same",
            id="two histograms",
        ),
    ],
)
def test_what_is_not_there_is_told(samples: Samples, declared: Mapping[str, Any], now: float, complaint: str) -> None:
    """Nothing is read of what is missing, old or contradicts itself, and time stands still."""
    assert _complaint(samples, declared, now) == complaint


def test_a_histogram_becomes_counts_by_bucket() -> None:
    """Buckets are cumulative in Prometheus; latency is in seconds there and in milliseconds here."""
    grown = {"0.5": 1, "1.0": 3, "2.0": 3, "+Inf": 4}
    samples = {
        series("seconds_bucket", arm, le=le): steady(60, each)
        for le, each in grown.items()
        for arm in ("stable", "candidate")
    }
    with source(samples, LATENCY) as one:
        counted = read(one)
    assert counted.buckets is not None
    assert counted.buckets.upper[:3].tolist() == [500, 1000, 2000]
    assert counted.pieces[2].counts.stable.tolist() == [2, 4, 0, 2]


@pytest.mark.parametrize(
    ("metric", "key", "bad"),
    [
        pytest.param("errors", "bad", 1, id="bad ones of what should be low"),
        pytest.param("errors", "good", 9, id="good ones of what should be low"),
        pytest.param("quality", "good", 1, id="good ones of what should be high"),
        pytest.param("quality", "bad", 9, id="bad ones of what should be high"),
    ],
)
def test_good_and_bad(metric: str, key: str, bad: int) -> None:
    """A value is one where the metric's own event happened: an error, or an answer of full quality."""
    kind = {series("some_total", "candidate"): steady(60, 1)}
    with source({**BOTH, **kind}, {"metric": metric, "total": "requests_total", key: "some_total"}) as one:
        assert by_value(read(one))[0][1] == bad * 12


def test_a_question_that_prometheus_refuses() -> None:
    """Its own words are passed on."""
    with (
        source(BOTH, {**ERRORS, "bad": 'failed_total{code=~"("}'}) as one,
        pytest.raises(TelemetryError, match=r"refuses .*missing closing"),
    ):
        read(one)


def test_no_prometheus() -> None:
    """A server that isn't there is an error, and not a quiet app."""
    policy = PrometheusPolicy.model_validate({"url": "http://127.0.0.1:9", "metrics": [ERRORS]})
    with pytest.raises(TelemetryError, match="can't be reached: ConnectError"):
        read(PrometheusSource.of(policy))


def test_a_token_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variable is named, and nothing is asked without it."""
    monkeypatch.delenv("PROMETHEUS_TOKEN", raising=False)
    named = {"url": "http://127.0.0.1:9", "metrics": [ERRORS], "token_env": "PROMETHEUS_TOKEN"}
    with pytest.raises(TelemetryError, match="PROMETHEUS_TOKEN has no token"):
        read(PrometheusSource.of(PrometheusPolicy.model_validate(named)))
