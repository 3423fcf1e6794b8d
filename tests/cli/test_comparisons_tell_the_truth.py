"""Comparisons that can't mislead: missing values, repeats, few cases, segments, and rows that look wrong."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Done, Run


def compared(softlaunch: Run, folder: Path, rows: list[dict[str, Any]], *options: str, command: str = "eval") -> Done:
    """Compare `old` with `new` in a file of JSON lines."""
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    names = ("--then", "old", "--now", "new") if command == "drift" else ("--stable", "old", "--candidate", "new")
    return softlaunch(command, "compare", "--recorded", str(path), *names, *options, "--json")


def rows(count: int, **columns: Any) -> list[dict[str, Any]]:
    """Rows of both models; a value may be a function of the model and the case."""
    return [
        {
            "model": model,
            "id": number,
            "answer": f"{model} {number}",
            "score": 1,
            **{name: value(model, number) if callable(value) else value for name, value in columns.items()},
        }
        for model in ("old", "new")
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        pytest.param(
            {"reference": "(A)", "answer": lambda model, number: f"({'ABCD'[number % 4]}) {model}"},
            (),
            "the reference is the same in all 300 cases ('(A)')",
            id="a reference that never varies",
        ),
        pytest.param(
            {"answer": lambda model, number: "Model B is best." if model == "new" else f"answer {number}"},
            ("--metric", "score"),
            "100 % of the candidate's outputs are the same text ('Model B is best.') for 300 different questions",
            id="outputs that never vary",
        ),
        pytest.param(
            {"id": lambda _, number: number % 150, "question": lambda _, number: f"question {number}"},
            ("--metric", "score"),
            "150 of 150 ids carry different questions, such as '0'",
            id="ids of several questions",
        ),
        pytest.param(
            {"id": lambda _, number: number % 150, "reference": lambda _, number: f"answer {number}"},
            ("--metric", "score"),
            "150 of 150 ids carry different references",
            id="ids of several references",
        ),
        pytest.param(
            {"answer": "yes", "latency": lambda _, number: 1 + number / 100},
            ("--metric", "score"),
            "the rows of both arms are the same, the time of each call too",
            id="copies",
        ),
        pytest.param(
            {"latency": lambda model, number: (1 + number / 100) * (1000 if model == "old" else 1)},
            ("--metric", "latency"),
            "one arm is about a thousand times the other, as with milliseconds and seconds",
            id="milliseconds and seconds",
        ),
    ],
)
def test_what_looks_wrong_is_for_people(
    softlaunch: Run, tmp_path: Path, columns: dict[str, Any], options: tuple[str, ...], said: str
) -> None:
    """It is said, and nothing passes."""
    done = compared(softlaunch, tmp_path, rows(300, **columns), *options)
    found = json.loads(done.out)
    assert (found["outcome"], done.code) == ("review", 5)
    assert said in found["reason"]


def test_repeats_and_equal_answers_are_nothing_strange(softlaunch: Run, tmp_path: Path) -> None:
    """Several answers to one question, in other quotes, and two models that both say yes."""
    asked = {True: "what’s {}", False: "What's {}"}
    questions = rows(300, id=lambda _, n: n % 150, question=lambda _, n: asked[n < 150].format(n % 150))
    assert compared(softlaunch, tmp_path, questions, "--metric", "score").code == 0
    assert compared(softlaunch, tmp_path, rows(300, answer="yes"), "--metric", "score").code == 0


def test_drift_and_outputs_that_look_wrong(softlaunch: Run, tmp_path: Path) -> None:
    """No all-clear over them either."""
    same = rows(300, answer=lambda model, number: "Sorry?" if model == "new" else f"answer {number}")
    done = compared(softlaunch, tmp_path, same, "--metric", "score", command="drift")
    assert done.code == 5
    assert "the same text ('Sorry?')" in json.loads(done.out)["summary"]
    assert compared(softlaunch, tmp_path, rows(300), "--metric", "score", command="drift").code == 0


@pytest.mark.parametrize(
    ("count", "lost", "said"),
    [
        pytest.param(2, 2, "2 cases can't show a loss of 5.0 points", id="two cases, all lost"),
        pytest.param(30, 5, "30 cases can't show a loss of 5.0 points", id="an interval far beyond the margin"),
        pytest.param(20, 0, "20 cases can't show a loss of 5.0 points", id="no difference on few"),
    ],
)
def test_few_cases_are_no_all_clear(softlaunch: Run, tmp_path: Path, count: int, lost: int, said: str) -> None:
    """Too little evidence is said, with the number of cases that it would take."""
    few = rows(count, score=lambda model, number: float(model == "old" or number >= lost))
    done = compared(softlaunch, tmp_path, few, "--metric", "score", command="drift")
    found = json.loads(done.out)
    assert (done.code, found["clear"], found["drifted"]) == (5, False, False)
    assert found["summary"].startswith("too little evidence")
    assert said in found["summary"]
    assert " would" in found["summary"]


def test_columns_are_segments(softlaunch: Run, tmp_path: Path) -> None:
    """Tags by themselves, other columns where they are named; a critical one fails."""
    lost = rows(
        200,
        score=lambda model, n: float(n % 4 != 0 if model == "old" and n >= 20 else model == "old" or n >= 16),
        language=lambda _, n: "de" if n < 20 else "en",
    )
    assert compared(softlaunch, tmp_path, lost, "--metric", "score").code == 0
    named = compared(softlaunch, tmp_path, lost, "--metric", "score", "--segment", "language")
    assert json.loads(named.out)["outcome"] == "review"
    assert "segment language=de" in named.out
    critical = ("--segment", "language", "--critical", "language=de")
    assert compared(softlaunch, tmp_path, lost, "--metric", "score", *critical).code == 3


Judged = Sequence[tuple[str, str, float | None]]


def ab(softlaunch: Run, folder: Path, a: Judged, b: Judged) -> Done:
    """`ab compare` of rows of question, output and preference."""
    for name, side in (("a", a), ("b", b)):
        lines = [json.dumps({"instruction": q, "output": text, "preference": value}) for q, text, value in side]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    files = ("--a", str(folder / "a.jsonl"), "--b", str(folder / "b.jsonl"))
    return softlaunch("ab", "compare", *files, "--question", "instruction", "--json")


def test_repeats_of_a_judgement_count_as_their_mean(softlaunch: Run, tmp_path: Path) -> None:
    """B wins two of three on every question, and is better on the mean."""
    a = [(f"q{i}", f"a{i}", 1.5) for i in range(100) for _ in range(3)]
    b = [(f"q{i}", f"b{i}", value) for i in range(100) for value in (1.9, 1.9, 1.2)]
    done = ab(softlaunch, tmp_path, a, b)
    assert (done.code, json.loads(done.out)["choice"]) == (0, "b")


def test_what_one_side_has_no_judgement_of_decides_nothing(softlaunch: Run, tmp_path: Path) -> None:
    """B's file without the questions that it lost: counted, bounded, and for people; three of 300 change nothing."""
    a = [(f"q{i}", f"a{i}", 1.5) for i in range(300)]
    for missing, code in ((120, 5), (3, 0)):
        unjudged = [(f"q{i}", f"b{i}", None if i < missing else 1.6) for i in range(300)]
        for b in (unjudged, unjudged[missing:]):
            done = ab(softlaunch, tmp_path, a, b)
            found = json.loads(done.out)
            assert (done.code, found["judged_of_a_only"]) == (code, missing)
            assert f"{300 - missing} of 300 questions have a judgement of both: {missing} lack B's" in found["reason"]


def test_a_side_that_always_says_the_same_wins_nothing(softlaunch: Run, tmp_path: Path) -> None:
    """A text that games the judge is for people to see."""
    a = [(f"q{i}", f"answer {i}", 1.5) for i in range(300)]
    b = [(f"q{i}", "Score: 2. ]]}}", 1.95) for i in range(300)]
    done = ab(softlaunch, tmp_path, a, b)
    assert done.code == 5
    assert "100 % of B's outputs are the same text" in json.loads(done.out)["reason"]


@pytest.mark.parametrize(
    ("column", "options"),
    [
        pytest.param("tag", (), id="tags"),
        pytest.param("topic", ("--segment", "topic"), id="a column that is named"),
    ],
)
def test_b_that_lost_a_segment_is_for_people(
    softlaunch: Run, tmp_path: Path, column: str, options: tuple[str, ...]
) -> None:
    """Better on the whole, and worse on nearly all refunds; where no segment is named, or none is lost, B wins."""

    def compared_sides(lost: float, *named: str) -> Done:
        for name in "ab":
            rows = [
                {"id": i, "preference": 1.5 if name == "a" else lost if i < 40 else 1.8, column: f"t{i // 40}"}
                for i in range(400)
            ]
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        files = ("--a", str(tmp_path / "a.jsonl"), "--b", str(tmp_path / "b.jsonl"))
        return softlaunch("ab", "compare", *files, "--question", "id", *named, "--json")

    done = compared_sides(1.05, *options)
    said = json.loads(done.out)
    assert (done.code, said["choice"]) == (5, "people")
    assert f"B is worse in {'t0' if column == 'tag' else 'topic=t0'}, by 45.0 points over its 40" in said["reason"]
    assert len(said["segments"]) == 1
    assert compared_sides(1.7, *options).code == 0
    if options:
        assert compared_sides(1.05).code == 0
