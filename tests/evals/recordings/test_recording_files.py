"""Files of recorded outputs: what can be read, and what is said of what can't."""

import gzip
from pathlib import Path

import pytest

from softlaunch.evals.recordings.columns import Columns
from softlaunch.evals.recordings.files import RecordingError, read_files, read_rows

ROWS = [{"model": "a", "id": "1", "answer": 'yes, "no"\n'}, {"model": "b", "id": "1", "answer": "né"}]
CSV = 'model,id,answer\na,1,"yes, ""no""\n"\nb,1,né\n'
TABS = 'model\tid\tanswer\na\t1\t"yes, ""no""\n"\nb\t1\tné\n'
LINES = '{"model":"a","id":"1","answer":"yes, \\"no\\"\\n"}\n\n{"model":"b","id":"1","answer":"né"}\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", CSV),
        (
            "rows.tsv",
            CSV.replace("l,i", "l\ti").replace("d,a", "d\ta").replace("a,1,", "a\t1\t").replace("b,1,", "b\t1\t"),
        ),
        ("rows.jsonl", LINES),
        ("rows.json", "[" + LINES.strip().replace("\n\n", ",") + "]"),
        ("lines.json", LINES),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"], ids=["plain", "gzip"])
def test_formats(tmp_path: Path, name: str, text: str, suffix: str) -> None:
    """CSV, tab-separated, JSON lines and JSON lists say the same, compressed or not."""
    content = ("\ufeff" + text).encode()
    path = tmp_path / f"{name}{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    assert [dict(row) for row in read_rows(path)] == ROWS


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("x.parquet", b"", "name ends in .csv", id="another format"),
        pytest.param("x.csv", b"", "has no rows", id="empty"),
        pytest.param("x.csv", b"a,b\n", "has no rows", id="a header only"),
        pytest.param("x.csv", b"a,a\n1,2\n", "column a is there twice", id="a column twice"),
        pytest.param("x.csv", b"a,b\n1\n", "line 2: the row is shorter", id="a short row"),
        pytest.param("x.jsonl", b'{"a": 1}\n{"a": \n', "line 2: not valid JSON", id="a broken line"),
        pytest.param("x.jsonl", b"[1]\n", "line 1: expected a JSON object", id="no object"),
        pytest.param("x.csv.gz", b"a,b\n1,2\n", "can't be read", id="not compressed"),
        pytest.param("x.csv", b"a\n\xff\n", "is not UTF-8", id="another encoding"),
    ],
)
def test_what_is_broken_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    """File, line and what was expected stand in the message."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=said):
        read_rows(tmp_path / name)


def test_semicolons_of_a_spreadsheet(tmp_path: Path) -> None:
    """Where a comma is the decimal sign, spreadsheets separate by semicolons."""
    path = tmp_path / "rows.csv"
    path.write_text('model;id;answer\na;1;"x, y; z"\n')
    assert [dict(row) for row in read_rows(path)] == [{"model": "a", "id": "1", "answer": "x, y; z"}]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_nan_is_read_as_other_programs_write_it(tmp_path: Path, name: str) -> None:
    """JSON has no NaN, but Python and pandas write it: a number that is none, not a broken file."""
    path = tmp_path / name
    lines = ['{"id": 1, "score": NaN}', '{"id": 2, "score": 0.5}']
    path.write_text("[" + ",".join(lines) + "]" if name.endswith("json") else "\n".join(lines))
    first, second = (row["score"] for row in read_rows(path))
    assert first != first  # noqa: PLR0124  (NaN differs from itself)
    assert second == 0.5


def test_several_files_say_where_a_row_is_from(tmp_path: Path) -> None:
    """The file's name stands for a model that no column names; a column of that name is left alone."""
    (tmp_path / "gpt-3.5.jsonl").write_text('{"id": 1}\n')
    (tmp_path / "new.jsonl.gz").write_bytes(gzip.compress(b'{"id": 1, "file": "mine"}\n'))
    rows = read_files([tmp_path / "gpt-3.5.jsonl", tmp_path / "new.jsonl.gz"])
    assert [row["file"] for row in rows] == ["gpt-3.5", "mine"]
    assert Columns.of(rows, []).by_role["model"] == "file"
    assert "file" not in read_files([tmp_path / "gpt-3.5.jsonl"])[0]


def test_ids_are_the_same_whatever_wrote_them() -> None:
    """7.0 is 7, and an object is its JSON."""
    columns = Columns.of([{"model": "a", "id": 7.0, "answer": {"a": [1]}}], [])
    assert columns.text({"id": 7.0}, "id") == columns.text({"id": 7}, "id") == columns.text({"id": "7"}, "id")
    assert columns.text({"answer": {"a": [1]}}, "answer") == '{"a":[1]}'


def test_a_missing_file() -> None:
    """The path is named."""
    with pytest.raises(RecordingError, match=r"nowhere\.csv can't be read: No such file"):
        read_rows(Path("nowhere.csv"))


def test_columns_are_found_by_their_usual_names() -> None:
    """AlpacaEval's and LLMDrift's names need no mapping; what is given goes first."""
    row = {"generator": "m", "instruction": "do it", "output": "done", "text": "other", "latency_ms": "7"}
    assert Columns.of([row], []).by_role == {
        "model": "generator",
        "id": "instruction",
        "answer": "output",
        "question": "instruction",
        "latency": "latency_ms",
    }
    assert Columns.of([row], ["answer=text"]).text(row, "answer") == "other"
    assert Columns.of([row], []).latency_ms(row) == 7
    assert Columns.of([{"model": 1, "id": 2, "latency": 1.5}], []).latency_ms({"latency": 1.5}) == 1500


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        pytest.param(["answer"], "expected ROLE=COLUMN", id="no column"),
        pytest.param(["colour=id"], "with a role of model, id", id="unknown role"),
        pytest.param(["answer=text"], "there is no column 'text'; there are id", id="unknown column"),
        pytest.param([], "no column has the model of an output; name it with --map model=COLUMN", id="no model"),
    ],
)
def test_columns_that_cannot_be_found(mapping: list[str], said: str) -> None:
    """What there is stands in the message."""
    with pytest.raises(RecordingError, match=said):
        Columns.of([{"id": 1}], mapping)
