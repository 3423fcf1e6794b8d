"""Reading policy files: short ones work, and every mistake is named by file, line, key, value and what was expected."""

from pathlib import Path

import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.core.verdict import Role
from softlaunch.metrics import metric_names
from softlaunch.policy.effective import settings
from softlaunch.policy.gating import DEFAULT_GATES
from softlaunch.policy.load import PolicyError, golden_set_path, load_policy, retired_keys
from softlaunch.policy.model import Policy
from softlaunch.policy.stages import DEFAULT_STAGES

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


def _load(folder: Path, text: str) -> Policy:
    path = folder / "softlaunch.yaml"
    path.write_text(text)
    return load_policy(path)


def _complaints(folder: Path, text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        _load(folder, text)
    prefix = f"{folder / 'softlaunch.yaml'}, "
    return [line.strip().removeprefix(prefix) for line in str(caught.value).splitlines() if prefix in line]


def test_a_few_lines_are_a_policy(tmp_path: Path) -> None:
    """An app whose owner decides next to nothing gets the default stages and gates."""
    policy = _load(tmp_path, SHORT)
    assert (policy.stages, policy.gates) == (DEFAULT_STAGES, DEFAULT_GATES)
    assert (policy.texts.keep, policy.texts.retention) == (True, 7 * 86400)
    assert golden_set_path(policy, tmp_path / "softlaunch.yaml") == tmp_path / "golden.jsonl"


def test_keys_that_nothing_reads_any_more_are_left_out(tmp_path: Path) -> None:
    """A policy that has them loads, from a file and from a ledger, and the check names their lines."""
    policy = _load(tmp_path, SHORT + "owner: anna\nrouter: embedded\ntelemetry: request_log\n")
    assert policy == _load(tmp_path, SHORT) == Policy.model_validate({**policy.model_dump(), "owner": "anna"})
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
            golden_set_path(_load(app, f"app: a\ngolden_set: {written}"), app / "softlaunch.yaml")
        assert "secret" not in str(caught.value)
    for written in ("inside.jsonl", "sets/golden.jsonl", str(app / "golden.jsonl"), "sets/../golden.jsonl"):
        golden_set_path(_load(app, f"app: a\ngolden_set: {written}"), app / "softlaunch.yaml")
    with pytest.raises(PolicyError, match="can't be followed"):
        golden_set_path(_load(app, "app: a\ngolden_set: circle/x"), app / "softlaunch.yaml")
    policy = _load(app, "app: a\ngolden_set: ../other/golden.jsonl")
    assert golden_set_path(policy, app / "softlaunch.yaml", other).resolve() == other / "golden.jsonl"
    monkeypatch.setenv("SOFTLAUNCH_GOLDEN_SET_FOLDERS", f"/nowhere:{other}")
    assert golden_set_path(policy, app / "softlaunch.yaml").resolve() == other / "golden.jsonl"


def test_blue_green_is_a_policy(tmp_path: Path) -> None:
    """A single stage of 100 percent and gates with written margins parse to what they say."""
    policy = _load(tmp_path, BLUE_GREEN)
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
    policy = _load(tmp_path, f"{_HEAD}gates: [{', '.join(f'{{metric: {gate}}}' for gate in gates)}]")
    (found,) = [gate for gate in policy.gates if gate.metric is Metric.UNUSABLE]
    assert (str(found.margin), found.role, found.is_named) == (margin, role, "unusable" in gates[0])


@pytest.mark.parametrize("text", [SHORT, BLUE_GREEN], ids=["short", "blue-green"])
def test_a_policy_survives_the_ledger(tmp_path: Path, text: str) -> None:
    """A policy stored as JSON reads back equal."""
    policy = _load(tmp_path, text)
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy


@pytest.mark.parametrize(("written", "redraw"), [("30 min", 1800.0), ("90", 90.0), ("conversation", "conversation")])
def test_arms_can_be_drawn_afresh(tmp_path: Path, written: str, redraw: float | str) -> None:
    """After a time, or in each conversation; what was read survives the ledger and is shown as it was written."""
    policy = _load(tmp_path, f"{_HEAD}unit: {{redraw: {written}}}")
    assert policy.unit.redraw == redraw
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy
    shown = {one.key: one.value for one in settings(policy)}["unit.redraw"]
    assert shown in {written, f"{written} s"}


def test_gates_can_count_sessions(tmp_path: Path) -> None:
    """Unusable answers too, as wide as errors are; what was read survives the ledger."""
    text = f"{_HEAD}session: {{timeout: 10 min}}\ngates: [{{metric: errors, margin: 3 points, per: session}}]"
    policy = _load(tmp_path, text)
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
    assert all(gate.per == "request" for gate in _load(tmp_path, _HEAD).gates)


@pytest.mark.parametrize("unit", ["{source: conversation}", "{redraw: 1 h}"])
def test_what_was_asked_needs_no_past(tmp_path: Path, unit: str) -> None:
    """A gate can be adjusted for it whatever units are."""
    gates = "gates: [{metric: latency, margin: 10 %, adjust_for: [request_size, streamed]}]"
    policy = _load(tmp_path, f"{_HEAD}unit: {unit}\n{gates}")
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
    policy = _load(tmp_path, text)
    assert [(stage.weight_percent, stage.minimum_requests) for stage in policy.stages] == [(5, 500), (100, 500)]


_HEAD = "app: support-bot\ngolden_set: golden.jsonl\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            "app: support-bot\ngolden_sett: golden.jsonl\neval: {golden_set: g}",
            "line 2: golden_sett: unknown key; did you mean 'golden_set'?",
            id="misspelt key at the top",
        ),
        pytest.param(
            _HEAD + "stages:\n  - weight_percent: 5\n  - weight_percent: 100\n    minimum_tme: 5 s",
            "line 6: stages[1].minimum_tme: unknown key; did you mean 'minimum_time'?",
            id="misspelt key in a list",
        ),
        pytest.param(
            _HEAD + "approval: {zzz: 1}",
            "line 3: approval.zzz: unknown key; known here: timeout, starter_may_approve, two_people_from_percent",
            id="a key like no other",
        ),
        pytest.param(
            _HEAD + "gates:\n  - {metric: latncy, margin: 10 %}",
            "line 4: gates[0].metric: found 'latncy', expected 'errors', 'unusable', 'latency', 'cost', "
            "'quality', 'hallucination', 'satisfaction', 'agreement' or 'preference'; did you mean 'latency'?",
            id="misspelt value",
        ),
        pytest.param(
            _HEAD + "stages: [{weight_percent: 0}]",
            "line 3: stages[0].weight_percent: found 0, expected greater than 0",
            id="a stage without users",
        ),
        pytest.param(
            _HEAD + "control_percent: yes",
            "line 3: control_percent: found True, expected a number",
            id="a truth where a number belongs",
        ),
        pytest.param(
            _HEAD + "control_percent: .nan",
            "line 3: control_percent: found nan, expected less than or equal to 100",
            id="a number that is none",
        ),
        pytest.param(
            _HEAD + "stages: [{weight_percent: 100, deadline: .inf}]",
            "line 3: stages[0].deadline: found inf, expected a finite number",
            id="an endless deadline",
        ),
        pytest.param(
            _HEAD + "stages:\n  - weight_percent: 100\n    minimum_time: ten minutes",
            "line 5: stages[0].minimum_time: expected a duration such as '90 s', '15 min', '2 h' or '7 d', "
            "not 'ten minutes'",
            id="a duration in words",
        ),
        pytest.param(
            _HEAD + "gates: [{metric: errors, margin: 0 points}]",
            "line 3: gates[0].margin: expected a margin above zero such as '2 points' or '10 %', not '0 points'",
            id="no margin at all",
        ),
        pytest.param(
            _HEAD + "gates: [{metric: errors, margin: 101 points}]",
            "line 3: gates[0].margin: expected at most '100 points', not '101 points': a rate or score can't lose more",
            id="more points than there are",
        ),
        pytest.param(
            _HEAD + "gates:\n  - metric: cost\n    margin: 2 points",
            "line 5: gates[0].margin: the margin of cost is written like '10 %', not '2 points'",
            id="a margin of the wrong kind",
        ),
        pytest.param(
            _HEAD + "gates:\n  - metric: quality\n    margin: 2 points\n    direction: lower_is_better",
            "line 6: gates[0].direction: quality is higher_is_better; leave direction out or say so",
            id="a direction that isn't the metric's",
        ),
        pytest.param(
            _HEAD + "gates:\n  - {metric: errors, margin: 1 point}\n"
            "  - {metric: agreement, margin: 1 point, role: guard}",
            "line 5: gates[1].role: agreement compares texts of live requests, which are not kept: set texts.keep; or "
            "make it muted",
            id="a gate on texts that aren't kept",
        ),
        pytest.param(
            _HEAD + "texts: {keep: true}\nshadow: {floor_percent: 0}\ngates:\n  - {metric: errors, margin: 1 point}\n"
            "  - {metric: agreement, margin: 1 point, role: guard}",
            "line 7: gates[1].role: agreement is compared with stable's own: set shadow.floor_percent above 0; or make "
            "it muted",
            id="a gate on agreement without a floor",
        ),
        pytest.param(
            _HEAD + "texts: {keep: true}\nshadow: null\ngates:\n  - {metric: errors, margin: 1 point}\n"
            "  - {metric: agreement, margin: 1 point, role: guard}",
            "line 7: gates[1].role: agreement is judged in the shadow stage, which is left out: put 'shadow' back; or "
            "make it muted",
            id="a gate on copies that nobody makes",
        ),
        pytest.param(
            _HEAD + "gates:\n  - {metric: errors, margin: 1 point}\n  - {metric: preference, margin: 5 points}",
            "line 5: gates[1].metric: preference asks judges: name their models under eval.judge.models",
            id="preference without judges",
        ),
        pytest.param(
            _HEAD + "gates: []", "line 3: gates: found an empty list, expected at least one", id="an empty gate list"
        ),
        pytest.param(
            _HEAD + "gates: [{metric: errors, margin: 1 point, role: guard}]",
            "line 3: gates: none is required, so nothing could ever pass; give one the role 'required'",
            id="nothing that could pass",
        ),
        pytest.param(
            _HEAD + "gates: [{metric: satisfaction, margin: 4 points}]",
            "line 3: gates: the last stage and the shadow compare copies, which nobody rates; require errors, latency "
            "or cost too",
            id="nothing that could pass on copies",
        ),
        pytest.param(
            _HEAD + "gates: [{metric: errors, margin: 1 point}, {metric: errors, margin: 2 points}]",
            "line 3: gates: a metric has two gates; keep one",
            id="two gates of one metric",
        ),
        pytest.param(
            _HEAD + "stages: [{weight_percent: 50}, {weight_percent: 5}, {weight_percent: 100}]",
            "line 3: stages: weights must grow: 50, 5, 100",
            id="a weight that shrinks",
        ),
        pytest.param(
            _HEAD + "stages:\n  - weight_percent: 5\n  - weight_percent: 50",
            "line 5: stages[1].weight_percent: expected 100 in the last stage, not 50: a release ends with all users",
            id="a release without an end",
        ),
        pytest.param(
            _HEAD + "shadow:\n  minimum_time: 2 h\n  deadline: 1 h",
            "line 5: shadow.deadline: 3600 s comes before minimum_time, which is 7200 s",
            id="a deadline before the minimum time",
        ),
        pytest.param(
            _HEAD + "shadow:\n  deadline_requests: 50",
            "line 4: shadow.deadline_requests: 50 comes before minimum_requests, which is 100",
            id="a deadline before the minimum number of pairs",
        ),
        pytest.param(
            _HEAD
            + "stages:\n  - {weight_percent: 5, minimum_units: 500, deadline_units: 400}\n  - {weight_percent: 100}",
            "line 4: stages[0].deadline_units: 400 comes before minimum_units, which is 500",
            id="a deadline before the minimum number of units",
        ),
        pytest.param(
            _HEAD + "stages:\n  - {weight_percent: 5}\n  - {weight_percent: 100, minimum_units: 500}",
            "line 5: stages[1].minimum_units: at 100 % copies are compared, two of each request, and no units are "
            "counted; say it in requests",
            id="units where copies are compared",
        ),
        pytest.param(
            _HEAD + "stages:\n  - {weight_percent: 100, minimum_requests: 0}",
            "line 4: stages[0].minimum_requests: found 0, expected greater than or equal to 1",
            id="a minimum of nothing",
        ),
        pytest.param(
            _HEAD + "gates: [{metric: errors, margin: 1 point, adjust_for: [own_past]}]",
            "line 3: gates[0].adjust_for: latency and cost can be adjusted, errors can't; leave it out",
            id="a rate beside its own past",
        ),
        pytest.param(
            _HEAD + "gates: [{metric: cost, margin: 10 %, adjust_for: [tokens]}]",
            "line 3: gates[0].adjust_for[0]: found 'tokens', expected 'own_past', 'request_size' or 'streamed'",
            id="something else to adjust for",
        ),
        pytest.param(
            _HEAD + "unit: {redraw: 1 h}\ngates: [{metric: cost, margin: 10 %, adjust_for: [own_past]}]",
            "line 4: gates[0].adjust_for: units that are drawn afresh or are conversations have no past; let "
            "unit.source name users and leave unit.redraw out, or leave own_past out",
            id="the past of what begins afresh",
        ),
        pytest.param(
            _HEAD + "gates: [{metric: errors, margin: 1 point, per: visit}]",
            "line 3: gates[0].per: found 'visit', expected 'request', 'session' or 'user'",
            id="per something else",
        ),
        pytest.param(
            _HEAD
            + "gates:\n  - {metric: errors, margin: 1 point}\n  - {metric: agreement, margin: 9 points, per: session}",
            "line 5: gates[1].per: agreement compares two answers to one request; leave it out or say request",
            id="sessions of copies",
        ),
        pytest.param(
            _HEAD + "unit: {redraw: 1 d}\ngates: [{metric: errors, margin: 1 point, per: user}]",
            "line 4: gates[0].per: units that are drawn afresh or are conversations are no users; say session, or let "
            "unit.source name users and leave unit.redraw out",
            id="users whose arms are drawn afresh",
        ),
        pytest.param(
            _HEAD + "unit: {source: conversation}\ngates: [{metric: errors, margin: 1 point, per: user}]",
            "line 4: gates[0].per: units that are drawn afresh or are conversations are no users; say session, or let "
            "unit.source name users and leave unit.redraw out",
            id="users of conversations",
        ),
        pytest.param(
            _HEAD + "unit: {redraw: 5 min}\ngates: [{metric: errors, margin: 1 point, per: session}]",
            "line 4: gates[0].per: arms are drawn afresh each 5 min, which would cut sessions that end after a pause "
            "of 30 min; make unit.redraw longer or session.timeout shorter",
            id="sessions that are cut",
        ),
        pytest.param(
            _HEAD + "stages:\n  - {weight_percent: 5, deadline: 30 min}\n  - {weight_percent: 100}\n"
            "gates: [{metric: errors, margin: 1 point, per: session}]",
            "line 4: stages[0].deadline: errors per session is known after 30 min at the soonest, so that this stage "
            "could never pass in time; give it longer, or change the policy's 'session'",
            id="a deadline before the first session is over",
        ),
        pytest.param(
            _HEAD + "session: {timeout: 1 h, longest: 30 min}",
            "line 3: session.longest: a session can't be over before timeout, which is 1 h; expected more",
            id="a session that is over before it can be",
        ),
        pytest.param(
            _HEAD + "unit: {redraw: often}",
            "line 3: unit.redraw: expected a duration such as '90 s', '15 min', '2 h' or '7 d', or 'conversation', not "
            "'often'",
            id="an epoch in words",
        ),
        pytest.param(
            _HEAD + "unit: {redraw: 5 s}",
            "line 3: unit.redraw: expected at least '1 min', so that a user's requests can be on one side, not '5 s'",
            id="an epoch of a moment",
        ),
        pytest.param(
            _HEAD + "unit: {source: conversation, redraw: conversation}",
            "line 3: unit.redraw: each conversation is a unit already, whose arm is its own; leave redraw out",
            id="conversations of conversations",
        ),
        pytest.param(
            _HEAD + "eval:\n  repeats: 8",
            "line 3: eval.maximum_repeats: 6 is less than repeats, which is 8",
            id="a default that a written value rules out",
        ),
        pytest.param(
            _HEAD + "eval:\n  metrics:\n    - {metric: fuzzy}",
            "line 5: eval.metrics[0].metric: there is no metric 'fuzzy'; there are " + ", ".join(metric_names()),
            id="a metric that doesn't exist",
        ),
        pytest.param(
            _HEAD + "eval:\n  metrics:\n    - {metric: rubric, margin: 2 %}",
            "line 5: eval.metrics[0].margin: scores are from 0 to 1: it is written in points, not '2 %'",
            id="a relative margin of a score",
        ),
        pytest.param(
            _HEAD + "eval:\n  metrics: [{metric: rubric}]",
            "line 4: eval.metrics: rubric asks judges: name their models under eval.judge.models",
            id="a judged metric without a judge",
        ),
        pytest.param(
            _HEAD + "eval:\n  metrics: [{metric: refusal}, {metric: refusal}]",
            "line 4: eval.metrics: a metric is there twice; give one of them a label of its own",
            id="a metric twice",
        ),
        pytest.param(
            _HEAD + "eval:\n  judge: {models: [m], prompts: {judge-essay: own@1.0.0}}",
            "line 4: eval.judge.prompts: there is no judge's prompt 'judge-essay'; there are judge-rubric, "
            "judge-pairwise, judge-hallucination",
            id="a judge's prompt that doesn't exist",
        ),
        pytest.param(
            _HEAD + "eval:\n  tolerance: 2 %",
            "line 4: eval.tolerance: it is written in points, like '2 points', not '2 %'",
            id="a tolerance in percent",
        ),
        pytest.param(
            "app: support-bot",
            "line 1: eval.golden_set: is missing: JSON lines, one case a line; the path is relative to the policy file",
            id="no golden set",
        ),
        pytest.param(
            _HEAD + "eval:\n  golden_set: other.jsonl",
            "line 2: golden_set: given twice; line 4 has it as eval.golden_set",
            id="the golden set in both places",
        ),
        pytest.param(
            "golden_set: golden.jsonl",
            "line 1: app: is missing: The name that clients use as the model",
            id="no app",
        ),
        pytest.param(
            "app: no\ngolden_set: g",
            "line 1: app: found False, expected a text; put it in quotes",
            id="an app named no",
        ),
        pytest.param(
            "app: Support Bot\ngolden_set: g",
            "line 1: app: 'Support Bot' is not a name: use lower-case letters, digits, '.', '_' and '-' (at most 63)",
            id="a name with a space",
        ),
        pytest.param(
            _HEAD + "alpha: 0.01\nalpha: 0.02",
            "line 4: alpha: given twice; the first one is on line 3",
            id="a key twice",
        ),
        pytest.param(
            _HEAD + "on: true", "line 3: the key 'on' is no text; put it in quotes", id="a key YAML takes for a truth"
        ),
        pytest.param(
            _HEAD + "shadow: 5", "line 3: shadow: found 5, expected a mapping of keys to values", id="no mapping"
        ),
        pytest.param("- app", "line 1: found a list, expected a mapping of keys to values", id="a list for a policy"),
        pytest.param(
            "app: [",
            "line 1: this is not valid YAML: while parsing a flow node, expected the node content, but found "
            "'<stream end>'",
            id="broken YAML",
        ),
        pytest.param(
            _HEAD + "owner: !!python/name:os.system",
            "line 3: this is not valid YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/name:os.system'",
            id="a tag that would run code",
        ),
        pytest.param(
            _HEAD + "stages: &loop [*loop]",
            "line 3: stages[0][0]...: nested more than 20 deep, or an alias of itself",
            id="a list that holds itself",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    """One mistake is one message: its line, its key, what was found and what was expected."""
    assert _complaints(tmp_path, text) == [complaint]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Whoever writes a policy reads every mistake in one go, in the order of the file."""
    text = "app: A\ngolden_set: g\nalpha: 7\nalpha: 8\nstages:\n  - weight: 5\ntexts: {keep: maybe}\n"
    assert [complaint.split(":")[0] for complaint in _complaints(tmp_path, text)] == [
        "line 1",
        "line 4",
        "line 4",
        "line 6",
        "line 6",
        "line 7",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "can't be read: No such file", id="a missing file"),
        pytest.param(b"app: caf\xe9\n", "line 1: not UTF-8 text", id="another encoding"),
    ],
)
def test_an_unreadable_file_is_a_policy_error(tmp_path: Path, content: bytes | None, said: str) -> None:
    """A file that isn't there or isn't text is reported like any other mistake."""
    if content is not None:
        (tmp_path / "softlaunch.yaml").write_bytes(content)
    with pytest.raises(PolicyError, match=said):
        load_policy(tmp_path / "softlaunch.yaml")
