"""What `softlaunch gates replay` prints, and with which exit code it ends."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from softlaunch.cli.exits import Exit
from tests.support.commands import Run

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


def test_recorded_refusals_roll_back(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """By a column with the metric's name, once the policy names it."""
    (tmp_path / policy).write_text(POLICY + "  - {metric: refused, margin: 2 points, role: guard}\n")
    file = tmp_path / samples(tmp_path, weight_percent=50)
    table = pd.read_csv(file)
    table["refused"] = (table["arm"] == "candidate") & (table.index % 5 == 0)
    table.to_csv(file, index=False)
    done = softlaunch("gates", "replay", "samples.csv", "--policy", policy, "--json")
    said = orjson.loads(done.out)
    assert (done.code, said["outcome"], said["metric"]) == (Exit.ROLLED_BACK, "rollback", "refused")


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


def test_rows_are_taken_together_as_sessions(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """Where the policy says so; tables and the document say what is counted."""
    text = POLICY.replace("5 points}", "5 points, per: session}") + "session: {timeout: 5 s}\n"
    (tmp_path / policy).write_text(text)
    units = [f"user {number // 4}" for number in range(4000)]
    rng = np.random.default_rng(6)
    arm = np.where(np.repeat(rng.random(1000) < 0.5, 4), "candidate", "stable")
    file = samples(tmp_path, weight_percent=50, unit=units, arm=arm)
    said = orjson.loads(softlaunch("gates", "replay", file, "--policy", policy, "--json").out)
    errors, latency = said["gates"]
    assert (errors["per"], latency["per"]) == ("session", "request")
    assert 3.5 < latency["met"]["stable"]["requests"] / errors["met"]["stable"]["requests"] < 4.5
    shown = softlaunch("gates", "replay", file, "--policy", policy).out
    assert "counted" in shown
    assert "sessions" in shown


def returning(folder: Path) -> tuple[str, pd.DataFrame]:
    """Two hundred users who come back; later a quarter of the candidate's requests fail, and all of them are scored."""
    rng = np.random.default_rng(8)
    count = 4000
    who = rng.integers(0, 200, count)
    candidate = (rng.permutation(200) < 100)[who]
    table = pd.DataFrame(
        {
            "ts": np.round(1_772_366_400 + np.arange(count) / 10, 1),
            "arm": np.where(candidate, "candidate", "stable"),
            "unit": who,
            "weight_percent": 50,
            "ok": rng.random(count) > np.where(candidate & (np.arange(count) > 400), 0.25, 0.01),
            "latency_ms": np.round(rng.lognormal(6.7, 0.4, count), 1),
            "quality": np.where(candidate | (rng.random(count) < 0.2), 0.5, np.nan),
        }
    )
    table.to_csv(folder / "samples.csv", index=False)
    return "samples.csv", table


def test_what_people_met_is_shown(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """The share of all requests that failed, not of those that are evidence, and the slowest that most users meet."""
    file, table = returning(tmp_path)
    said = orjson.loads(softlaunch("gates", "replay", file, "--policy", policy, "--json").out)
    mine = table[: said["at_row"]].query("arm == 'candidate'")
    errors, latency = said["gates"]
    met = errors["met"]["candidate"]
    assert (said["outcome"], said["metric"]) == ("rollback", "errors")
    assert met == {
        "requests": len(mine),
        "users": mine["unit"].nunique(),
        "value": pytest.approx(1 - mine["ok"].mean()),
        "slow": None,
        "lately": pytest.approx(1 - mine["ok"].mean()),
        "lately_requests": len(mine),
    }
    assert latency["met"]["candidate"]["slow"] == pytest.approx(mine["latency_ms"].quantile(0.95), rel=0.05)
    assert errors["met"]["stable"]["value"] < 0.03
    assert 0 < errors["units"]["candidate"] <= met["users"]
    shown = softlaunch("gates", "replay", file, "--policy", policy).out
    assert shown.startswith("What users met (candidate / stable; lately: the last 5 minutes)")
    assert f"errors {100 * met['value']:.1f} %" in " ".join(shown.split())
    assert "median" in shown
    assert "p95" in shown


def test_unequal_scoring_is_told(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """In the document, and in words."""
    (tmp_path / policy).write_text(POLICY + "  - {metric: quality, margin: 5 points}\n")
    file, _ = returning(tmp_path)
    said = orjson.loads(softlaunch("gates", "replay", file, "--policy", policy, "--json").out)
    told = {gate["name"]: gate["measured"]["differs"] for gate in said["gates"]}
    assert told == {"errors": False, "latency": False, "quality": True}
    assert said["gates"][2]["measured"]["candidate"] == 1.0
    assert len(said["notes"]) == 1
    assert said["notes"][0].startswith("quality was scored for 100 % of the candidate's answers and 2")
    assert f"{said['notes'][0]}." in softlaunch("gates", "replay", file, "--policy", policy).out


def test_users_on_both_arms_are_told(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """A column unit in a file whose requests were drawn one by one means nothing; without it they are compared."""
    file = samples(tmp_path, weight_percent=50)
    table = pd.read_csv(tmp_path / file)
    table["unit"] = np.arange(len(table)) % 300
    table.to_csv(tmp_path / file, index=False)
    done = softlaunch("gates", "replay", file, "--policy", policy, "--json")
    said = orjson.loads(done.out)
    assert (done.code, said["outcome"]) == (Exit.INCONCLUSIVE, "error")
    assert "100 % of the users were on both arms" in said["reason"]
    assert said["reason"].count("leave out column unit") == 1
    assert (said["users_on_both_arms"], len(said["notes"])) == (300, 1)
    table.drop(columns="unit").to_csv(tmp_path / file, index=False)
    assert softlaunch("gates", "replay", file, "--policy", policy).code == Exit.OK


def test_copies_show_what_both_arms_answered(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """No user was exposed to the candidate there."""
    done = softlaunch("gates", "replay", samples(tmp_path, stage="shadow"), "--policy", policy)
    assert done.code == Exit.OK
    assert done.out.startswith("What both arms answered (candidate / stable)")


def test_a_rollback_says_when_and_why(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """In words, with exit code 4."""
    done = softlaunch("gates", "replay", samples(tmp_path, latency=2.0, stage="canary 50 %"), "--policy", policy)
    assert done.code == Exit.ROLLED_BACK
    assert "rollback at row " in done.out
    assert "latency: worse by " in done.out
    assert "Users were exposed to the candidate in " in done.out


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
    assert "was taken for canary 50 %; --weight-percent names another" in done.out
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
    softlaunch: Run, tmp_path: Path, policy: str, columns: dict[str, Any], options: tuple[str, ...], said: str
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


NAMED = """\
app: bot
golden_set: golden.jsonl
metrics:
  - {name: ticket_resolved, kind: share, better: up}
  - {name: handling, kind: duration, better: down}
gates:
  - {metric: errors, margin: 5 points}
  - {metric: ticket_resolved, margin: 5 points}
  - {metric: handling, margin: 20 %}
"""


@pytest.mark.parametrize(
    ("resolved", "slower", "gate", "code"),
    [
        pytest.param(0.8, 1.0, None, Exit.OK, id="no harm"),
        pytest.param(0.6, 1.0, "ticket_resolved", Exit.ROLLED_BACK, id="fewer are resolved"),
        pytest.param(0.8, 1.8, "handling", Exit.ROLLED_BACK, id="they take longer"),
    ],
)
def test_named_metrics_are_replayed(
    softlaunch: Run, tmp_path: Path, resolved: float, slower: float, gate: str | None, code: Exit
) -> None:
    """Each has a column of its name, and is judged by the kind that the policy declares."""
    (tmp_path / "policy.yaml").write_text(NAMED)
    path = samples(tmp_path, weight_percent=50)
    table, rng = pd.read_csv(tmp_path / path), np.random.default_rng(7)
    candidate = table["arm"] == "candidate"
    good = rng.random(len(table)) < np.where(candidate, resolved, 0.8)
    table["ticket_resolved"] = np.where(good, "true", "false")
    table["handling"] = np.round(300 * rng.lognormal(0, 0.4, len(table)) * np.where(candidate, slower, 1.0), 1)
    table.to_csv(tmp_path / path, index=False)
    done = softlaunch("gates", "replay", path, "--policy", "policy.yaml", "--json")
    said = orjson.loads(done.out)
    assert (done.code, said["metric"]) == (code, gate)
