"""Metrics of structured answers: JSON that fits a schema, and calls of tools."""

from typing import Annotated, Any, ClassVar

import orjson
from pydantic import BeforeValidator, Field, model_validator

from softlaunch.core.json_schemas import misfit, schema_objection
from softlaunch.metrics.fences import Strip, json_texts, json_within
from softlaunch.metrics.interface import Metric, Sample, Score

_DEEPEST = "depth limit"  # how the parser calls values that are nested more than a thousand levels deep
_LONGEST_SHOWN = 500
_NO_JSON = "no JSON"


def _from_json(value: object) -> object:
    """What JSON can hold, as it holds it. On a command line, structured parameters are JSON texts."""
    try:
        return orjson.loads(value if isinstance(value, str) else orjson.dumps(value))
    except (orjson.JSONDecodeError, TypeError) as error:  # a TypeError names what JSON can't hold
        raise ValueError(f"expected a JSON object ({error})") from error


JsonObject = Annotated[dict[str, Any], BeforeValidator(_from_json)]


class JsonSchema(Metric):
    """The answer is JSON that matches a schema (JSON Schema, draft 2020-12 unless it names another)."""

    name: ClassVar = "json_schema"
    contract: JsonObject = Field(default_factory=dict)
    """The schema. Left out: any JSON is accepted."""
    strip: Strip = Strip.FENCES
    """fences: read the content of ``` or ~~~ fences, after a model's thoughts; none: the whole answer."""
    prose: bool = False
    """true: an object or a list anywhere in the text is accepted, whatever surrounds it."""

    @model_validator(mode="after")
    def _is_a_schema(self) -> "JsonSchema":
        objection = schema_objection(self.contract) if self.contract else None
        if objection:
            raise ValueError(f"expected {objection}")
        return self

    def score(self, sample: Sample) -> Score:
        """1 where it fits; else 0, with the first place where it doesn't. Raises BeyondLimitsError."""
        found = [self._fits(text) for text in json_texts(sample.answer, self.strip)]
        if self.prose and not any(score.value for score in found):
            within = [self._judged(value) for value in json_within(sample.answer)]
            found = sorted(within, key=lambda score: -(score.value or 0.0)) or found
        read = next((score for score in found if not score.reason.startswith(_NO_JSON)), None)
        return read or found[0]

    def _fits(self, text: str) -> Score:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            if _DEEPEST in str(error).casefold():
                return Score(None, f"JSON that nobody reads: {error}")
            end = "" if text.rstrip().endswith(("}", "]")) or not text.lstrip().startswith(("{", "[")) else ", cut off"
            return Score(0.0, f"{_NO_JSON}{end}: {error}")
        return self._judged(value)

    def _judged(self, value: object) -> Score:
        wrong = misfit(self.contract, value) if self.contract else None
        return Score(1.0) if wrong is None else Score(0.0, _short(wrong))


class ToolCalled(Metric):
    """The answer calls a tool, with at least the given arguments."""

    name: ClassVar = "tool_call"
    tool: str = ""
    """The function's name. Left out: what the case expects."""
    arguments: JsonObject = Field(default_factory=dict)
    """Arguments that must have these values; any others are allowed."""

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


class ToolCalls(Metric):
    """The answer calls tools as required: these in this order, only these, and never those."""

    name: ClassVar = "tool_calls"
    order: tuple[str, ...] = ()
    """Functions that must be called in this order; others may be called in between."""
    only: tuple[str, ...] = ()
    """The only functions that may be called. Left out: any."""
    never: tuple[str, ...] = ()
    """Functions that must not be called."""

    @model_validator(mode="after")
    def _asks_something(self) -> "ToolCalls":
        if not (self.order or self.only or self.never):
            raise ValueError("give it functions under order, only or never")
        contradicted = {*self.order} & {*self.never} or ({*self.order} - {*self.only} if self.only else set())
        if contradicted:
            raise ValueError(f"order wants {min(contradicted)}, which may not be called")
        return self

    def score(self, sample: Sample) -> Score:
        """1 where everything holds, else 0 with the first that doesn't; without any call only `order` is missed."""
        called = [call.name for call in sample.tool_calls]
        listed = ", ".join(called) or "nothing"
        wrong = next((name for name in called if name in self.never or (self.only and name not in self.only)), None)
        if wrong is not None:
            return Score(0.0, f"called {wrong}, which it must not")
        rest = iter(called)
        missed = next((name for name in self.order if name not in rest), None)
        return Score(1.0) if missed is None else Score(0.0, _short(f"{missed} is not called in its turn: {listed}"))


def _holds(found: object, wanted: object) -> bool:
    """Whether everything wanted is there, at any depth of objects."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and _holds(found[key], wanted[key]) for key in wanted)
    return _same(found, wanted)


def _same(one: object, other: object) -> bool:
    """Equal as JSON has it: true is not 1, whatever Python says; 1 and 1.0 are the same number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _shown(arguments: object) -> str:
    return "no JSON" if arguments is None else _short(orjson.dumps(arguments, default=str).decode())


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
