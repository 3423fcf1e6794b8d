"""What is said of a policy that is wrong."""

from pathlib import Path

import pytest

from softlaunch.metrics import metric_names
from softlaunch.policy.load import PolicyError, load_policy
from tests.policy.policy_files import HEAD, complaints


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            "app: support-bot\ngolden_sett: golden.jsonl\neval: {golden_set: g}",
            "line 2: golden_sett: unknown key; did you mean 'golden_set'?",
            id="misspelt key at the top",
        ),
        pytest.param(
            HEAD + "stages:\n  - weight_percent: 5\n  - weight_percent: 100\n    minimum_tme: 5 s",
            "line 6: stages[1].minimum_tme: unknown key; did you mean 'minimum_time'?",
            id="misspelt key in a list",
        ),
        pytest.param(
            HEAD + "approval: {zzz: 1}",
            "line 3: approval.zzz: unknown key; known here: timeout, starter_may_approve, two_people_from_percent",
            id="a key like no other",
        ),
        pytest.param(
            HEAD + "stages: [{weight_percent: 0}]",
            "line 3: stages[0].weight_percent: found 0, expected greater than 0",
            id="a stage without users",
        ),
        pytest.param(
            HEAD + "gateway: {mixed_embeddings: sometimes}",
            "line 3: gateway.mixed_embeddings: found 'sometimes', expected true or false",
            id="a word where yes or no belongs",
        ),
        pytest.param(
            HEAD + "control_percent: yes",
            "line 3: control_percent: found True, expected a number",
            id="a truth where a number belongs",
        ),
        pytest.param(
            HEAD + "control_percent: .nan",
            "line 3: control_percent: found nan, expected less than or equal to 100",
            id="a number that is none",
        ),
        pytest.param(
            HEAD + "stages: [{weight_percent: 100, deadline: .inf}]",
            "line 3: stages[0].deadline: found inf, expected a finite number",
            id="an endless deadline",
        ),
        pytest.param(
            HEAD + "stages:\n  - weight_percent: 100\n    minimum_time: ten minutes",
            "line 5: stages[0].minimum_time: expected a duration such as '90 s', '15 min', '2 h' or '7 d', "
            "not 'ten minutes'",
            id="a duration in words",
        ),
        pytest.param(
            HEAD + "stages: [{weight_percent: 50}, {weight_percent: 5}, {weight_percent: 100}]",
            "line 3: stages: weights must grow: 50, 5, 100",
            id="a weight that shrinks",
        ),
        pytest.param(
            HEAD + "stages:\n  - weight_percent: 5\n  - weight_percent: 50",
            "line 5: stages[1].weight_percent: expected 100 in the last stage, not 50: a release ends with all users",
            id="a release without an end",
        ),
        pytest.param(
            HEAD + 'freeze: [{days: [fri], from: "16:00", until: "16:00", time_zone: UTC}]',
            "line 3: freeze[0].until: it ends at the moment when it starts; leave both out for whole days, or name "
            "the next day too",
            id="a freeze of no time",
        ),
        pytest.param(
            HEAD + "freeze: [{days: [fri], from: 2026-12-20, time_zone: UTC}]",
            "line 3: freeze[0].from: with days it is a time such as \"16:00\", not '2026-12-20'; leave days out",
            id="a date on every week",
        ),
        pytest.param(
            HEAD + 'freeze: [{from: 2026-12-20, until: "16:00", time_zone: UTC}]',
            "line 3: freeze[0].until: found '16:00', and a time alone needs days, such as 'days: [fri]'; or write a "
            "date",
            id="a time without days",
        ),
        pytest.param(
            HEAD + "freeze: [{from: 2026-12-20, until: 2026-12-20, time_zone: UTC}]",
            "line 3: freeze[0].until: 2026-12-20 doesn't come after 2026-12-20",
            id="a freeze that is over before it begins",
        ),
        pytest.param(
            HEAD + "freeze: [{from: 2026-12-20, time_zone: UTC}]",
            "line 3: freeze[0].until: is missing: a date such as 2026-12-20; or name 'days' for every week",
            id="a freeze without an end",
        ),
        pytest.param(
            HEAD + "freeze: [{days: [fri], time_zone: Mars/Olympus}]",
            "line 3: freeze[0].time_zone: there is no time zone 'Mars/Olympus'; expected a name such as "
            "'Europe/Berlin'",
            id="a time zone that doesn't exist",
        ),
        pytest.param(
            HEAD + "freeze: [{days: [mon, tue, wed, thu, fri, sat, sun], time_zone: UTC}]",
            "line 3: freeze: the windows cover the whole week, so that nothing could ever be promoted; leave a gap",
            id="a freeze without an end in sight",
        ),
        pytest.param(
            HEAD + "stages:\n  - {weight_percent: 5}\n  - {weight_percent: 100, only: {values: [anna]}}\n"
            "  - {weight_percent: 100}",
            "line 5: stages[1].only: a stage for everybody comes before it; limited stages come first",
            id="some after everybody",
        ),
        pytest.param(
            HEAD + "stages:\n  - {weight_percent: 100, only: {values: [anna]}}",
            "line 4: stages[0].weight_percent: expected 100 in the last stage, not a limited stage: a release ends "
            "with all users",
            id="a release for some",
        ),
        pytest.param(
            HEAD + "stages:\n  - {weight_percent: 100, only: {header: x team, values: [internal]}}\n"
            "  - {weight_percent: 100}",
            "line 4: stages[0].only.header: found 'x team', expected to match pattern '^([A-Za-z0-9-]+)?$'",
            id="a header that is none",
        ),
        pytest.param(
            HEAD + "sources: {sql: {url_env: ROWS_URL, view: requests}}\n"
            "stages:\n  - {weight_percent: 100, only: {header: x-team, values: [internal]}}\n"
            "  - {weight_percent: 100}",
            "line 5: stages[0].only: Prometheus and SQL can't judge limited stages; leave these sources out, or this",
            id="rows of some units",
        ),
        pytest.param(
            HEAD + "shadow:\n  minimum_time: 2 h\n  deadline: 1 h",
            "line 5: shadow.deadline: 3600 s comes before minimum_time, which is 7200 s",
            id="a deadline before the minimum time",
        ),
        pytest.param(
            HEAD + "shadow:\n  deadline_requests: 50",
            "line 4: shadow.deadline_requests: 50 comes before minimum_requests, which is 100",
            id="a deadline before the minimum number of pairs",
        ),
        pytest.param(
            HEAD
            + "stages:\n  - {weight_percent: 5, minimum_units: 500, deadline_units: 400}\n  - {weight_percent: 100}",
            "line 4: stages[0].deadline_units: 400 comes before minimum_units, which is 500",
            id="a deadline before the minimum number of units",
        ),
        pytest.param(
            HEAD + "stages:\n  - {weight_percent: 5}\n  - {weight_percent: 100, minimum_units: 500}",
            "line 5: stages[1].minimum_units: at 100 % copies are compared, two of each request, and no units are "
            "counted; give it in requests",
            id="units where copies are compared",
        ),
        pytest.param(
            HEAD + "stages:\n  - {weight_percent: 100, minimum_requests: 0}",
            "line 4: stages[0].minimum_requests: found 0, expected greater than or equal to 1",
            id="a minimum of nothing",
        ),
        pytest.param(
            HEAD + "stages:\n  - {weight_percent: 5, deadline: 30 min}\n  - {weight_percent: 100}\n"
            "gates: [{metric: errors, margin: 1 point, per: session}]",
            "line 4: stages[0].deadline: errors per session is known after 30 min at the earliest, so this stage "
            "could never pass in time; extend it, or change the policy's 'session'",
            id="a deadline before the first session is over",
        ),
        pytest.param(
            HEAD + "eval:\n  repeats: 8",
            "line 3: eval.maximum_repeats: 6 is less than repeats, which is 8",
            id="a default that a written value rules out",
        ),
        pytest.param(
            HEAD + "eval:\n  metrics:\n    - {metric: fuzzy}",
            "line 5: eval.metrics[0].metric: there is no metric 'fuzzy'; there are " + ", ".join(metric_names()),
            id="a metric that doesn't exist",
        ),
        pytest.param(
            HEAD + "eval:\n  metrics:\n    - {metric: rubric, margin: 2 %}",
            "line 5: eval.metrics[0].margin: scores are from 0 to 1: it is written in points, not '2 %'",
            id="a relative margin of a score",
        ),
        pytest.param(
            HEAD + "eval:\n  metrics: [{metric: rubric}]",
            "line 4: eval.metrics: rubric needs judges: name their models under eval.judge.models",
            id="a judged metric without a judge",
        ),
        pytest.param(
            HEAD + "eval:\n  metrics: [{metric: refusal}, {metric: refusal}]",
            "line 4: eval.metrics: a metric is listed twice; give one of them its own label",
            id="a metric twice",
        ),
        pytest.param(
            HEAD + "eval:\n  judge: {models: [m], prompts: {judge-essay: own@1.0.0}}",
            "line 4: eval.judge.prompts: unknown judge prompt 'judge-essay'; expected one of judge-rubric, "
            "judge-pairwise, judge-hallucination",
            id="a judge's prompt that doesn't exist",
        ),
        pytest.param(
            HEAD + "eval:\n  tolerance: 2 %",
            "line 4: eval.tolerance: it is written in points, like '2 points', not '2 %'",
            id="a tolerance in percent",
        ),
        pytest.param(
            "app: support-bot",
            "line 1: eval.golden_set: is missing: JSON Lines with one case per line; the path is relative to the "
            "policy file",
            id="no golden set",
        ),
        pytest.param(
            HEAD + "eval:\n  golden_set: other.jsonl",
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
            HEAD + "alpha: 0.01\nalpha: 0.02",
            "line 4: alpha: given twice; the first one is on line 3",
            id="a key twice",
        ),
        pytest.param(
            HEAD + "on: true", "line 3: the key 'on' is no text; put it in quotes", id="a key YAML takes for a truth"
        ),
        pytest.param(
            HEAD + "shadow: 5", "line 3: shadow: found 5, expected a mapping of keys to values", id="no mapping"
        ),
        pytest.param("- app", "line 1: found a list, expected a mapping of keys to values", id="a list for a policy"),
        pytest.param(
            "app: [",
            "line 1: this is not valid YAML: while parsing a flow node, expected the node content, but found "
            "'<stream end>'",
            id="broken YAML",
        ),
        pytest.param(
            HEAD + "owner: !!python/name:os.system",
            "line 3: this is not valid YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/name:os.system'",
            id="a tag that would run code",
        ),
        pytest.param(
            HEAD + "stages: &loop [*loop]",
            "line 3: stages[0][0]...: nested more than 20 deep, or an alias of itself",
            id="a list that holds itself",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    """One mistake is one message: its line, its key, what was found and what was expected."""
    assert complaints(tmp_path, text) == [complaint]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Whoever writes a policy reads every mistake in one go, in the order of the file."""
    text = "app: A\ngolden_set: g\nalpha: 7\nalpha: 8\nstages:\n  - weight: 5\ntexts: {keep: maybe}\n"
    assert [complaint.split(":")[0] for complaint in complaints(tmp_path, text)] == [
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
