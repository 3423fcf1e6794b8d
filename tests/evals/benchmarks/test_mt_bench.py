"""MT-Bench with its published protocol."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from softlaunch.core.variant import ModelVersion, PromptVersion, Variant
from softlaunch.evals.benchmarks.mt_bench import (
    MtBench,
    MtBenchError,
    MtBenchResult,
    load_mt_bench,
    read_mt_bench_grade,
    run_mt_bench,
)
from softlaunch.evals.calls.answers import EvalAnswer, Status
from softlaunch.evals.calls.call import Call

MODEL = ModelVersion(name="judge", provider="test", model="judge", endpoint="http://127.0.0.1:1/v1")
VARIANT = Variant(prompt=PromptVersion(name="plain", version="1.0.0", messages=()), model=MODEL)
WRONG = (104, 105, 109, 111, 113, 114, 120, 122, 124, 125, 126, 128, 130)


@pytest.fixture(scope="module")
def bench(realdata: Path) -> MtBench:
    """The published questions, references and prompts."""
    return load_mt_bench(realdata / "mtbench")


def run(bench: MtBench, grade: Callable[[Call], str | None]) -> tuple[MtBenchResult, list[Call]]:
    """Run it with a model that answers `fine` and a judge that says what a function says."""
    calls: list[Call] = []

    async def ask(call: Call) -> EvalAnswer:
        calls.append(call)
        text = grade(call) if call.variant.prompt.name.startswith("mt-bench-") else "fine"
        if text is None:
            return EvalAnswer(call.key, call.variant.digest, Status.UNSCORED, error="timeout")
        return EvalAnswer(call.key, call.variant.digest, Status.SCORED, answer=text, cost_usd=0.01)

    return asyncio.run(run_mt_bench(bench, VARIANT, MODEL, ask)), calls


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        pytest.param("Rating: [[7]]", 7.0, id="double brackets"),
        pytest.param("[[7.5]] and [[3]]", 7.5, id="the first one counts"),
        pytest.param("Rating: [6]", 6.0, id="single brackets will do"),
        pytest.param("[2] but [[8]]", 8.0, id="double ones go first"),
        pytest.param("Rating: [[11]]", None, id="beyond the scale"),
        pytest.param("Rating: 7", None, id="no brackets"),
    ],
)
def test_grades_are_read_as_published(text: str, grade: float | None) -> None:
    """`[[n]]`, then `[n]`."""
    assert read_mt_bench_grade(text) == grade


@pytest.mark.realdata
def test_known_wrong_references_are_left_out_by_name(bench: MtBench) -> None:
    """Thirteen of the eighty questions."""
    assert bench.left_out == WRONG
    assert len(bench.questions) == 67
    assert sum(question.references is not None for question in bench.questions) == 17


@pytest.mark.realdata
def test_both_turns_are_asked_and_graded(bench: MtBench) -> None:
    """The second turn sees the first; temperatures and prompts follow the category."""
    result, calls = run(
        bench, lambda call: "Rating: [[8]]" if "multi-turn" not in call.variant.prompt.name else "[[6]]"
    )
    assert (len(result.turns), len(calls), result.score(), result.ungraded) == (134, 268, 7.0, ())
    assert (result.score(turn=1), result.score(turn=2)) == (8.0, 6.0)
    assert (result.answering.calls, result.judging.calls) == (134, 134)
    assert result.judging.cost_usd == pytest.approx(1.34)
    asked = {call.key.case_id: call for call in calls}
    second = asked["mt-bench-81-2"]
    assert [message["role"] for message in second.case.request["messages"]] == ["user", "assistant", "user"]
    assert second.variant.sampling.temperature == 0.7
    assert asked["mt-bench-101-1"].variant.sampling.temperature == 0.0
    graded = asked["mt-bench-101-2-graded"]
    assert graded.variant.label == "mt-bench-single-math-v1-multi-turn@1.0.0 on judge, temperature 0.0"
    text = graded.variant.request_body(graded.case.request)["messages"][1]["content"]
    assert "If you have just overtaken the second person" in text
    assert "{" not in text.replace("{question", "")


@pytest.mark.realdata
def test_turns_without_a_grade_are_counted(bench: MtBench) -> None:
    """The published script drops them, which makes a model better that its judge is silent about."""
    result, _ = run(bench, lambda call: None if "math" in call.variant.prompt.name else "[[9]]")
    assert result.score() == 9.0
    assert len(result.ungraded) == 34
    assert {turn.problem for turn in result.ungraded} == {"the judge gave no grade: 'timeout'"}
    nonsense, _ = run(bench, lambda call: "Splendid!")
    assert nonsense.score() is None
    assert len(nonsense.ungraded) == 134


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    """And so is a broken line."""
    with pytest.raises(MtBenchError, match="put MT-Bench's published files there"):
        load_mt_bench(tmp_path)
    (tmp_path / "mt_bench_reference_answer_gpt-4.jsonl").write_text("\n{")
    with pytest.raises(MtBenchError, match="line 2: not valid JSON"):
        load_mt_bench(tmp_path)
