"""Judges against people: files of labels, recorded verdicts, and judges that are asked."""

import asyncio
import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
import pytest

from softlaunch.evals.judges.calibration import below_minimum, calibrate, calibrate_recorded
from softlaunch.evals.judges.labels import Kind, Labels, LabelsError, read_labels
from softlaunch.evals.judges.panel import Judges, Panel
from softlaunch.simulator.judging import JudgeModel
from softlaunch.simulator.knowledge import Knowledge
from softlaunch.simulator.profiles import JudgeFigures, Latency, Profile
from tests.evals.judges.panels import Scripted, model, played

PANDALM = {
    "id": "idx",
    "question": "instruction",
    "answer_a": "response1",
    "answer_b": "response2",
    "votes": "annotator1,annotator2,annotator3",
    "judge": "gpt_result",
}
HALUEVAL = {"id": "ID", "question": "user_query", "answer": "chatgpt_response", "votes": "hallucination"}


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Rows as JSON lines, or as CSV."""
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    return path


def pairs(count: int) -> list[dict[str, object]]:
    """Pairs of which people prefer the longer answer, by turns the first and the second."""
    texts = [("a long answer", "short"), ("short", "a long answer")]
    return [
        {"id": n, "question": f"q{n}", "answer_a": texts[n % 2][0], "answer_b": texts[n % 2][1], "votes": "ab"[n % 2]}
        for n in range(count)
    ]


def longer(name: str, asked: Mapping[str, str]) -> str:
    """Prefers the longer answer, in whatever order."""
    return "[[A]]" if len(asked["answer_a"]) > len(asked["answer_b"]) else "[[B]]"


@pytest.mark.parametrize("name", ["labels.jsonl", "labels.csv"])
def test_a_perfect_judge_has_kappa_one(tmp_path: Path, name: str) -> None:
    """Every pair is asked in both orders, and every call is counted."""
    labels = read_labels(write(tmp_path / name, pairs(20)), Kind.PREFERENCE, {})
    judges = Scripted(longer)
    found = asyncio.run(calibrate(labels, judges.panel))
    assert found.agreement.kappa is not None
    assert (found.agreement.agreement.value, found.agreement.kappa.value) == (1.0, 1.0)
    assert found.bias is not None
    assert found.bias.consistent is not None
    assert (found.bias.bias.value, found.bias.consistent.value) == (0.0, 1.0)
    assert found.spent.calls == 40
    assert found.spent.cost_usd == pytest.approx(0.4)
    assert below_minimum(found, 0.6) is None


def test_a_judge_that_goes_by_position_is_found_out(tmp_path: Path) -> None:
    """It prefers whatever stands first: ties by the rule of both orders, and half the picks are wrong."""
    labels = read_labels(write(tmp_path / "labels.jsonl", pairs(40)), Kind.PREFERENCE, {})
    found = asyncio.run(calibrate(labels, Scripted(lambda name, asked: "[[A]]").panel))
    assert found.agreement.agreement.value == 0.0
    assert found.bias is not None
    assert found.bias.consistent is not None
    assert (found.bias.first, found.bias.second, found.bias.bias.value) == (40, 0, 0.5)
    assert found.bias.consistent.value == 0.0
    assert "isn't shown to reach the minimum of 0.4" in str(below_minimum(found, 0.4))


def test_a_judge_that_talks_nonsense_is_below_every_floor(tmp_path: Path) -> None:
    """Unreadable verdicts are disagreements, and counted."""
    labels = read_labels(write(tmp_path / "labels.jsonl", pairs(30)), Kind.PREFERENCE, {})
    found = asyncio.run(calibrate(labels, Scripted(lambda name, asked: "Hm.").panel))
    assert (found.agreement.unreadable, found.agreement.agreement.value) == (30, 0.0)
    assert below_minimum(found, 0.1) is not None


def test_a_judge_is_not_judged_by_labels_that_are_all_the_same(tmp_path: Path) -> None:
    """Saying yes to everything would look perfect."""
    rows = [{"id": n, "question": "?", "answer": "x", "votes": "no"} for n in range(30)]
    labels = read_labels(write(tmp_path / "labels.jsonl", rows), Kind.HALLUCINATION, {})
    found = asyncio.run(calibrate(labels, Scripted(lambda name, asked: '{"claims": []}').panel))
    assert found.agreement.kappa is None
    assert "all the same" in str(below_minimum(found, 0.0))


def test_grades_are_right_from_the_middle_of_the_scale_on(tmp_path: Path) -> None:
    """People say right or wrong; a judge grades."""
    rows = [{"id": n, "question": "?", "answer": str(n), "votes": "right" if n > 2 else "wrong"} for n in range(1, 6)]
    labels = read_labels(write(tmp_path / "labels.jsonl", rows), Kind.GRADE, {})
    found = asyncio.run(calibrate(labels, Scripted(lambda name, asked: f"[[{asked['answer']}]]").panel))
    assert found.agreement.agreement.value == 1.0
    assert found.bias is None


def test_people_who_are_split_say_nothing(tmp_path: Path) -> None:
    """Such items are left out and counted; of two answers a split is a tie."""
    rows: list[dict[str, object]] = [
        {"id": 1, "answer": "x", "votes": ["yes", "no"]},
        {"id": 2, "answer": "x", "votes": ["yes", "yes"]},
    ]
    labels = read_labels(write(tmp_path / "labels.jsonl", rows), Kind.HALLUCINATION, {})
    assert ([one.id for one in labels.items], labels.split) == (["2"], 1)
    pair: dict[str, object] = {"id": 1, "answer_a": "x", "answer_b": "y", "votes": ["a", "b"]}
    assert read_labels(write(tmp_path / "pairs.jsonl", [pair]), Kind.PREFERENCE, {}).items[0].people == "tie"


def test_people_may_leave_an_item_to_others(tmp_path: Path) -> None:
    """An empty cell is no vote, as long as somebody voted."""
    rows: list[dict[str, object]] = [{"id": 1, "answer": "x", "anna": "yes", "ben": "", "carl": None}]
    labels = read_labels(write(tmp_path / "labels.jsonl", rows), Kind.HALLUCINATION, {"votes": "anna,ben,carl"})
    assert [one.votes for one in labels.items] == [("yes",)]


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        pytest.param([{"id": 1, "answer": "x", "votes": "maybe"}], {}, "row 1: votes: 'maybe' is no vote", id="vote"),
        pytest.param(
            [{"id": 1, "answer": "x"}], {}, "has no column 'votes' for votes; there are id, answer", id="column"
        ),
        pytest.param([{"id": 1, "answer": "x", "votes": ""}], {}, "row 1: votes: None is no vote", id="no vote"),
        pytest.param(
            [{"id": 1, "answer": "x", "votes": "tie"}], {}, "use --kind preference)", id="votes of another kind"
        ),
        pytest.param([{"id": 1, "votes": "yes"}], {}, "row 1: answer: is empty", id="nothing to judge"),
        pytest.param([{"id": 1, "votes": "yes"}], {"text": "x"}, "nothing to map to 'text'; known are id", id="map"),
        pytest.param([{"id": 1, "answer": "x", "votes": ["yes", "no"]}], {}, "no item on which people", id="split"),
    ],
)
def test_labels_that_can_not_be_used(
    tmp_path: Path, rows: list[dict[str, object]], columns: dict[str, str], said: str
) -> None:
    """Row, column, and what was expected."""
    with pytest.raises(LabelsError) as refused:
        read_labels(write(tmp_path / "labels.jsonl", rows), Kind.HALLUCINATION, columns)
    assert said in str(refused.value)


def test_verdicts_must_cover_every_label(tmp_path: Path) -> None:
    """A judge that said nothing of an item must not be taken for one that wasn't asked."""
    labels = write(tmp_path / "labels.jsonl", pairs(3))
    said = write(tmp_path / "said.jsonl", [{"id": 0, "judge": "a"}, {"id": 1, "judge": ""}])
    with pytest.raises(LabelsError, match="no verdict for 1 of the 3 items"):
        read_labels(labels, Kind.PREFERENCE, {}, said)


def rehearsed(figures: JudgeFigures) -> Panel:
    """A rehearsed judge who knows nothing but what rehearsed models invent."""
    profile = Profile(name="judge", latency=Latency(p50_s=1, p95_s=2), accuracy=1.0, judge=figures)
    return Panel(Judges((model(),)), played(JudgeModel(profile, Knowledge(), seed=5)))


def hallucinations(tmp_path: Path) -> Labels:
    """200 answers, every third with an invented claim."""
    invented = " This is printed on the back of every receipt."
    rows: list[dict[str, object]] = [
        {"id": n, "question": "?", "answer": f"We open at {n}.{'' if n % 3 else invented}", "votes": not n % 3}
        for n in range(200)
    ]
    return read_labels(write(tmp_path / "labels.jsonl", rows), Kind.HALLUCINATION, {})


def test_a_rehearsed_judge_is_as_good_as_its_profile(tmp_path: Path) -> None:
    """An accuracy of 95 % is measured as such."""
    found = asyncio.run(calibrate(hallucinations(tmp_path), rehearsed(JudgeFigures(accuracy=0.95))))
    assert found.agreement.agreement.lower < 0.95 < found.agreement.agreement.upper
    assert below_minimum(found, 0.4) is None
    poor = asyncio.run(calibrate(hallucinations(tmp_path), rehearsed(JudgeFigures(accuracy=0.6, nonsense_rate=0.2))))
    assert poor.agreement.unreadable > 20
    assert below_minimum(poor, 0.4) is not None


@pytest.mark.realdata
def test_gpt_35_against_people_on_pandalm(realdata: Path) -> None:
    """69.8 % agreement and kappa 0.476 on 999 pairs, 25 garbled verdicts counted as what they are."""
    folder = realdata / "pandalm"
    verdicts = folder / "gpt-3.5-turbo-testset-v1.json"
    found = calibrate_recorded(read_labels(folder / "testset-v1.json", Kind.PREFERENCE, PANDALM, verdicts))
    assert (found.agreement.items, found.agreement.unreadable) == (999, 25)
    assert found.agreement.agreement.value == pytest.approx(0.698, abs=5e-4)
    assert found.agreement.kappa is not None
    assert found.agreement.kappa.value == pytest.approx(0.476, abs=5e-4)
    assert (found.agreement.kappa.lower, found.agreement.kappa.upper) == pytest.approx((0.431, 0.520), abs=5e-4)
    assert found.bias is not None
    assert (found.bias.first, found.bias.second) == (460, 476)
    assert found.bias.bias.lower < 0 < found.bias.bias.upper
    assert found.people_kappa == pytest.approx(0.864, abs=5e-4)
    assert below_minimum(found, 0.4) is None
    assert below_minimum(found, 0.45) is not None


@pytest.mark.realdata
def test_the_confusion_table_of_a_judge_on_halueval(realdata: Path) -> None:
    """4,507 answers marked by people: what a judge of known quality says is what the table counts."""
    labels = read_labels(realdata / "halueval" / "general_data.json", Kind.HALLUCINATION, HALUEVAL)
    marked = {item.answer: item.people for item in labels.items}
    rng = random.Random(11)
    said = {answer: rng.choices(["yes", "no", "?"], [80, 15, 5] if people == "yes" else [10, 88, 2])[0]
            for answer, people in marked.items()}  # fmt: skip

    def reply(name: str, asked: Mapping[str, str]) -> str:
        verdict = said[asked["answer"]]
        claims = [{"claim": "it", "supported": verdict == "no", "reason": ""}]
        return orjson.dumps({"claims": claims}).decode() if verdict != "?" else "Who knows?"

    found = asyncio.run(calibrate(labels, Scripted(reply).panel, concurrency=64))
    expected: dict[tuple[str, str], int] = {}
    for item in labels.items:
        cell = (item.people, said[item.answer].replace("?", "unreadable"))
        expected[cell] = expected.get(cell, 0) + 1
    assert found.agreement.table == expected
    assert sum(count for (people, _), count in expected.items() if people == "yes") == 815
    assert (found.agreement.items, found.spent.calls) == (4507, 4507)
    assert found.agreement.kappa is not None
    assert found.agreement.kappa.lower > 0.5
