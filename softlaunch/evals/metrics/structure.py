"""Metrics of structured answers: JSON that fits a schema, and calls of tools."""

from typing import Annotated, Any, ClassVar

import orjson
from pydantic import BeforeValidator, Field, model_validator

from softlaunch.evals.metrics.interface import Metric, Sample, Score
from softlaunch.evals.metrics.text import Strip, stripped


def _from_json(value: object) -> object:
    """On a command line, structured parameters are JSON texts."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"expected a JSON object ({error})") from error


JsonObject = Annotated[dict[str, Any], BeforeValidator(_from_json)]


class JsonSchema(Metric):
    """The answer is JSON that fits a schema (JSON Schema, draft 2020-12 unless it names another)."""

    name: ClassVar = "json_schema"
    contract: JsonObject = Field(default_factory=dict)
    """The schema; left out, any JSON will do."""
    strip: Strip = Strip.FENCES
    """fences: read only what stands between ``` fences, where an answer has any; none: the whole answer."""

    @model_validator(mode="after")
    def _is_a_schema(self) -> "JsonSchema":
        import jsonschema  # a twentieth of a second, which only who uses it should pay

        try:
            jsonschema.validators.validator_for(self.contract).check_schema(self.contract)
        except jsonschema.SchemaError as error:
            raise ValueError(f"expected a JSON schema: {error.message}") from error
        return self

    def score(self, sample: Sample) -> Score:
        """1 where it fits; else 0, with the first place where it doesn't."""
        import jsonschema

        try:
            value = orjson.loads(stripped(sample.answer, self.strip))
        except orjson.JSONDecodeError as error:
            return Score(0.0, f"no JSON: {error}")
        validator = jsonschema.validators.validator_for(self.contract)(self.contract)
        wrong = jsonschema.exceptions.best_match(validator.iter_errors(value))
        return Score(1.0) if wrong is None else Score(0.0, f"{wrong.json_path}: {wrong.message}")


class ToolCalled(Metric):
    """The answer calls a tool, with arguments that hold at least the wanted ones."""

    name: ClassVar = "tool_call"
    tool: str = ""
    """The function's name; left out: what the case expects."""
    arguments: JsonObject = Field(default_factory=dict)
    """Arguments that must be there with these values; others are free."""

    def objection(self, expected: str | float | None) -> str | None:
        """A name must come from somewhere."""
        return None if self.tool or (isinstance(expected, str) and expected.strip()) else "the name of a tool"

    def score(self, sample: Sample) -> Score:
        """1 where any of the calls is the wanted one."""
        tool = self.tool or str(sample.expected or "").strip()
        if not tool:
            return Score(None, "nothing to compare with: expected the name of a tool")
        if any(call.name == tool and _holds(call.arguments, self.arguments) for call in sample.tool_calls):
            return Score(1.0)
        called = ", ".join(f"{call.name}({_shown(call.arguments)})" for call in sample.tool_calls)
        return Score(0.0, f"called {called}" if called else "called nothing")


def _holds(found: object, wanted: object) -> bool:
    """Whether everything wanted is there, at any depth of objects."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and _holds(found[key], wanted[key]) for key in wanted)
    return found == wanted


def _shown(arguments: object) -> str:
    return "no JSON" if arguments is None else orjson.dumps(arguments, default=str).decode()
