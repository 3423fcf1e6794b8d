"""How metrics are named."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from softlaunch.metrics import METRICS, Metric, MetricError, Sample, Score, Spent, metric_names, parse_metric, registry
from softlaunch.metrics.interface import AnyMetric
from softlaunch.metrics.registry import read_metric, write_metric


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        pytest.param("exact", "exact", id="name alone"),
        pytest.param(" numeric : tolerance = 0.01 ", "numeric:tolerance=0.01", id="spaces"),
        pytest.param('contains:expected="a, b"', 'contains:expected="a, b"', id="a comma in quotes"),
        pytest.param(r'contains:expected="say \"a, b\""', r'contains:expected="say \"a, b\""', id="a quote in quotes"),
        pytest.param(r"regex:expected=\d+:\s", r"regex:expected=\d+:\s", id="a pattern with a colon"),
        pytest.param("latency:limit=3 s", "latency:limit=3 s", id="a duration"),
        pytest.param("refusal:wanted=true", "refusal:wanted=true", id="a truth"),
        pytest.param("recorded:column=Directly Usable", "recorded:column=Directly Usable", id="a column with a space"),
        pytest.param("length:maximum=9,label=short", "short", id="a label"),
        pytest.param({"metric": "numeric", "tolerance": 1}, "numeric:tolerance=1.0", id="a mapping"),
        pytest.param({"metric": "numeric:tolerance=2", "label": "near"}, "near", id="a mapping around a text"),
        pytest.param(
            {"metric": "json_schema", "contract": {"type": "array"}},
            r'json_schema:contract="{\"type\":\"array\"}"',
            id="a schema",
        ),
    ],
)
def test_a_specification_is_read_and_written(spec: str | dict[str, object], key: str) -> None:
    """Reading what was written gives the same metric."""
    metric = parse_metric(spec)
    assert metric.key == key
    again = read_metric(write_metric(metric))
    assert (again, again.key) == (metric, key)  # type: ignore[attr-defined]  # a metric, as any text that names one


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param("fuzzy", "there is no metric 'fuzzy'; there are contains, cost,", id="unknown"),
        pytest.param("", "'' is no metric; write it as NAME or NAME:KEY=VALUE", id="empty"),
        pytest.param("numeric:tol=1", "it has no tol; its parameters are label, expected,", id="unknown parameter"),
        pytest.param("numeric:tolerance=x", "tolerance is 'x', expected a valid number", id="no number"),
        pytest.param("numeric:tolerance", "'tolerance' is no parameter; write KEY=VALUE", id="no value"),
        pytest.param("latency", "limit is missing: The limit, such as 3 s", id="parameter missing"),
        pytest.param("length", "give it a minimum, a maximum, or both", id="no bound"),
        pytest.param("length:minimum=3,maximum=2", "maximum (2) is below minimum (3)", id="bounds crossed"),
        pytest.param("recorded:column=x,highest=0", "lowest and highest are both 0", id="no range"),
        pytest.param("json_schema:contract=x", "contract is 'x', expected a JSON object", id="no JSON"),
        pytest.param({"metric": "json_schema", "contract": {"type": 7}}, "expected a JSON schema: 7", id="no schema"),
        pytest.param({"tolerance": 1}, "names it under the key 'metric'", id="mapping without name"),
    ],
)
def test_a_specification_that_makes_no_metric_says_why(spec: str | dict[str, object], said: str) -> None:
    """The message has what was written and what is possible."""
    with pytest.raises(MetricError) as refused:
        parse_metric(spec)
    assert said in str(refused.value)


def polite(sample: Sample) -> float:
    """Whether the answer says please."""
    return float("please" in sample.answer)


class Loud(Metric):
    """Whether the answer shouts."""

    name = "loud"
    marks: int = 1

    def score(self, sample: Sample) -> Score:
        """1 with enough exclamation marks."""
        return Score(float(sample.answer.count("!") >= self.marks))


class Unfinished(Metric):
    """A metric whose author forgot to score."""

    name = "unfinished"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a package with metrics of its own were installed."""
    monkeypatch.setitem(sys.modules, "our_metrics", sys.modules[__name__])
    points = [
        EntryPoint(name, f"our_metrics:{attribute}", registry.ENTRY_POINTS)
        for name, attribute in (
            ("polite", "polite"),
            ("loud", "Loud"),
            ("unfinished", "Unfinished"),
            ("broken", "nothing_there"),
        )
    ]
    monkeypatch.setattr(
        registry, "entry_points", lambda group, name=None: [one for one in points if name in {None, one.name}]
    )
    registry._from_another_package.cache_clear()


@pytest.mark.usefixtures("installed")
def test_packages_bring_metrics_of_their_own() -> None:
    """A class with parameters, or a plain function."""
    assert {"polite", "loud"} < set(metric_names())
    assert parse_metric("polite").score(Sample(answer="please!")).value == 1.0  # type: ignore[attr-defined]  # a Metric
    assert parse_metric("loud:marks=2").score(Sample(answer="please!")).value == 0.0  # type: ignore[attr-defined]  # a Metric
    with pytest.raises(MetricError, match="metric broken can't be loaded from our_metrics:nothing_there"):
        parse_metric("broken")
    with pytest.raises(MetricError, match="metric unfinished: our_metrics:Unfinished lacks score"):
        parse_metric("unfinished")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1])
def test_what_is_no_score_is_refused(value: float) -> None:
    """Nonsense must not be averaged."""
    with pytest.raises(MetricError, match="is no score"):
        Score(value)


def test_spending_adds_up_and_stays_unknown_once_it_is() -> None:
    """A total with a part that nobody knows is not a total."""
    assert Spent(2, 0.25) + Spent(1, 0.5) == Spent(3, 0.75)
    assert Spent(2, 0.25) + Spent(1, None) == Spent(3, None)


def test_every_metric_says_what_it_is() -> None:
    """The first sentence of its docstring is its documentation."""
    assert all(kind.__doc__ and kind.name == name for name, kind in METRICS.items())


def test_every_metric_that_is_written_can_be_named() -> None:
    """A class below softlaunch/metrics with a name of its own is in the list that files name metrics from."""

    def below(kind: type[AnyMetric]) -> Iterator[type[AnyMetric]]:
        for one in kind.__subclasses__():
            yield one
            yield from below(one)

    own = {kind for kind in below(AnyMetric) if kind.__module__.startswith("softlaunch.metrics.")}
    written = {kind for kind in own if "name" in vars(kind) and "<locals>" not in kind.__qualname__}
    assert len(written) > 10
    assert written == {*registry.METRICS.values()}
