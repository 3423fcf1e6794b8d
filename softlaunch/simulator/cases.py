"""Questions with known answers: what a simulated model knows, and what a simulated user can check."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from softlaunch.core.documents import LONGEST_GOLDEN_SET, DocumentError, parse_json, read_bytes
from softlaunch.core.documents.check import UNFORESEEN, unforeseen
from softlaunch.core.errors import SoftlaunchError
from softlaunch.evals.suites.scoring import score_with
from softlaunch.metrics import Metric, MetricError, Sample, normalise, parse_metric
from softlaunch.metrics.text import Contains, TextMetric


class CasesError(SoftlaunchError):
    """A file of questions that can't be used; the message names file, line and key."""


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_as_text)]


class Case(BaseModel):
    """One question, what its answer must satisfy, and optionally how right and wrong answers read.

    Golden sets can be used as they are, so keys that only an eval reads are ignored here. A metric that isn't among
    the eval's own means that the answer contains what is expected.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Text
    question: str = ""
    messages: tuple[dict[str, Any], ...] = ()
    variables: dict[str, Any] = Field(default_factory=dict)
    expected: Text
    metric: str = "contains"
    tolerance: float = 0.0
    answer: str | None = None
    wrong: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not self.asked:
            raise ValueError("give it a 'question', or 'messages' that end with one of role user")
        objection = _metric_of(self).objection(self.expected)
        if objection:
            raise ValueError(f"'expected' is {self.expected!r}, but the metric {self.metric} wants {objection}")
        if self.answer is not None and not is_right(self, self.answer):
            raise ValueError(f"'answer' doesn't satisfy 'expected' {self.expected!r} under the metric {self.metric}")
        for text in self.wrong:
            if is_right(self, text):
                raise ValueError(f"the wrong answer {text!r} satisfies 'expected' {self.expected!r}")
        return self

    @property
    def asked(self) -> str:
        """The text of the last message that a user sends in this case; empty when there is none."""
        return self.question or last_question(self.messages)

    def as_request(self) -> dict[str, Any]:
        """What a client sends to ask this: `messages`, and `variables` where there are any."""
        messages = [dict(message) for message in self.messages] or [{"role": "user", "content": self.question}]
        return {"messages": messages} | ({"variables": self.variables} if self.variables else {})


def last_question(messages: Sequence[Mapping[str, Any]]) -> str:
    """The text of the last user message, parts of type text joined; empty when there is none."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def text_of(content: object) -> str:
    """The text of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return ""


def is_right(case: Case, text: str) -> bool:
    """Whether an answer satisfies what the case expects, as an eval would score it."""
    score = score_with(_metric_of(case), Sample(answer=text, expected=case.expected, tolerance=case.tolerance))
    return (score.value or 0.0) >= 0.5


def _metric_of(case: Case) -> Metric:
    """The case's metric; what can't be decided by the text alone means that the answer contains what is expected."""
    try:
        found = parse_metric(case.metric)
    except MetricError:
        return Contains()
    return found if isinstance(found, TextMetric) else Contains()


def key_of(question: str) -> str:
    """The form under which questions are looked up: case and runs of white space don't matter."""
    return normalise(question)


def read_cases(path: Path) -> tuple[Case, ...]:
    """The cases of a JSON-lines file, in its order; raises CasesError naming the line that is broken."""
    try:
        lines = read_bytes(path, LONGEST_GOLDEN_SET).removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except DocumentError as error:
        raise CasesError(f"{error}; give a JSON-lines file of questions") from error
    written = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if written and written[0][1].lstrip().startswith(b'{"suite"'):
        written.pop(0)  # a golden set's header, which says who keeps it
    cases = tuple(_parse(path, number, line) for number, line in written)
    if not cases:
        example = '{"id": "1", "question": "...", "expected": "..."}'
        raise CasesError(f"{path} holds no questions; a line looks like {example}")
    return cases


def _parse(path: Path, number: int, line: bytes) -> Case:
    try:
        return Case.model_validate(parse_json(line))
    except ValidationError as error:
        raise CasesError(f"{path}, line {number}: {first_problem(error)}") from error
    except UNFORESEEN as error:
        raise CasesError(f"{path}, line {number}: {unforeseen(error)}") from error
    except ValueError as error:
        raise CasesError(f"{path}, line {number}: no valid JSON ({error}); each line is one JSON object") from error


def first_problem(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, as `key: message`."""
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message
