"""The published JSON schema agrees with the loader."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from softlaunch.policy.load import PolicyError, load_policy
from softlaunch.policy.model import RETIRED, Policy
from softlaunch.policy.schema import policy_schema

_HEAD = "app: support-bot\ngolden_set: golden.jsonl\n"


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        pytest.param(_HEAD, True, id="the shorthand"),
        pytest.param("app: support-bot\neval: {golden_set: g.jsonl, repeats: 2}", True, id="written out"),
        pytest.param(_HEAD + "eval: {repeats: 2}", True, id="the shorthand and other keys of eval"),
        pytest.param(
            _HEAD + "shadow: null\nstages: [{weight_percent: 100, minimum_time: 30 min}]", True, id="blue-green"
        ),
        pytest.param(_HEAD + "gates: [{metric: errors, margin: 2 points}]", True, id="own gates"),
        pytest.param(
            _HEAD + "eval: {metrics: [{metric: rubric, margin: 2 points}], judge: {models: [m]}}", True, id="a judge"
        ),
        pytest.param(_HEAD + "eval: {judge: {models: []}}", False, id="nobody judges"),
        pytest.param("app: support-bot", False, id="no golden set"),
        pytest.param(_HEAD + "eval: {golden_set: other.jsonl}", False, id="the golden set in both places"),
        pytest.param(_HEAD + "shadw: null", False, id="unknown key"),
        pytest.param(_HEAD + "stages: []", False, id="no stages"),
        pytest.param(_HEAD + "stages: [{weight_percent: 101}]", False, id="more than everybody"),
        pytest.param(_HEAD + "gates: [{metric: errors, margin: some}]", False, id="a margin in words"),
        pytest.param(
            _HEAD
            + "metrics: [{name: solved, kind: share, better: up, unit: user, window: 3 d}]\n"
            + "gates: [{metric: errors, margin: 1 point}, {metric: solved, margin: 2 points}]\nab: {metrics: [solved]}",
            True,
            id="a metric of the app's own",
        ),
        pytest.param(_HEAD + "metrics: [{name: Solved it, kind: share, better: up}]", False, id="a name of two words"),
        pytest.param(_HEAD + "metrics: [{name: solved, kind: share}]", False, id="a metric without a direction"),
        pytest.param(_HEAD + "unit: {redraw: 30 min}", True, id="arms drawn afresh each half hour"),
        pytest.param(_HEAD + "unit: {redraw: conversation}", True, id="arms drawn afresh in each conversation"),
        pytest.param(_HEAD + "unit: {redraw: often}", False, id="arms drawn afresh often"),
        pytest.param(_HEAD + "gates: [{metric: errors, margin: 2 points, per: session}]", True, id="sessions"),
        pytest.param(_HEAD + "gates: [{metric: errors, margin: 2 points, per: visit}]", False, id="per something else"),
        pytest.param(
            _HEAD + "session: {timeout: 10 min, longest: 2 h, user_period: 7 d}", True, id="what a session is"
        ),
        pytest.param(_HEAD + "session: {timeout: soon}", False, id="a pause in words"),
        pytest.param(_HEAD + "owner: anna\nrouter: embedded", True, id="keys that nothing reads any more"),
        pytest.param(_HEAD + "approval: {timeout: soon}", False, id="a duration in words"),
    ],
)
def test_schema_and_loader_agree(tmp_path: Path, text: str, sound: bool) -> None:  # noqa: FBT001  (a parameter case)
    """What an editor marks by the schema is what the loader refuses."""
    path = tmp_path / "softlaunch.yaml"
    path.write_text(text)
    assert Draft202012Validator(policy_schema()).is_valid(yaml.safe_load(text)) is sound
    if sound:
        load_policy(path)
    else:
        with pytest.raises(PolicyError):
            load_policy(path)


def test_schema_is_valid_and_documents_every_key() -> None:
    """The schema is one, and its top level lists the policy's keys and the shorthand."""
    schema = policy_schema()
    Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == {*Policy.model_fields, "golden_set", *RETIRED}


def test_defaults_in_the_schema_are_written_as_people_write_them() -> None:
    """An editor that fills in a default writes one that the loader reads."""
    schema = policy_schema()
    assert schema["$defs"]["EvalPolicy"]["properties"]["tolerance"]["default"] == "2 points"
    validator = Draft202012Validator(schema)
    for name, key in schema["properties"].items():
        if "default" in key:
            assert validator.evolve(schema={**key, "$defs": schema["$defs"]}).is_valid(key["default"]), name
