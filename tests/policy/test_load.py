"""Reading policy files: short ones work, and every mistake is named by file, line, key, value and what was expected."""

from pathlib import Path

import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.core.verdict import Role
from softlaunch.policy.effective import settings
from softlaunch.policy.gating import DEFAULT_GATES
from softlaunch.policy.load import PolicyError, golden_set_path, retired_keys
from softlaunch.policy.model import Policy
from softlaunch.policy.stages import DEFAULT_STAGES
from tests.policy.policy_files import HEAD, load

SHORT = """\
app: support-bot
golden_set: golden.jsonl
unit: {source: conversation}
texts: {keep: true, retention: 7 d}
"""
BLUE_GREEN = """\
app: support-bot
eval: {golden_set: golden.jsonl, tolerance: 1.5 points}
stages:
  - weight_percent: 100
    minimum_time: 1 h
    at_deadline: roll_back
gates:
  - {metric: errors, margin: 1 point}
  - {metric: latency, margin: 20 %, role: guard}
"""


def test_a_few_lines_are_a_policy(tmp_path: Path) -> None:
    """An app whose owner decides next to nothing gets the default stages and gates."""
    policy = load(tmp_path, SHORT)
    assert (policy.stages, policy.gates) == (DEFAULT_STAGES, DEFAULT_GATES)
    assert (policy.texts.keep, policy.texts.retention) == (True, 7 * 86400)
    assert golden_set_path(policy, tmp_path / "softlaunch.yaml") == tmp_path / "golden.jsonl"


def test_keys_that_nothing_reads_any_more_are_left_out(tmp_path: Path) -> None:
    """A policy that has them loads, from a file and from a ledger, and the check names their lines."""
    policy = load(tmp_path, SHORT + "owner: anna\nrouter: embedded\ntelemetry: request_log\n")
    assert policy == load(tmp_path, SHORT) == Policy.model_validate({**policy.model_dump(), "owner": "anna"})
    (tmp_path / "old.yaml").write_text(SHORT + "owner: anna\ntelemetry: request_log\n")
    assert retired_keys(tmp_path / "old.yaml") == [(5, "owner"), (6, "telemetry")]
    assert retired_keys(tmp_path / "softlaunch.yaml") == []


def test_a_golden_set_outside_of_the_apps_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that somebody sent must not have another file read; links are followed, and folders can be allowed."""
    app, other = tmp_path / "app", tmp_path / "other"
    (app / "sets").mkdir(parents=True)
    other.mkdir()
    (other / "golden.jsonl").write_text("secret")
    (app / "linked.jsonl").symlink_to(other / "golden.jsonl")
    (app / "folder").symlink_to(other)
    (app / "inside.jsonl").symlink_to(app / "sets" / "golden.jsonl")
    (app / "circle").symlink_to(app / "circle")
    outside = (
        "../other/golden.jsonl",
        str(other / "golden.jsonl"),
        "linked.jsonl",
        "folder/golden.jsonl",
        "sets/../../x",
    )
    for written in outside:
        with pytest.raises(
            PolicyError, match=r"leads out of the app's folder.*SOFTLAUNCH_GOLDEN_SET_FOLDERS"
        ) as caught:
            golden_set_path(load(app, f"app: a\ngolden_set: {written}"), app / "softlaunch.yaml")
        assert "secret" not in str(caught.value)
    for written in ("inside.jsonl", "sets/golden.jsonl", str(app / "golden.jsonl"), "sets/../golden.jsonl"):
        golden_set_path(load(app, f"app: a\ngolden_set: {written}"), app / "softlaunch.yaml")
    with pytest.raises(PolicyError, match="can't be followed"):
        golden_set_path(load(app, "app: a\ngolden_set: circle/x"), app / "softlaunch.yaml")
    policy = load(app, "app: a\ngolden_set: ../other/golden.jsonl")
    assert golden_set_path(policy, app / "softlaunch.yaml", other).resolve() == other / "golden.jsonl"
    monkeypatch.setenv("SOFTLAUNCH_GOLDEN_SET_FOLDERS", f"/nowhere:{other}")
    assert golden_set_path(policy, app / "softlaunch.yaml").resolve() == other / "golden.jsonl"


def test_blue_green_is_a_policy(tmp_path: Path) -> None:
    """A single stage of 100 percent and gates with written margins parse to what they say."""
    policy = load(tmp_path, BLUE_GREEN)
    assert [stage.weight_percent for stage in policy.stages] == [100]
    assert policy.eval.tolerance == Margin(MarginKind.POINTS, 0.015)
    assert [gate.metric for gate in policy.gates] == [Metric.ERRORS, Metric.LATENCY, Metric.UNUSABLE]


@pytest.mark.parametrize(
    ("gates", "margin", "role"),
    [
        pytest.param(["errors, margin: 3 points"], "3 points", Role.REQUIRED, id="as the gate on errors"),
        pytest.param(
            ["errors, margin: 2 points, role: guard", "latency, margin: 10 %"],
            "2 points",
            Role.GUARD,
            id="a guard as that is",
        ),
        pytest.param(["latency, margin: 10 %"], "1 point", Role.GUARD, id="a guard where nobody asks for errors"),
        pytest.param(
            ["unusable, margin: 5 points, role: muted", "errors, margin: 3 points"], "5 points", Role.MUTED, id="named"
        ),
    ],
)
def test_answers_that_serve_nobody_are_judged_unless_the_policy_says_otherwise(
    tmp_path: Path, gates: list[str], margin: str, role: Role
) -> None:
    """There is one gate on them, as wide as the one on errors; whoever names it decides."""
    policy = load(tmp_path, f"{HEAD}gates: [{', '.join(f'{{metric: {gate}}}' for gate in gates)}]")
    (found,) = [gate for gate in policy.gates if gate.metric is Metric.UNUSABLE]
    assert (str(found.margin), found.role, found.is_named) == (margin, role, "unusable" in gates[0])


@pytest.mark.parametrize("text", [SHORT, BLUE_GREEN], ids=["short", "blue-green"])
def test_a_policy_survives_the_ledger(tmp_path: Path, text: str) -> None:
    """A policy stored as JSON reads back equal."""
    policy = load(tmp_path, text)
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy


@pytest.mark.parametrize(("written", "redraw"), [("30 min", 1800.0), ("90", 90.0), ("conversation", "conversation")])
def test_arms_can_be_drawn_afresh(tmp_path: Path, written: str, redraw: float | str) -> None:
    """After a time, or in each conversation; what was read survives the ledger and is shown as it was written."""
    policy = load(tmp_path, f"{HEAD}unit: {{redraw: {written}}}")
    assert policy.unit.redraw == redraw
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy
    shown = {one.key: one.value for one in settings(policy)}["unit.redraw"]
    assert shown in {written, f"{written} s"}


def test_gates_can_count_sessions(tmp_path: Path) -> None:
    """Unusable answers too, as wide as errors are; what was read survives the ledger."""
    text = f"{HEAD}session: {{timeout: 10 min}}\ngates: [{{metric: errors, margin: 3 points, per: session}}]"
    policy = load(tmp_path, text)
    assert [(gate.metric, gate.per, str(gate.margin)) for gate in policy.gates] == [
        ("errors", "session", "3 points"),
        ("unusable", "session", "3 points"),
    ]
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy
    shown = {one.key: one.value for one in settings(policy)}
    assert (shown["gates[0].per"], shown["session.timeout"], shown["session.user_period"]) == (
        "session",
        "10 min",
        "1 d",
    )
    assert all(gate.per == "request" for gate in load(tmp_path, HEAD).gates)


@pytest.mark.parametrize("unit", ["{source: conversation}", "{redraw: 1 h}"])
def test_what_was_asked_needs_no_past(tmp_path: Path, unit: str) -> None:
    """A gate can be adjusted for it whatever units are."""
    gates = "gates: [{metric: latency, margin: 10 %, adjust_for: [request_size, streamed]}]"
    policy = load(tmp_path, f"{HEAD}unit: {unit}\n{gates}")
    assert policy.gates[0].adjust_for == ("request_size", "streamed")
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy


def test_merge_keys_and_anchors_work(tmp_path: Path) -> None:
    """Stages can share their settings by an anchor."""
    text = """\
app: support-bot
golden_set: golden.jsonl
stages:
  - &usual {weight_percent: 5, minimum_requests: 500}
  - {<<: *usual, weight_percent: 100}
"""
    policy = load(tmp_path, text)
    assert [(stage.weight_percent, stage.minimum_requests) for stage in policy.stages] == [(5, 500), (100, 500)]
