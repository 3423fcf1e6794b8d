"""Golden sets from elsewhere."""

from pathlib import Path

import pytest

from softlaunch.evals.suite import SuiteError
from softlaunch.evals.suite_imports import Source, import_cases

PROMPTFOO = """
prompts: [one.txt]
tests:
  - description: greets
    vars: {question: Say hello}
    assert:
      - {type: contains, value: hello}
      - {type: latency, threshold: 1500}
      - {type: javascript, value: output.length}
  - vars: {city: Rome, day: Monday}
    assert:
      - {type: llm-rubric, value: "Names the city, and the day"}
      - {type: is-json, value: {type: object}}
"""


def test_promptfoo_tests_become_cases_with_their_assertions_as_metrics(tmp_path: Path) -> None:
    """What has no metric like it is left out, with a note that names its line."""
    path = tmp_path / "promptfooconfig.yaml"
    path.write_text(PROMPTFOO)
    (greets, rome), notes = import_cases(path, Source.PROMPTFOO)
    assert (greets.id, greets.question) == ("greets", "Say hello")
    assert [metric.key for metric in greets.own_metrics] == ["contains:expected=hello", "latency:limit=1.5 s"]
    assert rome.variables == {"city": "Rome", "day": "Monday"}
    assert [metric.name for metric in rome.own_metrics] == ["rubric", "json_schema"]
    assert notes == ("line 4: the assertion 'javascript' is left out: there is no metric like it",)


def test_a_csv_row_is_a_case(tmp_path: Path) -> None:
    """Columns that are no keys of a case are variables of the prompt."""
    path = tmp_path / "cases.csv"
    path.write_text('id,question,expected,tags,weight,city\na,"Where, then?",here,x; y,2,Rome\n,What?,that,,,\n')
    (one, other), notes = import_cases(path, Source.CSV)
    assert (one.id, one.question, one.expected, one.tags, one.weight) == ("a", "Where, then?", "here", ("x", "y"), 2.0)
    assert one.variables == {"city": "Rome"}
    assert len(other.id) == 10
    assert notes == ()


@pytest.mark.parametrize(
    ("source", "name", "content", "said"),
    [
        pytest.param(
            Source.CSV, "x.csv", "question,weight,expected\nq,heavy,y\n", "line 2: weight: 'heavy':", id="csv"
        ),
        pytest.param(Source.CSV, "x.csv", "question,metrics\nq,fuzzy\n", "there is no metric 'fuzzy'", id="metric"),
        pytest.param(Source.PROMPTFOO, "x.yaml", "tests: 7", "tests: expected a list of tests", id="promptfoo"),
        pytest.param(Source.MT_BENCH, "x.jsonl", '{"question_id": 81}', "line 1: turns: None:", id="mt-bench"),
        pytest.param(Source.ALPACA_EVAL, "x.json", "[7]", "line 1: 7: expected an object", id="alpaca-eval"),
        pytest.param(Source.ALPACA_EVAL, "x.jsonl", "{", "line 1: not valid JSON", id="no JSON"),
    ],
)
def test_what_can_not_be_taken_over_is_named(
    tmp_path: Path, source: Source, name: str, content: str, said: str
) -> None:
    """File, line, and what was expected."""
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(SuiteError) as refused:
        import_cases(path, source)
    assert str(path) in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.realdata
def test_published_benchmarks_become_golden_sets(realdata: Path) -> None:
    """MT-Bench without the questions whose references are wrong, AlpacaEval with its reference outputs."""
    cases, notes = import_cases(realdata / "mtbench" / "mt_bench_question.jsonl", Source.MT_BENCH)
    assert (len(cases), len(notes)) == (67, 13)
    assert notes[0] == "line 24: question 104 is left out: its published reference answer is wrong"
    assert {metric.key for case in cases for metric in case.own_metrics} == {"rubric:scale=10"}
