"""Metrics on answers that real models gave, against what people and programs said of them."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from softlaunch.metrics import Metric, Sample, parse_metric

pytestmark = pytest.mark.realdata
MODELS = ("gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613", "gpt-4-0314", "gpt-4-0613")
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def rows(realdata: Path) -> Callable[[str], Rows]:
    """The rows of one of the recordings of Chen, Zaharia and Zou."""

    def read(name: str) -> Rows:
        with (realdata / "llmdrift" / name).open(newline="") as file:
            return list(csv.DictReader(file))

    return read


def means(rows: Rows, spec: str) -> dict[str, float]:
    """The mean score of each model."""
    metric = parse_metric(spec)
    assert isinstance(metric, Metric)
    found: dict[str, list[float]] = {model: [] for model in MODELS}
    for row in rows:
        value = metric.score(Sample(answer=row["answer"], expected=row["ref_answer"], fields=row)).value
        assert value is not None
        found[row["model"].removeprefix("openaichat/")].append(value)
    return {model: sum(values) / len(values) for model, values in found.items()}


def test_refusals_are_told_from_answers(rows: Callable[[str], Rows]) -> None:
    """Of 400 answers to sensitive questions, 364 of them refusals by people's marks, at least 97 % are told right."""
    metric = parse_metric("refusal")
    assert isinstance(metric, Metric)
    marked = rows("SENSITIVEQ_EVAL.csv")
    told = [(metric.score(Sample(answer=row["answer"])).value, float(row["Response Rate"])) for row in marked]
    assert [answered for _, answered in told].count(0.0) == 364
    assert sum(found == answered for found, answered in told) >= 388
    assert sum(found == 0.0 for found, answered in told if answered == 1.0) <= 3


def test_the_answer_rate_of_each_model_is_within_five_points(rows: Callable[[str], Rows]) -> None:
    """What drifts between snapshots is seen with the metric as with people's marks."""
    marked = rows("SENSITIVEQ_EVAL.csv")
    by_people = means(marked, "recorded:column=Response Rate")
    assert means(marked, "refusal") == pytest.approx(by_people, abs=0.05)


def test_code_that_is_usable_as_it_stands_falls_and_the_code_itself_gets_better(rows: Callable[[str], Rows]) -> None:
    """GPT-4 began to wrap its code in fences: two metrics of the same answers that disagree."""
    tasks = rows("LEETCODE_EASY_EVAL.csv")
    raw = means(tasks, "recorded:column=Directly Usable")
    stripped = means(tasks, "recorded:column=Clean_Code_Submit,right=Accepted")
    assert (raw["gpt-4-0314"], raw["gpt-4-0613"]) == (0.52, 0.10)
    assert (stripped["gpt-4-0314"], stripped["gpt-4-0613"]) == (0.52, 0.70)
    begins = means(tasks, r'regex:expected="^\s*(class|from|import|def)\b"')
    between_fences = means(tasks, r'regex:expected="^\s*(class|from|import|def)\b",strip=fences')
    assert begins["gpt-4-0613"] < 0.2
    assert between_fences["gpt-4-0613"] > 0.9
