"""Recordings: real answers and latencies, played back."""

import gzip
from pathlib import Path

import pytest

from softlaunch.simulator.models import Ask, Refusal
from softlaunch.simulator.recording import Price, RecordingError, read_recording
from tests.simulator.responses import answer_of

CSV = (
    "model,question,answer,latency,input_tokens,output_tokens\n"
    "vendor/m-1,Is 7 prime?,yes,1.5,10,3\n"
    "vendor/m-1,Is 7 prime?,no,2.5,10,4\n"
    "vendor/m-2,Is 7 prime?,maybe,0.5,11,5\n"
)
JSON_LINES = """
{"model": "vendor/m-1", "question": "Is 7 prime?", "answer": "yes", "latency": 1.5, "output_tokens": 3}
{"model": "vendor/m-1", "question": "Is 7 prime?", "answer": "no", "latency": 2.5, "output_tokens": 4}
{"model": "m-2", "question": "Is 7 prime?", "answer": "maybe", "latency": 0.5, "output_tokens": 5}
"""
ASK = Ask([{"role": "user", "content": "is 7  prime?"}])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("r.csv", CSV.encode(), id="CSV"),
        pytest.param("r.csv.gz", gzip.compress(CSV.encode()), id="gzipped CSV"),
        pytest.param("r.jsonl", JSON_LINES.encode(), id="JSON lines"),
        pytest.param("r.jsonl.gz", gzip.compress(JSON_LINES.encode()), id="gzipped JSON lines"),
    ],
)
def test_calls_to_one_question_are_served_in_turn(tmp_path: Path, name: str, content: bytes) -> None:
    """Every format tells the same: answers, latencies and tokens by model."""
    (tmp_path / name).write_bytes(content)
    models = read_recording(tmp_path / name)
    served = [answer_of(models["m-1"], ASK) for _ in range(3)]
    assert [(answer.text, answer.latency_s, answer.output_tokens) for answer in served] == [
        ("yes", 1.5, 3),
        ("no", 2.5, 4),
        ("yes", 1.5, 3),
    ]
    assert answer_of(models["m-2"], ASK).text == "maybe"


def test_a_question_that_was_not_recorded_is_refused(tmp_path: Path) -> None:
    """The refusal is a 404 that says what is missing."""
    (tmp_path / "r.csv").write_text(CSV)
    refusal = read_recording(tmp_path / "r.csv")["m-1"].respond(Ask([{"role": "user", "content": "Is 8 prime?"}]), 0.0)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (404, "question_not_recorded")
    assert "'Is 8 prime?'" in refusal.message


@pytest.mark.parametrize(
    ("row", "tokens"),
    [
        pytest.param('"in":12,"out":34', (12, 34), id="both recorded"),
        pytest.param('"out":100,"usd":0.0069', (30, 100), id="input from the cost"),
        pytest.param('"in":30,"usd":0.0069', (30, 100), id="output from the cost"),
        pytest.param('"usd":0.0063', (10, 100), id="output from the cost, input estimated"),
        pytest.param('"in":12', (12, 20), id="output estimated"),
    ],
)
def test_tokens_are_taken_from_wherever_the_recording_has_them(
    tmp_path: Path, row: str, tokens: tuple[int, int]
) -> None:
    """Tokens times price is the recorded cost wherever cost and price are known."""
    question, answer = "q" * 40, "a" * 80
    line = f'{{"model": "m", "question": "{question}", "answer": "{answer}", "latency": 1, {row}}}'
    (tmp_path / "r.jsonl").write_text(line)
    columns = {"input_tokens": "in", "output_tokens": "out", "cost": "usd"}
    model = read_recording(tmp_path / "r.jsonl", columns, {"m": Price(30, 60)})["m"]
    played = answer_of(model, Ask([{"role": "user", "content": question}]))
    assert (played.input_tokens, played.output_tokens) == tokens


@pytest.mark.parametrize(
    ("content", "columns", "said"),
    [
        pytest.param("model,query,answer,latency\nm,q,a,1\n", {}, "--map question=", id="another name"),
        pytest.param("model,question,answer,latency\nm,q,a,soon\n", {}, "latency is 'soon'", id="no number"),
        pytest.param("model,question,answer,latency\nm,q,a,-1\n", {}, "0 or more", id="a negative latency"),
        pytest.param("model,question,answer,latency\n", {}, "no calls", id="empty"),
        pytest.param(CSV, {"qestion": "query"}, "no column 'qestion'", id="a typo in --map"),
    ],
)
def test_a_recording_that_can_not_be_played_says_why(
    tmp_path: Path, content: str, columns: dict[str, str], said: str
) -> None:
    """File, row and column are in the message, and how to name a column."""
    (tmp_path / "r.csv").write_text(content)
    with pytest.raises(RecordingError, match=said):
        read_recording(tmp_path / "r.csv", columns)


@pytest.mark.realdata
def test_real_snapshots_are_played_back_as_recorded(realdata: Path) -> None:
    """Two snapshots on the primes: their accuracy, and the cost that the recording states, come out again."""
    columns = {"question": "query", "output_tokens": "answer_token"}
    prices = {"gpt-4-0314": Price(30, 60), "gpt-4-0613": Price(30, 60)}
    models = read_recording(realdata / "llmdrift" / "PRIME_FULL_EVAL.csv", columns, prices)
    assert set(models) == {"gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613", "gpt-4-0314", "gpt-4-0613"}
    for name, cost_usd, latency_p50_s in (("gpt-4-0314", 0.01383, 6.7), ("gpt-4-0613", 0.00107, 1.5)):
        asks = [Ask([{"role": "user", "content": question}]) for question in models[name].calls]
        answers = [answer_of(models[name], ask) for ask in asks]
        micro_usd = sum(30 * answer.input_tokens + 60 * answer.output_tokens for answer in answers) / len(answers)
        assert len(answers) == 1000
        assert micro_usd / 1e6 == pytest.approx(cost_usd, rel=0.01)
        assert sorted(answer.latency_s for answer in answers)[500] == pytest.approx(latency_p50_s, rel=0.05)
