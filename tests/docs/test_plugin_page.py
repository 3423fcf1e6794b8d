"""The page on plugins: its metrics work as they stand, named as another package names them."""

import re
import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from softlaunch.metrics import Metric, Sample, parse_metric, registry
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spec", "answer", "score"),
    [
        pytest.param("polite", "Thank you for asking.", 1.0, id="a function that agrees"),
        pytest.param("polite", "No.", 0.0, id="a function that does not"),
        pytest.param("brief", "One. Two. Three.", 0.0, id="a class"),
        pytest.param("brief:sentences=3", "One. Two. Three.", 1.0, id="a class with a parameter"),
    ],
)
def test_the_metrics_of_the_page_work(monkeypatch: pytest.MonkeyPatch, spec: str, answer: str, score: float) -> None:
    """They are found by their entry point, take their parameters, and score."""
    module = ModuleType("my_metrics")
    for snippet in re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL):
        exec(compile(snippet, "plugins.md", "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "my_metrics", module)
    points = [EntryPoint(name, f"my_metrics:{it}", registry.ENTRY_POINTS) for name, it in _NAMED.items()]
    monkeypatch.setattr(
        registry, "entry_points", lambda group, name=None: [one for one in points if name in {None, one.name}]
    )
    registry._from_another_package.cache_clear()
    metric = parse_metric(spec)
    assert isinstance(metric, Metric)
    assert metric.score(Sample(answer=answer)).value == score
    registry._from_another_package.cache_clear()


_NAMED = {"polite": "polite", "brief": "Brief"}
