"""What `softlaunch gates replay` prints, and with which exit code it ends."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from commands import Run

from deployments.cli.exits import Exit

POLICY = """\
app: bot
golden_set: golden.jsonl
gates:
  - {metric: errors, margin: 5 points}
  - {metric: latency, margin: 20 %}
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """A policy file."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    return "policy.yaml"


def samples(folder: Path, *, latency: float = 1.0, count: int = 4000, **columns: object) -> str:
    """Ten requests a second, half of them the candidate's."""
    rng = np.random.default_rng(6)
    candidate = rng.random(count) < 0.5
    table = pd.DataFrame(
        {
            "ts": np.round(1_772_366_400 + np.arange(count) / 10, 1),
            "arm": np.where(candidate, "candidate", "stable"),
            "unit": [f"user {number}" for number in range(count)],
            "ok": (rng.random(count) > 0.01).astype(int),
            "latency_ms": np.round(800 * np.where(candidate, latency, 1.0) * rng.lognormal(0, 0.4, count), 1),
            **columns,
        }
    )
    table.to_csv(folder / "samples.csv", index=False)
    return "samples.csv"


@pytest.mark.parametrize(
    ("extra", "judged", "left_out", "code"),
    [
        pytest.param("", ["errors", "latency"], ["unusable"], Exit.OK, id="not named: left out"),
        pytest.param(
            "  - {metric: unusable, margin: 5 points}\n",
            ["errors", "latency", "unusable"],
            [],
            Exit.INCONCLUSIVE,
            id="named: missing",
        ),
    ],
)
def test_samples_that_know_nothing_of_unusable_answers(
    softlaunch: Run, tmp_path: Path, policy: str, extra: str, judged: list[str], left_out: list[str], code: Exit
) -> None:
    """A gate that is there by itself makes no old recording inconclusive; one that the policy names is missed."""
    (tmp_path / policy).write_text(POLICY + extra)
    done = softlaunch("gates", "replay", samples(tmp_path, weight_percent=50), "--policy", policy, "--json")
    said = orjson.loads(done.out)
    assert done.code == code
    assert ([gate["name"] for gate in said["gates"]], said["gates_left_out"]) == (judged, left_out)


def test_recorded_answers_that_serve_nobody_roll_back(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """Though none of them failed, and the policy doesn't name the metric; failed requests are no such answers."""
    file = tmp_path / samples(tmp_path, weight_percent=50)
    table = pd.read_csv(file)
    table["unusable"] = ((table["arm"] == "candidate") & (table.index % 5 == 0)) | (table["ok"] == 0)
    table.to_csv(file, index=False)
    done = softlaunch("gates", "replay", "samples.csv", "--policy", policy, "--json")
    said = orjson.loads(done.out)
    assert (done.code, said["outcome"], said["metric"]) == (Exit.ROLLED_BACK, "rollback", "unusable")
    shown = softlaunch("gates", "replay", "samples.csv", "--policy", policy).out
    assert "left out" not in shown


def test_a_pass_is_one_json_document(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """With everything that a program wants to know, and exit code 0."""
    done = softlaunch("gates", "replay", samples(tmp_path, weight_percent=50), "--policy", policy, "--json")
    said = orjson.loads(done.out)
    assert (done.code, said["outcome"], said["metric"]) == (Exit.OK, "pass", None)
    assert 0 < said["candidate_requests"] < said["at_row"] < 4000
    assert said["reason"] == f"canary 50 % passed at row {said['at_row']:,}"
    assert [gate["name"] for gate in said["gates"]] == ["errors", "latency"]
    for gate in said["gates"]:
        assert {"name", "outcome", "evidence", "estimate", "lower", "upper", "margin"} <= gate.keys()
        assert gate["outcome"] == "pass"
        assert gate["upper"] <= gate["margin"]


def test_a_rollback_says_when_and_why(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """In words, with exit code 4."""
    done = softlaunch("gates", "replay", samples(tmp_path, latency=2.0, stage="canary 50 %"), "--policy", policy)
    assert done.code == Exit.ROLLED_BACK
    assert "rollback at row " in done.out
    assert "latency: worse by " in done.out
    assert "Users had met the candidate in " in done.out


def test_a_missing_metric_is_inconclusive(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """With exit code 5, and without a row at which it was decided."""
    file = samples(tmp_path, weight_percent=50)
    pd.read_csv(tmp_path / file).drop(columns="latency_ms").to_csv(tmp_path / file, index=False)
    done = softlaunch("gates", "replay", file, "--policy", policy, "--json")
    said = orjson.loads(done.out)
    assert done.code == Exit.INCONCLUSIVE
    assert (said["outcome"], said["metric"], said["at_row"]) == ("inconclusive", "latency", None)
    assert "the samples have no column for it" in said["reason"]


def test_a_split_that_is_off_is_an_error(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """With exit code 5."""
    file = samples(tmp_path)
    done = softlaunch("gates", "replay", file, "--policy", policy, "--weight-percent", "10", "--json")
    assert (done.code, orjson.loads(done.out)["outcome"]) == (Exit.INCONCLUSIVE, "error")


def test_a_file_without_a_split_is_taken_for_a_planned_stage(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """Which is said, and how to say otherwise; columns that mean nothing here are named."""
    done = softlaunch("gates", "replay", samples(tmp_path, request_id="r"), "--policy", policy)
    assert done.code == Exit.OK
    assert "was taken for canary 50 %; --weight-percent says otherwise" in done.out
    assert "Columns that were ignored: request_id." in done.out


@pytest.mark.parametrize("rows", [pytest.param(slice(0, 0), id="no rows"), pytest.param("stable", id="one arm")])
def test_a_file_without_evidence_is_inconclusive(softlaunch: Run, tmp_path: Path, policy: str, rows: Any) -> None:
    """Not bad input: a program that asks hears that nothing passes, and why."""
    file = samples(tmp_path)
    table = pd.read_csv(tmp_path / file)
    (table[rows] if isinstance(rows, slice) else table[table.arm == rows]).to_csv(tmp_path / file, index=False)
    done = softlaunch("gates", "replay", file, "--policy", policy, "--json")
    said = orjson.loads(done.out)
    assert done.code == Exit.INCONCLUSIVE
    assert said["outcome"] in {"inconclusive", "error"}
    assert said["reason"]


@pytest.mark.parametrize("weight", ["50", "observed"])
def test_a_file_without_a_split_is_told_it(softlaunch: Run, tmp_path: Path, policy: str, weight: str) -> None:
    """As a number, or as it was observed."""
    done = softlaunch("gates", "replay", samples(tmp_path), "--policy", policy, "--weight-percent", weight)
    assert done.code == Exit.OK


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        pytest.param({}, ("--weight-percent", "0"), "expected a number above 0 and up to 100", id="no weight"),
        pytest.param({}, ("--weight-percent", "half"), "expected a number above 0 and up to 100", id="a word"),
        pytest.param({"stage": "2"}, ("--weight-percent", "5"), "leave out --weight-percent", id="both"),
        pytest.param({"arm": "b"}, ("--weight-percent", "5"), "row 1, column arm: it is 'b'", id="unknown arm"),
        pytest.param({"stage": "nope"}, (), "row 1, column stage: it is 'nope'", id="unknown stage"),
    ],
)
def test_bad_input_is_told_what_to_change(
    softlaunch: Run, tmp_path: Path, policy: str, columns: dict[str, object], options: tuple[str, ...], said: str
) -> None:
    """One message and exit code 2; nothing is guessed."""
    done = softlaunch("gates", "replay", samples(tmp_path, count=50, **columns), "--policy", policy, *options)
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert said in done.err


def test_a_missing_file_is_bad_input(softlaunch: Run, policy: str) -> None:
    """The message names it."""
    done = softlaunch("gates", "replay", "nowhere.csv", "--policy", policy)
    assert done.code == Exit.USAGE
    assert "nowhere.csv can't be read: there is no such file" in done.err
