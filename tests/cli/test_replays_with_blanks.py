"""What `gates replay` makes of requests of which something was not measured: never a pass by itself."""

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


def requests(**metrics: Any) -> pd.DataFrame:
    """Four thousand requests that both arms answer alike."""
    rng = np.random.default_rng(6)
    count = 4000
    return pd.DataFrame(
        {
            "ts": np.round(1_772_366_400 + np.arange(count) / 10, 1),
            "arm": np.where(rng.random(count) < 0.5, "candidate", "stable"),
            "unit": [f"user {number}" for number in range(count)],
            "weight_percent": 50,
            "ok": (rng.random(count) > 0.01).astype(float),
            "latency_ms": np.round(800 * rng.lognormal(0, 0.4, count), 1),
            **metrics,
        }
    )


def slowest(table: pd.DataFrame, arm: str, share: float) -> Any:
    """The rows of an arm that took longest."""
    mine = table.arm == arm
    return mine & (table.latency_ms > table.latency_ms[mine].quantile(1 - share))


def replayed(softlaunch: Run, folder: Path, table: pd.DataFrame, policy: str, kind: str = "csv") -> tuple[int, Any]:
    """The exit code, and what is said."""
    file = folder / f"samples.{kind}"
    if kind == "parquet":
        table.to_parquet(file)
    else:
        table.to_csv(file, index=False)
    done = softlaunch("gates", "replay", file.name, "--policy", policy, "--json")
    return done.code, orjson.loads(done.out)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_slow_rows_that_are_blank_in_both_arms_pass_nothing(
    softlaunch: Run, tmp_path: Path, policy: str, kind: str
) -> None:
    """As many of each, so that chance explains the numbers; what the candidate's took may be anything."""
    table = requests()
    table.loc[slowest(table, "candidate", 0.08) | slowest(table, "stable", 0.08), "latency_ms"] = np.nan
    code, said = replayed(softlaunch, tmp_path, table, policy, kind)
    assert (code, said["outcome"], said["metric"], said["at_row"]) == (
        Exit.INCONCLUSIVE,
        "inconclusive",
        "latency",
        None,
    )
    assert "anything at the 95th percentile" in said["reason"]
    assert "mark those that no answer came to as failed (ok = 0)" in said["reason"]
    missing = said["gates"][1]["missing"]
    assert missing["candidate"] == int(table.latency_ms[(table.arm == "candidate") & (table.ok == 1)].isna().sum())
    assert missing["worst_case"]["at the 95th percentile"] is None
    assert said["gates"][0]["missing"] is None


def test_a_candidate_whose_slow_rows_are_blank_does_not_pass(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """Three in ten took three times as long, and weren't written down."""
    table = requests()
    table.loc[slowest(table, "candidate", 0.3), "latency_ms"] = np.nan
    code, said = replayed(softlaunch, tmp_path, table, policy)
    assert code == Exit.INCONCLUSIVE
    assert said["outcome"] != "pass"
    assert any("were these as bad as can be" in note for note in said["notes"])


def test_blanks_that_come_after_a_pass_take_it_back(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """A stage is not over while rows of it come."""
    table = requests()
    assert replayed(softlaunch, tmp_path, table, policy)[1]["at_row"] < 2000
    late = (table.index > 2500) & (table.index % 8 == 0)
    table.loc[late, "latency_ms"] = np.nan
    code, said = replayed(softlaunch, tmp_path, table, policy)
    assert (code, said["outcome"], said["metric"]) == (Exit.INCONCLUSIVE, "inconclusive", "latency")


def test_few_blanks_pass_and_are_said(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """Where even the worst that they could be is within the margin."""
    table = requests()
    table.loc[table.index % 200 == 3, "latency_ms"] = np.nan
    code, said = replayed(softlaunch, tmp_path, table, policy)
    assert (code, said["outcome"]) == (Exit.OK, "pass")
    worst = said["gates"][1]["missing"]["worst_case"]
    assert max(worst.values()) < 0.2
    assert any(note.startswith("latency is missing for ") for note in said["notes"])


@pytest.mark.parametrize(
    ("share", "code"), [pytest.param(0.08, Exit.INCONCLUSIVE, id="too many"), pytest.param(0.01, Exit.OK, id="few")]
)
def test_outcomes_that_are_blank_may_be_failures(
    softlaunch: Run, tmp_path: Path, policy: str, share: float, code: Exit
) -> None:
    """Of the candidate's; of stable's they may be successes."""
    table = requests()
    table.loc[np.random.default_rng(3).random(len(table)) < share, "ok"] = np.nan
    found, said = replayed(softlaunch, tmp_path, table, policy)
    errors = said["gates"][0]
    assert (found, said["metric"]) == (code, "errors" if code else None)
    seen = table[: said["at_row"]]
    failed = seen.ok.fillna(seen.arm.map({"candidate": 0, "stable": 1})) == 0
    rates = failed.groupby(seen.arm).mean()
    worst = rates["candidate"] - rates["stable"]
    assert errors["missing"]["candidate"] == int(seen.ok[seen.arm == "candidate"].isna().sum())
    assert errors["missing"]["worst_case"]["on average"] == pytest.approx(worst, abs=1e-9)


def test_requests_that_failed_lack_no_latency(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """No answer came that could have taken time."""
    table = requests()
    table.loc[table.ok == 0, "latency_ms"] = np.nan
    code, said = replayed(softlaunch, tmp_path, table, policy)
    assert (code, said["gates"][1]["missing"]) == (Exit.OK, None)


@pytest.mark.parametrize(
    ("scored", "code"),
    [
        pytest.param({"candidate": 0.9, "stable": 1.0}, Exit.INCONCLUSIVE, id="all of stable's"),
        pytest.param({"candidate": 0.2, "stable": 0.2}, Exit.OK, id="a sample"),
        pytest.param({"candidate": 1.0, "stable": 0.2}, Exit.OK, id="all of the candidate's"),
    ],
)
def test_scores_are_missing_where_nearly_all_of_stables_answers_have_one(
    softlaunch: Run, tmp_path: Path, policy: str, scored: dict[str, float], code: Exit
) -> None:
    """Elsewhere they are a sample, which may be larger in one arm."""
    (tmp_path / policy).write_text(POLICY + "  - {metric: quality, margin: 5 points}\n")
    table = requests()
    share = table.arm.map(scored)
    has = np.random.default_rng(4).random(len(table)) < share
    table["quality"] = np.where(has, 0.8, np.nan)
    found, said = replayed(softlaunch, tmp_path, table, policy)
    assert found == code, said["reason"]
    assert (said["gates"][2]["missing"] is None) is (code == Exit.OK)


def test_blanks_in_sessions_may_be_one_in_each(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """A session's latency is known where all of its requests' are."""
    (tmp_path / policy).write_text(POLICY.replace("20 %}", "20 %, per: session}") + "session: {timeout: 5 s}\n")
    rng = np.random.default_rng(6)
    arm = np.where(np.repeat(rng.random(1000) < 0.5, 4), "candidate", "stable")
    table = requests(unit=[f"user {number // 4}" for number in range(4000)], arm=arm)
    table.loc[table.index % 40 == 3, "latency_ms"] = np.nan
    code, said = replayed(softlaunch, tmp_path, table, policy)
    latency = said["gates"][1]
    assert (latency["per"], code) == ("session", Exit.INCONCLUSIVE)
    assert latency["missing"]["worst_case"]["at the 95th percentile"] is None


def test_copies_follow_the_same_rule(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """Blank latencies of a shadow's copies."""
    table = requests(stage="shadow").drop(columns="weight_percent")
    assert replayed(softlaunch, tmp_path, table, policy)[0] == Exit.OK
    table.loc[slowest(table, "candidate", 0.08) | slowest(table, "stable", 0.08), "latency_ms"] = np.nan
    assert replayed(softlaunch, tmp_path, table, policy)[0] == Exit.INCONCLUSIVE


def test_a_shadow_lacks_no_copies(softlaunch: Run, tmp_path: Path, policy: str) -> None:
    """Copies come in pairs with their originals; those that are left out may be those that came to nothing."""
    table = requests(stage="shadow").drop(columns="weight_percent")
    kept = table[~slowest(table, "candidate", 0.2)]
    code, said = replayed(softlaunch, tmp_path, kept, policy)
    assert (code, said["outcome"]) == (Exit.INCONCLUSIVE, "error")
    assert "copies come in pairs" in said["reason"]
