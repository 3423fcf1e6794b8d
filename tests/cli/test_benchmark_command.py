"""`softlaunch benchmark`: published benchmarks from the command line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from softlaunch.cli.exits import Exit
from tests.support.commands import Run
from tests.support.endpoints import Endpoint, Reply, running_endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A real endpoint."""
    with running_endpoint() as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Files of MT-Bench's form: a question of two turns, one with a reference, and one whose reference is wrong."""
    folder = tmp_path / "bench"
    folder.mkdir()
    questions = [(81, "writing"), (101, "reasoning"), (104, "reasoning")]
    prompts = [
        (name, f"{{question{turn}}} {{answer{turn}}}" + (f" {{ref_answer{turn or '_1'}}}" if "math" in name else ""))
        for name, turn in (
            ("single-v1", ""),
            ("single-math-v1", ""),
            ("single-v1-multi-turn", "_2"),
            ("single-math-v1-multi-turn", "_2"),
        )
    ]
    rows: dict[str, list[dict[str, Any]]] = {
        "mt_bench_question.jsonl": [
            {"question_id": number, "category": category, "turns": ["one?", "two?"]} for number, category in questions
        ],
        "mt_bench_reference_answer_gpt-4.jsonl": [
            {"question_id": number, "choices": [{"turns": ["r1", "r2"]}]} for number in (101, 104)
        ],
        "judge_prompts.jsonl": [
            {"name": name, "system_prompt": "Judge.", "prompt_template": f"GRADE {text}", "description": "d"}
            for name, text in prompts
        ],
    }
    for name, lines in rows.items():
        (folder / name).write_text("\n".join(json.dumps(line) for line in lines))
    return folder


@pytest.fixture
def app(softlaunch: Run, endpoint: Endpoint, tmp_path: Path) -> str:
    """The example as an app whose models are all at one endpoint."""
    assert softlaunch("init", "bot", "--app", "bot").code == Exit.OK
    models = tmp_path / "bot" / "models.yaml"
    models.write_text(models.read_text().replace("http://127.0.0.1:8801/v1", endpoint.url))
    assert softlaunch("apply", "bot").code == Exit.OK
    return "bot"


def test_mt_bench_asks_and_grades_both_turns(softlaunch: Run, app: str, endpoint: Endpoint, bench: Path) -> None:
    """What is left out and what has no grade is named, and too much of it is no result."""
    endpoint.behaviour = lambda model, text, before: Reply("[[6]]" if text.startswith("GRADE") else "fine")
    arguments = ("benchmark", "mt-bench", str(bench), "--app", app, "--judge", "steady")
    done = softlaunch(*arguments, "--json")
    told = orjson.loads(done.out)
    assert (done.code, told["score"], told["graded"], told["left_out"]) == (Exit.OK, 6.0, 4, [104])
    assert told["judging"]["calls"] == 4
    endpoint.behaviour = lambda model, text, before: Reply("fine")
    done = softlaunch(*arguments)
    assert done.code == Exit.INCONCLUSIVE
    assert "4 of 4 turns have no grade." in done.out
    assert "wrong: 104." in done.out


@pytest.mark.realdata
def test_alpaca_eval_from_the_command_line(softlaunch: Run, realdata: Path) -> None:
    """Both rates of a file of annotations."""
    done = softlaunch(
        "benchmark", "alpaca-eval", str(realdata / "alpacaeval" / "gpt-3.5-turbo-1106.jsonl.gz"), "--json"
    )
    (told,) = orjson.loads(done.out)
    assert told["win_rate"]["value"] == pytest.approx(0.0918, abs=5e-4)
    assert told["length_controlled"]["value"] > told["win_rate"]["value"]
