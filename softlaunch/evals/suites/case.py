"""One case of a golden set: what is asked, what is expected, and how an answer is scored."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from softlaunch.core.content import Content
from softlaunch.core.system_messages import Message
from softlaunch.metrics import AnyMetric, MetricSpec, Sample
from softlaunch.metrics.text import Contains, Numeric

CASE_PROBLEM = "case"
"""The type of pydantic errors that name the key to change in their context."""
_DEFAULT_METRIC = Contains()


class CaseMessage(Content):
    """One message of a conversation that a case replays."""

    role: Literal["system", "developer", "user", "assistant"]
    content: StrictStr


class Case(Content):
    """One case of a golden set.

    It asks a `question`, or replays `messages`, or, where the prompt's templates say everything, gives only
    `variables`. An answer must satisfy `metric`, or all of `metrics`; with neither, it must contain what is
    `expected`. `reference` is a good answer and `context` what an answer may rest on, for the metrics that compare
    with them. `weight` is how many ordinary cases it counts for; `tolerance` belongs to the numeric metric.
    """

    id: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    question: Annotated[StrictStr, Field(min_length=1)] | None = None
    messages: Annotated[tuple[CaseMessage, ...], Field(min_length=1)] | None = None
    variables: Mapping[str, Any] = Field(default_factory=dict)
    expected: StrictStr | Annotated[FiniteFloat, Field(strict=True)] | None = None
    reference: StrictStr | None = None
    context: StrictStr | None = None
    metric: MetricSpec | None = None
    metrics: tuple[MetricSpec, ...] | None = None
    tolerance: Annotated[FiniteFloat, Field(ge=0, strict=True)] = 0.0
    tags: tuple[StrictStr, ...] = ()
    weight: Annotated[FiniteFloat, Field(gt=0, strict=True)] = 1.0

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.expected is None and self.metric is None and self.metrics is None:
            raise _problem("expected", "is missing; leave it out only where metrics are named that need none")
        if self.question is not None and self.messages is not None:
            raise _problem("messages", "leave it out: the case has a question already")
        if self.question is None and self.messages is None and not self.variables:
            raise _problem("question", "a question, or messages, or variables for the prompt")
        if self.metric is not None and self.metrics is not None:
            raise _problem("metrics", "leave it out: the case has a metric already")
        if self.tolerance and not any(isinstance(metric, Numeric) for metric in self.own_metrics):
            names = ", ".join(metric.name for metric in self.own_metrics)
            raise _problem("tolerance", f"leave it out: metric {names} has none, only numeric has")
        for metric in self.own_metrics:
            objection = metric.objection(self.expected)
            if objection:
                raise _problem("expected", f"{objection}, for metric {metric.name}")
        return self

    @cached_property
    def own_metrics(self) -> tuple[AnyMetric, ...]:
        """What scores an answer to this case; empty where only the policy's metrics do."""
        if self.metrics is not None:
            return self.metrics
        return (self.metric or _DEFAULT_METRIC,)

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

    @property
    def conversation(self) -> str:
        """Everything that was asked, for a judge: the question, or all messages with their roles."""
        if self.messages is None or len(self.messages) == 1:
            return self.asked
        return "\n\n".join(f"{part.role}: {part.content}" for part in self.messages)

    @property
    def wanted(self) -> str:
        """What a right answer is, for people."""
        names = ", ".join(metric.key for metric in self.own_metrics)
        near = f" ± {self.tolerance:g}" if self.tolerance else ""
        if self.expected is None:
            return names or (f"like: {self.reference}" if self.reference else "")
        return f"{names}: {self.expected}{near}"

    def sample(self, answer: str, **known: Any) -> Sample:
        """An answer to this case, as metrics read it; `known` are further fields of Sample."""
        return Sample(
            answer=answer,
            question=self.conversation,
            expected=self.expected,
            reference=self.reference,
            context=self.context,
            tolerance=self.tolerance,
            **known,
        )


def _problem(key: str, expected: str) -> PydanticCustomError:
    return PydanticCustomError(CASE_PROBLEM, "{expected}", {"key": key, "expected": expected})
