"""Golden sets are read once, whole, or not at all."""

from pathlib import Path

import orjson
import pytest

from softlaunch.evals.suites.scoring import accuracy
from softlaunch.evals.suites.suite import Case, SuiteError, load_suite
from softlaunch.metrics import Score

GOOD = {"id": "a", "question": "Is 7 prime?", "expected": "yes"}


def write(folder: Path, *lines: object) -> Path:
    """A golden set of these lines; bytes are written as they are."""
    path = folder / "golden.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines))
    return path


def test_defaults_of_a_short_case(tmp_path: Path) -> None:
    """Id, question and expectation make a case: it counts once and its answer must contain the expected text."""
    (case,) = load_suite(write(tmp_path, GOOD)).cases
    assert ([metric.key for metric in case.own_metrics], case.weight, case.tags) == (["contains"], 1.0, ())
    assert case.request == {"messages": [{"role": "user", "content": "Is 7 prime?"}], "variables": {}}


def test_a_conversation_is_replayed(tmp_path: Path) -> None:
    """Messages are sent as they are, and variables go to the prompt."""
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "bye"},
    ]
    case = {"id": "a", "messages": messages, "variables": {"name": "Ada"}, "expected": "bye", "tags": ["smalltalk"]}
    (read,) = load_suite(write(tmp_path, case)).cases
    assert read.request == {"messages": messages, "variables": {"name": "Ada"}}
    assert read.asked == "bye"


def test_variables_alone_can_ask(tmp_path: Path) -> None:
    """A prompt whose template says everything needs no message of the client."""
    (case,) = load_suite(write(tmp_path, {"id": "a", "variables": {"word": "dog"}, "expected": "Hund"})).cases
    assert case.request == {"messages": [], "variables": {"word": "dog"}}
    assert case.asked == "word: dog"


def test_blank_lines_and_a_byte_order_mark_are_no_cases(tmp_path: Path) -> None:
    """What editors leave behind doesn't count."""
    path = write(tmp_path, b"\xef\xbb\xbf" + orjson.dumps(GOOD), b"", b"  \r", {**GOOD, "id": "b"}, b"")
    assert [case.id for case in load_suite(path).cases] == ["a", "b"]


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    """Order and layout don't change a suite; a word of an expectation does."""
    other = {**GOOD, "id": "b"}
    digest = load_suite(write(tmp_path, GOOD, other)).digest
    assert load_suite(write(tmp_path, other, b"", GOOD)).digest == digest
    assert load_suite(write(tmp_path, GOOD, {**other, "expected": "no"})).digest != digest


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(b"{not json", "'{not json': not valid JSON", id="no JSON"),
        pytest.param(b"[1]", "[1]: expected a JSON object", id="no object"),
        pytest.param(b'{"id": "\xff"}', "not UTF-8 text (the byte 0xff is not UTF-8)", id="no UTF-8"),
        pytest.param({"id": "b", "question": "?"}, "expected: is missing", id="nothing expected"),
        pytest.param({**GOOD, "id": "b", "expectd": 1}, "expectd: 1: unknown key; a case has id,", id="unknown key"),
        pytest.param({**GOOD, "id": 7}, "id: 7: expected a valid string", id="id is a number"),
        pytest.param(
            {**GOOD, "id": "b", "metric": "fuzzy"},
            "metric: 'fuzzy': there is no metric 'fuzzy'; there are contains,",
            id="unknown metric",
        ),
        pytest.param(
            {**GOOD, "id": "b", "metric": "regex", "expected": "("},
            "expected: '(': expected a valid regular expression",
            id="invalid pattern",
        ),
        pytest.param(
            {**GOOD, "id": "b", "metric": "regex", "expected": "x*"},
            "expected: 'x*': expected a regular expression that does not match the empty answer",
            id="pattern that can't miss",
        ),
        pytest.param(
            {**GOOD, "id": "b", "metric": "numeric"}, "expected: 'yes': expected a number", id="numeric without number"
        ),
        pytest.param({**GOOD, "id": "b", "expected": " "}, "a text that is not empty", id="empty expectation"),
        pytest.param({**GOOD, "id": "b", "expected": [1]}, "expected: [1]: expected a text or a number", id="a list"),
        pytest.param({**GOOD, "id": "b", "tolerance": 1}, "tolerance: 1: leave it out", id="tolerance for a text"),
        pytest.param({**GOOD, "id": "b", "weight": 0}, "weight: 0: expected greater than 0", id="weight zero"),
        pytest.param({"id": "b", "expected": "x"}, "question: expected a question, or messages", id="asks nothing"),
        pytest.param(
            {**GOOD, "id": "b", "messages": [{"role": "user", "content": "x"}]},
            "leave it out: the case has a question already",
            id="asks twice",
        ),
        pytest.param(
            {"id": "b", "messages": [{"role": "usr", "content": "x"}], "expected": "x"},
            "messages.0.role: 'usr': expected 'system',",
            id="unknown role",
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: object, said: str) -> None:
    """The message has file, line, key, value and what was expected."""
    path = write(tmp_path, GOOD, line)
    with pytest.raises(SuiteError) as refused:
        load_suite(path)
    assert f"{path}, line 2: " in str(refused.value)
    assert said in str(refused.value)


def test_a_second_use_of_an_id_names_the_first(tmp_path: Path) -> None:
    """Two cases with one id would overwrite each other's answers."""
    with pytest.raises(SuiteError, match="line 3: id: 'a': an id of its own; line 1 has this one"):
        load_suite(write(tmp_path, GOOD, {**GOOD, "id": "b"}, GOOD))


def test_all_broken_lines_are_reported_at_once_up_to_twenty(tmp_path: Path) -> None:
    """Somebody who mends a file wants the whole list, but not hundreds."""
    with pytest.raises(SuiteError) as refused:
        load_suite(write(tmp_path, *[{"id": str(number), "question": "?"} for number in range(25)]))
    message = str(refused.value)
    assert "25 broken lines" in message
    assert message.count("expected: is missing") == 20
    assert message.endswith("and 5 more")


@pytest.mark.parametrize("content", [pytest.param(b"", id="empty"), pytest.param(b"\n \n", id="only blank lines")])
def test_a_golden_set_without_cases_is_refused(tmp_path: Path, content: bytes) -> None:
    """No evidence, no eval."""
    path = tmp_path / "golden.jsonl"
    path.write_bytes(content)
    with pytest.raises(SuiteError, match="has no cases"):
        load_suite(path)


def test_a_missing_golden_set_is_named(tmp_path: Path) -> None:
    """The path is in the message, and what to set."""
    with pytest.raises(SuiteError, match=r"absent\.jsonl can't be read: No such file.*golden_set"):
        load_suite(tmp_path / "absent.jsonl")


def test_cases_are_frozen() -> None:
    """A suite can't change while it is judged."""
    with pytest.raises(ValueError, match="frozen"):
        Case.model_validate(GOOD).weight = 2.0  # type: ignore[misc]  # that mypy refuses it too is the point


def test_a_header_says_who_keeps_it_and_since_when(tmp_path: Path) -> None:
    """Alone on the first line; it is no part of the digest."""
    header = {
        "suite": {"owner": "anna", "created": "2026-01-05", "refreshed": "2026-11-01", "error_budget": "5 points"}
    }
    suite = load_suite(write(tmp_path, header, GOOD))
    assert (suite.header.owner, str(suite.header.as_of), str(suite.header.error_budget)) == (
        "anna",
        "2026-11-01",
        "5 points",
    )
    assert suite.digest == load_suite(write(tmp_path, GOOD)).digest


@pytest.mark.parametrize(
    ("header", "said"),
    [
        pytest.param({"ownr": "anna"}, "line 1: ownr: unknown key", id="unknown key"),
        pytest.param({"created": "soon"}, "line 1: created: found 'soon', expected", id="no date"),
        pytest.param({"created": "2026-02-01", "refreshed": "2026-01-01"}, "is before created", id="crossed dates"),
        pytest.param({"error_budget": "5 %"}, "it is written in points, like '10 points'", id="a relative budget"),
    ],
)
def test_a_broken_header_is_named(tmp_path: Path, header: dict[str, str], said: str) -> None:
    """Like a broken case."""
    with pytest.raises(SuiteError) as refused:
        load_suite(write(tmp_path, {"suite": header}, GOOD))
    assert said in str(refused.value)


def test_a_golden_set_in_yaml(tmp_path: Path) -> None:
    """The same cases as in JSON lines have the same digest; a plain list of cases will do."""
    path = tmp_path / "golden.yaml"
    path.write_text("suite: {owner: anna}\ncases:\n  - id: a\n    question: Is 7 prime?\n    expected: 'yes'\n")
    suite = load_suite(path)
    assert suite.header.owner == "anna"
    assert suite.digest == load_suite(write(tmp_path, GOOD)).digest
    path.write_text("- {id: a, question: 'Is 7 prime?', expected: 'yes'}\n")
    assert load_suite(path).digest == suite.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "cases:\n  - {id: a}\n  - {id: b, question: '?', weight: 0, expected: x}", "line 3: weight: 0", id="case"
        ),
        pytest.param(
            "cases:\n  - {id: a, question: '?', expected: yes}", "line 2: expected: True: expected a text", id="yes"
        ),
        pytest.param("casses: []", "line 1: casses: unknown key; a golden set has suite and cases", id="key"),
        pytest.param("cases: [", "this is not valid YAML", id="no YAML"),
        pytest.param("cases: []", "has no cases", id="no cases"),
        pytest.param("cases:\n  - {id: a, id: b}", "line 2: cases[0].id: given twice", id="key twice"),
    ],
)
def test_broken_yaml_is_named(tmp_path: Path, text: str, said: str) -> None:
    """File, line, key, value and what was expected, as in JSON lines."""
    path = tmp_path / "golden.yaml"
    path.write_text(text)
    with pytest.raises(SuiteError) as refused:
        load_suite(path)
    assert said in str(refused.value)


def test_a_case_may_have_several_metrics(tmp_path: Path) -> None:
    """An answer's accuracy is their mean; a case whose metrics need nothing expects nothing."""
    case = {"id": "a", "question": "?", "metrics": ["length:maximum=3", {"metric": "contains", "expected": "blue"}]}
    (read,) = load_suite(write(tmp_path, case)).cases
    assert accuracy(read, read.sample("it is blue")).value == 1.0
    assert accuracy(read, read.sample("it is red")) == Score(0.5, "")
    assert read.wanted == "length:maximum=3, contains:expected=blue"


def test_a_metric_that_asks_leaves_accuracy_open(tmp_path: Path) -> None:
    """Nobody is asked while answers come in; the judges' scores are put in later."""
    (read,) = load_suite(write(tmp_path, {"id": "a", "question": "?", "metrics": ["rubric"]})).cases
    found = accuracy(read, read.sample("fine"))
    assert found.value is None
    assert "asks a model" in found.reason


@pytest.mark.parametrize("name", ["golden.jsonl", "golden.yaml"])
@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ({"metric": "json_schema", "contract": {"$ref": "file:///etc/passwd"}}, "leads nowhere in it"),
        ({"metric": "json_schema", "contract": {"$ref": "#"}}, "back to itself"),
        ({"metric": "json_schema", "contract": {"pattern": "("}}, "is not a 'regex'"),
        ('json_schema:contract="{\\"$ref\\": \\"#/nope\\"}"', "'#/nope' leads nowhere"),
        ({"metric": "regex", "expected": "a{99999999999}"}, "repetition number is too large"),
    ],
)
def test_a_metric_that_can_not_be_used_names_file_line_and_case(
    tmp_path: Path, name: str, metric: object, said: str
) -> None:
    """Nothing is asked of a model before."""
    path = tmp_path / name
    row = {"id": "g04", "question": "q", "metrics": [metric]}
    path.write_bytes(orjson.dumps({"cases": [row]} if name.endswith("yaml") else row))
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    line = next(one for one in str(caught.value).splitlines() if "line 1" in one)
    assert said in line
    assert str(path) in line
    assert "(case g04)" in line
