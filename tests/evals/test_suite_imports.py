"""Golden sets from elsewhere."""

import gzip
from pathlib import Path

import pytest

from softlaunch.evals.suites.case import Case
from softlaunch.evals.suites.scoring import accuracy
from softlaunch.evals.suites.suite import SuiteError
from softlaunch.evals.suites.suite_imports import Source, import_cases
from softlaunch.metrics import AnyMetric, Sample

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
    assert [metric.key for metric in greets.own_metrics] == ["contains:expected=hello,case=true", "latency:limit=1.5 s"]
    assert rome.variables == {"city": "Rome", "day": "Monday"}
    assert [metric.name for metric in rome.own_metrics] == ["rubric", "json_schema"]
    assert notes == ("line 4: the assertion 'javascript' is left out: there is no metric like it",)


REALISTIC = """
defaultTest:
  vars: {tone: kind}
  assert: [{type: latency, threshold: 3000}]
tests:
  - description: refunds
    vars: {body: Hello}
    assert:
      - {type: equals, value: 47.5}
      - {type: contains-any, value: [30 days, a month]}
      - {type: contains-all, value: [days, return]}
      - {type: not-icontains, value: "as an AI"}
      - {type: contains, value: [a, list]}
  - description: refunds
    vars: {body: Bye, parts: [a, b]}
"""


def test_what_a_whole_configuration_says_is_taken_over(tmp_path: Path) -> None:
    """Defaults hold for every test, several texts are several metrics, and equal descriptions are no clash."""
    path = tmp_path / "promptfooconfig.yaml"
    path.write_text(REALISTIC)
    (one, other), notes = import_cases(path, Source.PROMPTFOO)
    assert one.id == "refunds"
    assert other.id.startswith("refunds (")
    assert one.variables == {"tone": "kind", "body": "Hello"}
    keys = [metric.key for metric in one.own_metrics]
    assert keys[:4] == [
        "exact:expected=47.5,case=true",
        r"regex:expected=30\ days|a\ month",
        "contains:expected=days,case=true",
        "contains:expected=return,case=true",
    ]
    assert keys[-1] == "latency:limit=3 s"
    lacks = one.own_metrics[4]
    said = ["As an ai, I can't", "Gladly.\nReally", ""]
    assert [accuracy(Case(id="x", question="q", metrics=(lacks,)), Sample(answer=text)).value for text in said] == [
        0,
        1,
        0,
    ]
    assert notes == (
        "line 6: the assertion 'contains' is left out: its value is no text",
        "line 14: vars.parts is kept as it stands: lists are not expanded and files not read",
    )


LOSSES = """
scenarios: []
defaultTest:
  threshold: 0.8
  assert: [{type: latency, threshold: 3000}]
tests:
  - description: a transform
    vars: {question: "How many legs has a spider?"}
    options: {disableDefaultAsserts: true}
    assert:
      - {type: equals, value: "8", transform: "JSON.parse(output).legs"}
      - {type: contains, value: eight, weight: 3}
      - {type: contains, value: eight, weight: 0}
      - {type: llm-rubric, value: Is it kind, threshold: 0.7, provider: "openai:x"}
      - {type: is-json, value: "file://schema.json"}
    metadata: {team: a}
  - description: all of it
    vars: {question: "Legs?"}
    options: {transform: output.trim()}
"""


def test_what_of_promptfoo_is_not_taken_over_is_said(tmp_path: Path) -> None:
    """Nothing changes its meaning silently: it is left out, or the note says what is lost."""
    path = tmp_path / "promptfooconfig.yaml"
    path.write_text(LOSSES)
    (one, other), notes = import_cases(path, Source.PROMPTFOO)
    assert [metric.key for metric in one.own_metrics] == [
        "contains:expected=eight,case=true",
        "rubric:criterion=Is it kind",
    ]
    assert not other.own_metrics
    said = [note.partition(": ")[2] for note in notes]
    assert said == [
        "scenarios is not taken over",
        *said[1:3],
        "the assertion 'equals' is left out: its transform 'JSON.parse(output).legs' can't be run here",
        "weight 3 of the assertion 'contains' is not taken over: a case's metrics count alike",
        "the assertion 'contains' is left out: its weight is 0, so it counts for nothing",
        "threshold 0.7 of the assertion 'llm-rubric' is not taken over",
        "provider 'openai:x' of the assertion 'llm-rubric' is not taken over",
        "the assertion 'is-json' is left out: 'file://schema.json' is not read",
        "threshold 0.8 is not taken over: a case's score is the mean of its metrics",
        "the assertion 'latency' is left out: its transform 'output.trim()' can't be run here",
    ]
    assert sorted(said[1:3]) == [
        "metadata {'team': 'a'} is not taken over",
        "threshold 0.8 is not taken over: a case's score is the mean of its metrics",
    ]


TEMPLATES = """
tests:
  - description: a variable
    vars: {question: Greet the person, name: Eve, plz: 1067}
    assert:
      - {type: contains, value: "{{name}}"}
      - {type: contains-all, value: ["dear {{ name }}", "{{plz}}"]}
      - {type: contains, value: "{{ name | upper }}"}
      - {type: contains, value: "{{env.HOME}}"}
      - {type: contains, value: "{{unknown}}"}
"""


def test_variables_in_promptfoos_values_are_filled_in(tmp_path: Path) -> None:
    """An answer is compared with Eve, never with a template; what isn't simply a variable is left out and named."""
    path = tmp_path / "promptfooconfig.yaml"
    path.write_text(TEMPLATES)
    (case,), notes = import_cases(path, Source.PROMPTFOO)
    assert [getattr(metric, "expected", None) for metric in case.own_metrics] == ["Eve", "dear Eve", "1067"]
    assert [note.partition(": ")[2] for note in notes] == [
        f"the assertion 'contains' is left out: its value has {template}, which is no variable of the test"
        for template in ("{{ name | upper }}", "{{env.HOME}}", "{{unknown}}")
    ]


def test_promptfoos_case_and_prose_are_taken_over(tmp_path: Path) -> None:
    """There `contains` minds case and `icontains` doesn't, and JSON may stand within prose."""
    path = tmp_path / "promptfooconfig.yaml"
    path.write_text(
        "tests:\n- vars: {question: q}\n  assert: [{type: contains, value: Hi}, {type: icontains, value: Hi}, "
        "{type: contains-json, value: {required: [temp]}}]\n"
    )
    (case,), notes = import_cases(path, Source.PROMPTFOO)
    minding, ignoring, prose = case.own_metrics

    def score(metric: AnyMetric, text: str) -> float | None:
        return accuracy(Case(id="x", question="q", metrics=(metric,)), Sample(answer=text)).value

    assert [score(metric, "hi there") for metric in (minding, ignoring)] == [0.0, 1.0]
    assert score(minding, "Well, Hi") == 1.0
    assert score(prose, 'Sure! {"temp": 20}, and have a nice day.') == 1.0
    assert score(prose, 'Sure! {"rain": 20}.') == 0.0
    assert not notes


@pytest.mark.parametrize(
    ("source", "name"),
    [pytest.param(Source.ALPACA_EVAL, "x.jsonl", id="JSON lines"), pytest.param(Source.CSV, "x.csv", id="CSV")],
)
def test_another_encoding_is_refused_with_the_way_to_convert_it(tmp_path: Path, source: Source, name: str) -> None:
    """An umlaut never becomes a question mark."""
    path = tmp_path / name
    path.write_bytes('{"instruction": "Wie groß?", "output": "4 €"}\n'.encode("cp1252"))
    with pytest.raises(SuiteError, match="iconv -f WINDOWS-1252 -t UTF-8"):
        import_cases(path, source)


def test_promptfoos_csv_writes_assertions_in_cells(tmp_path: Path) -> None:
    """A type and a value, or what the answer must equal."""
    path = tmp_path / "tests.csv"
    path.write_text(
        "question,__expected,__expected1,__description\nOpen?,contains: 9:00,grade: It is kind,hours\nSure?,yes,,\n"
        "Long?,javascript: output.length,,\n"
    )
    (hours, sure, long), notes = import_cases(path, Source.PROMPTFOO)
    assert (hours.id, hours.question) == ("hours", "Open?")
    assert [metric.name for metric in hours.own_metrics] == ["contains", "rubric"]
    assert [metric.key for metric in sure.own_metrics] == ["exact:expected=yes,case=true"]
    assert not long.own_metrics
    assert notes == ("line 4: the assertion 'javascript' is left out: there is no metric like it",)


def test_columns_of_a_csv_are_found_or_named(tmp_path: Path) -> None:
    """By name in any case; the rest is said, and semicolons separate too."""
    path = tmp_path / "qa.csv"
    path.write_text("Question;Answer;Category\nOpen?;9:00;hours\n")
    with pytest.raises(SuiteError, match="no column has the right answer; there are Question, Answer, Category"):
        import_cases(path, Source.CSV)
    (case,), _ = import_cases(path, Source.CSV, {"expected": "Answer", "tags": "Category"})
    assert (case.question, case.expected, case.tags) == ("Open?", "9:00", ("hours",))
    with pytest.raises(SuiteError, match="--map expected=Nope: expected KEY=COLUMN"):
        import_cases(path, Source.CSV, {"expected": "Nope"})


def test_compressed_files_are_read_as_they_come(tmp_path: Path) -> None:
    """AlpacaEval's outputs lie about gzipped."""
    path = tmp_path / "outputs.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"instruction": "Say it", "output": "It"}\n'))
    (case,), _ = import_cases(path, Source.ALPACA_EVAL)
    assert (case.question, case.reference) == ("Say it", "It")
    path.write_bytes(b"{}")
    with pytest.raises(SuiteError, match="can't be read"):
        import_cases(path, Source.ALPACA_EVAL)


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
        pytest.param(
            Source.PROMPTFOO,
            "x.yaml",
            "tests: file://t.csv",
            "'file://t.csv' is another file: add that",
            id="elsewhere",
        ),
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


@pytest.mark.parametrize(
    ("source", "name", "content", "said"),
    [
        pytest.param(
            Source.CSV,
            "x.csv",
            "question,expected\nWie groß?,10\n".encode("cp1252"),
            "not UTF-8.*WINDOWS-1252",
            id="cp1252",
        ),
        pytest.param(
            Source.CSV, "x.csv", b"question,expected\nWhat, then?,9:00\n", "line 2: .*longer", id="a ragged row"
        ),
        pytest.param(Source.CSV, "x.csv", b"question,expected\nWhat?\n", "line 2: .*shorter", id="a short row"),
        pytest.param(
            Source.PROMPTFOO,
            "x.yaml",
            b"tests:\n  - vars: [a]\n",
            "line 2: vars: .*expected a mapping",
            id="listed variables",
        ),
        pytest.param(
            Source.PROMPTFOO, "x.yaml", b"tests:\n  - vars: {a: 2026-02-30}\n", "a date that exists", id="no date"
        ),
        pytest.param(
            Source.MT_BENCH, "x.jsonl", b'{"question_id": [1], "turns": ["a"]}\n{"a": NaN}', "found NaN", id="NaN"
        ),
        pytest.param(
            Source.ALPACA_EVAL, "x.json", b'[{"instruction": "a", "instruction": "b"}]', "given twice", id="twice"
        ),
    ],
)
def test_a_broken_file_of_another_tool_is_named(
    tmp_path: Path, source: Source, name: str, content: bytes, said: str
) -> None:
    """With the line, and the way to mend it: nothing is guessed, and nothing wrong gets into a golden set."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SuiteError, match=said):
        import_cases(tmp_path / name, source)


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    """Python's csv stops at 131,072 characters by itself."""
    (tmp_path / "x.csv").write_text("question,expected\n" + "x" * 140_000 + ",9\n")
    (case,), _ = import_cases(tmp_path / "x.csv", Source.CSV)
    assert case.question == "x" * 140_000
