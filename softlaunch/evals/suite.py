"""Golden sets: JSON lines, one case a line, read once into frozen cases with a digest of their content."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import Field, FiniteFloat, StrictStr, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from softlaunch.errors import SoftlaunchError
from softlaunch.evals.metrics import METRICS
from softlaunch.variant import Content, Message

MetricName = Literal["exact", "contains", "regex", "numeric"]
_SHOWN_PROBLEMS = 20
_SHOWN_CHARACTERS = 80


class SuiteError(SoftlaunchError):
    """A golden set that can't be used; the message names file, line, key, value and what was expected."""


class CaseMessage(Content):
    """One message of a conversation that a case replays."""

    role: Literal["system", "developer", "user", "assistant"]
    content: StrictStr


class Case(Content):
    """One case of a golden set: what is asked, what is expected, and how an answer is scored.

    It asks a `question`, or replays `messages`, or, where the prompt's templates say everything, gives only
    `variables`. `weight` is how many ordinary cases it counts for; `tolerance` belongs to the numeric metric.
    """

    id: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    question: Annotated[StrictStr, Field(min_length=1)] | None = None
    messages: Annotated[tuple[CaseMessage, ...], Field(min_length=1)] | None = None
    variables: Mapping[str, Any] = Field(default_factory=dict)
    expected: StrictStr | Annotated[FiniteFloat, Field(strict=True)]
    metric: MetricName = "contains"
    tolerance: Annotated[FiniteFloat, Field(ge=0, strict=True)] = 0.0
    tags: tuple[StrictStr, ...] = ()
    weight: Annotated[FiniteFloat, Field(gt=0, strict=True)] = 1.0

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.question is not None and self.messages is not None:
            raise _problem("messages", "leave it out: the case has a question already")
        if self.question is None and self.messages is None and not self.variables:
            raise _problem("question", "a question, or messages, or variables for the prompt")
        if self.tolerance and self.metric != "numeric":
            raise _problem("tolerance", f"leave it out: metric {self.metric} has none, only numeric has")
        objection = METRICS[self.metric].objection(self.expected)
        if objection:
            raise _problem("expected", f"{objection}, for metric {self.metric}")
        return self

    @cached_property
    def request(self) -> dict[str, Any]:
        """The client's request that this case stands for, as `Variant.request_body` takes it."""
        messages: list[Message] = [part.model_dump(mode="json") for part in self.messages or ()]
        if self.question is not None:
            messages = [{"role": "user", "content": self.question}]
        return {"messages": messages, "variables": dict(self.variables)}

    @property
    def asked(self) -> str:
        """What was asked, for people: the question, the last message, or the variables."""
        if self.question is not None:
            return self.question
        if self.messages:
            return self.messages[-1].content
        return ", ".join(f"{name}: {value}" for name, value in self.variables.items())


@dataclass(frozen=True, slots=True)
class Suite:
    """A golden set: at least one case, ids unique. `digest` is that of the cases, whatever their order."""

    cases: tuple[Case, ...]
    digest: str

    @classmethod
    def of(cls, cases: tuple[Case, ...]) -> Self:
        """A suite of cases that are known to be sound."""
        return cls(cases, sha256("\n".join(sorted(case.digest for case in cases)).encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class _Broken:
    line: int
    key: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"line {self.line}: " + ": ".join(part for part in (self.key, self.value) if part) + f": {self.expected}"


def load_suite(path: Path) -> Suite:
    """Read a golden set. Empty lines are skipped.

    Raises SuiteError naming what is broken in which line (the first twenty problems), or that the file is missing or
    has no cases.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SuiteError(f"the golden set {path} can't be read: {error.strerror}; set eval.golden_set") from error
    cases: list[Case] = []
    broken: list[_Broken] = []
    lines: dict[str, int] = {}
    for number, line in _lines(content):
        case = _parse(number, line)
        if not isinstance(case, Case):
            broken.extend(case)
        elif case.id in lines:
            broken.append(_Broken(number, "id", repr(case.id), f"an id of its own; line {lines[case.id]} has this one"))
        else:
            lines[case.id] = number
            cases.append(case)
    if broken:
        raise SuiteError(_message(path, broken))
    if not cases:
        raise SuiteError(
            f"the golden set {path} has no cases; write one JSON object a line, with id, question, expected"
        )
    return Suite.of(tuple(cases))


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _parse(number: int, line: bytes) -> Case | list[_Broken]:
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return [_Broken(number, "", _shown(line.decode(errors="replace")), f"not valid JSON ({error})")]
    if not isinstance(content, dict):
        return [_Broken(number, "", _shown(content), "expected a JSON object with id, question, expected")]
    try:
        return Case.model_validate(content)
    except ValidationError as error:
        return [_broken(number, problem) for problem in _once(error.errors())]


def _problem(key: str, expected: str) -> PydanticCustomError:
    return PydanticCustomError("case", "{expected}", {"key": key, "expected": expected})


def _once(problems: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """The first problem of each key: a union reports one for each of its members."""
    seen = set()
    for problem in problems:
        if problem["loc"][:1] not in seen:
            seen.add(problem["loc"][:1])
            yield problem


def _broken(number: int, problem: ErrorDetails) -> _Broken:
    path, value = problem["loc"], problem["input"]
    if problem["type"] == "case":
        path = (str(problem["ctx"]["key"]),)
        value = getattr(value, str(path[0]), value[path[0]] if isinstance(value, dict) and path[0] in value else None)
    key = ".".join(str(part) for part in path if part not in {"str", "constrained-str", "float", "constrained-float"})
    if problem["type"] == "missing":
        return _Broken(number, key, "", "is missing")
    if problem["type"] == "extra_forbidden":
        return _Broken(number, key, _shown(value), f"unknown key; a case has {', '.join(Case.model_fields)}")
    if key == "expected" and problem["type"] != "case":
        return _Broken(number, key, _shown(value), "expected a text or a number")
    text = problem["msg"].replace("Input should be", "expected", 1)
    return _Broken(number, key, _shown(value) if value is not None else "", _with_verb(text))


def _with_verb(text: str) -> str:
    return text if text.startswith(("expected", "leave", "String", "Tuple")) else f"expected {text}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _message(path: Path, broken: list[_Broken]) -> str:
    count = len({problem.line for problem in broken})
    head = f"the golden set {path} has {count} broken line{'' if count == 1 else 's'}; nothing was run:"
    more = len(broken) - _SHOWN_PROBLEMS
    rows = [f"  {path}, {problem}" for problem in broken[:_SHOWN_PROBLEMS]]
    return "\n".join([head, *rows, *([f"  and {more} more"] if more > 0 else [])])
