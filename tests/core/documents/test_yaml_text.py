"""YAML that people write: bounded, with the line of every key, and no value that isn't what it looks like."""

import time
from pathlib import Path

import pytest
import yaml

from softlaunch.core.documents import DocumentError, parse

_PATH = Path("p.yaml")
_BOMB = "\n".join(
    ['a0: &a0 ["x","x","x","x","x","x","x","x","x"]']
    + [f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 9)]
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(_BOMB, "line 5: a4.*repeat more than 10,000 values", id="a bomb of aliases"),
        pytest.param("a: &x {b: 1}\nc: *y", r"line 2: c: \*y is an alias of nothing", id="an alias of nothing"),
        pytest.param("a: &x {<<: *x}", "nested more than 20 deep, or an alias of itself", id="a merge of itself"),
        pytest.param("a: " + "[" * 5000 + "]" * 5000, "line 1: .*nested more than 20 deep", id="5,000 brackets"),
        pytest.param("a: " + "[" * 50_000, "line 1: .*nested more than 20 deep", id="brackets that libyaml reads"),
        pytest.param("a: b\n---\nc: d", "line 2: another document begins here", id="two documents"),
        pytest.param("a: !!binary eA==", "line 1: this is not valid YAML: .*tag:yaml.org,2002:binary", id="a tag"),
        pytest.param("a: !mine x", "line 1: .*tag '!mine'", id="a tag of somebody's own"),
        pytest.param('a: "\\U00110000"', "line 1: this is not valid YAML", id="no character"),
        pytest.param('a: b\nc: "\\UFFFFFFFF"', "this is not valid YAML", id="far from a character"),
        pytest.param("a: b\nc: \x00", "line 2: this is not valid YAML", id="a NUL"),
        pytest.param("- 1\n" * 200_001, "more than 200,000 values", id="too many values", marks=pytest.mark.long),
    ],
)
def test_a_document_that_is_refused_as_a_whole(text: str, said: str) -> None:
    """The line is named, and it takes neither long nor much memory."""
    began = time.perf_counter()
    with pytest.raises(DocumentError, match=said):
        parse(_PATH, text)
    assert time.perf_counter() - began < 30


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: 2001-99-99", "line 1: a: found 2001-99-99, expected a date that exists", id="no such date"),
        pytest.param("a: {b: 2026-02-30}", "line 1: a.b: found 2026-02-30, expected a date", id="the 30th of February"),
        pytest.param("a: " + "9" * 6000, "line 1: a: found 9{59}…, expected an integer that fits", id="6,000 digits"),
        pytest.param(f"a: {1 << 64}", "line 1: a: found 1844.*, expected an integer that fits", id="65 bits"),
        pytest.param('a: !!int "xx"', "line 1: a: found xx, expected an integer", id="a tag that lies"),
        pytest.param("a: !!bool x", "line 1: a: found x, expected true or false", id="a truth that is none"),
        pytest.param("a: !!timestamp x", "line 1: a: found x, expected a date", id="a moment that is none"),
        pytest.param("a: .nan", "line 1: a: found .nan, expected a finite number", id="no number"),
        pytest.param("a: [1, -.inf]", r"line 1: a\[1\]: found -.inf, expected a finite number", id="no end"),
        pytest.param("a: 01067", "line 1: a: found 01067, which YAML takes for 567", id="a zero before it"),
        pytest.param("a: 9:30", "line 1: a: found 9:30, which YAML takes for 570", id="a time of day"),
        pytest.param("a: 1\na: 2", "line 2: a: given twice; the first one is on line 1", id="a key twice"),
        pytest.param("? [a, b]\n: c", r"line 1: the key \(a list or mapping\) is no text", id="a list for a key"),
        pytest.param("1: a", "line 1: the key '1' is no text", id="a number for a key"),
        pytest.param("a: {<<: 1}", "line 1: a: << takes over a mapping", id="a merge of a number"),
        pytest.param('a: "\\0"', "line 1: a: found a NUL character", id="a NUL by its code"),
        pytest.param('a: "\\ud800"', "line 1: a: found half of a surrogate pair", id="half a character"),
    ],
)
def test_what_yaml_lets_pass(text: str, said: str) -> None:
    """It is a problem with its line and key, what was found, and what was expected."""
    problems = parse(_PATH, text).problems
    assert len(problems) == 1
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(str(problems[0]))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: &x {b: 1, c: [2]}\nd: {<<: *x, b: 3}\ne: [*x, *x]", id="aliases and a merge"),
        pytest.param("a: &x {b: 1}\nc: &y {b: 2, d: 3}\ne: {<<: [*x, *y]}", id="a merge of two"),
        pytest.param("a: 0\nb: -3\nc: 1.5\nd: 0x1f\ne: 0o17\nf: 1_000", id="numbers"),
        pytest.param("a: null\nb: ~\nc:\nd: true\ne: 'true'\nf: !!str 12", id="nothing, truths and texts"),
        pytest.param("a: 2026-03-01\nb: 2026-03-01T12:00:00Z", id="dates"),
        pytest.param('a: |\n  x\n  y\nb: >-\n  z\n  w\nc: "ü \\u00e9"', id="texts of several lines"),
        pytest.param("- a\n- [b, c]\n- {d: [e]}", id="a list"),
        pytest.param("a: b\n" + "".join(f"k{number}: [{number}, x]\n" for number in range(2000)), id="a long one"),
    ],
)
def test_what_is_sound_means_what_yaml_says(text: str) -> None:
    """Every value is the one that PyYAML makes of it."""
    document = parse(_PATH, text)
    assert document.problems == ()
    assert document.value == yaml.safe_load(text)


@pytest.mark.parametrize("padding", ["", "b: x\n" + "# long\n" * 3000], ids=["short", "long"])
def test_an_emoji_as_json_writes_it(padding: str) -> None:
    """A document that a program wrote as JSON is YAML, with its pairs of halves as characters."""
    document = parse(_PATH, 'a: "\\ud83d\\ude00!"\n' + padding)
    assert document.value["a"] == "\U0001f600!"


def test_lines_begin_where_they_are_told_to() -> None:
    """Front matter begins on the second line of its file, and what an alias repeats is named where it is written."""
    document = parse(_PATH, "a: &x\n  b: 1\nc: *x", first_line=2)
    assert document.lines["a", "b"] == 3
    assert document.lines["c", "b"] == 3
    assert document.lines["c",] == 4
