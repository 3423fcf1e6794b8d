"""The policy's JSON schema, for editors and for programs that write policies."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema, to_jsonable_python

from softlaunch.core.documents.described import descriptions
from softlaunch.core.quantities import Margin
from softlaunch.policy.model import RETIRED, Policy


class _Written(GenerateJsonSchema):
    """Defaults in the form that a person would write, and what each key means."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        kind: type[BaseModel] = schema["cls"]
        for name, text in descriptions(kind).items():
            found["properties"][kind.model_fields[name].alias or name]["description"] = text
        return found

    def encode_default(self, dft: Any) -> Any:
        return str(dft) if isinstance(dft, Margin) else to_jsonable_python(dft)


def _name_declared_metrics(schema: dict[str, Any]) -> None:
    """Let gates and A/B tests name what the policy declares; that it does, `softlaunch policy check` knows."""
    own = {"type": "string", "pattern": schema["$defs"]["MetricPolicy"]["properties"]["name"]["pattern"]}
    gate, test = schema["$defs"]["GatePolicy"]["properties"], schema["$defs"]["AbPolicy"]["properties"]
    described = gate["metric"].pop("description", "")
    gate["metric"] = {"anyOf": [gate["metric"], own], "description": described}
    test["metrics"]["items"] = {"anyOf": [test["metrics"]["items"], own]}


def policy_schema() -> dict[str, Any]:
    """A JSON schema (2020-12) of policy files, the shorthand `golden_set` included.

    What needs more than one key to judge (stages that grow, margins that fit their metric) is left to
    `softlaunch policy check`.
    """
    schema = Policy.model_json_schema(schema_generator=_Written)
    evaluation = schema["$defs"]["EvalPolicy"]
    golden_set = evaluation["properties"]["golden_set"]
    del evaluation["required"]
    schema["properties"]["golden_set"] = {**golden_set, "description": f"eval.golden_set: {golden_set['description']}"}
    retired = {"deprecated": True, "description": "No longer used; delete the line."}
    schema["properties"].update(dict.fromkeys(RETIRED, retired))
    schema["properties"]["router"]["anyOf"].append({"type": "string", **retired})  # what it was in older policies
    _name_declared_metrics(schema)
    schema["required"] = ["app"]
    inside = {"required": ["eval"], "properties": {"eval": {"required": ["golden_set"]}}}
    schema["oneOf"] = [{"required": ["golden_set"]}, inside]
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema}
