"""The table of live metrics: what gates can judge of live traffic. A new metric is one entry of `Metric`.

Everything else about a metric follows from its entry: which way is worse, the unit of its margin, the stages in which
it exists, its name in feedback and in recorded samples, its incident kind with its runbook, and how it is shown. A
metric whose values come from a new source also needs a query in `softlaunch/telemetry`; one that judges send as scores
needs none. What an app declares in its policy is a metric beside the table: its entry comes from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, Self


class Direction(StrEnum):
    """Which way is better."""

    LOWER_IS_BETTER = "lower_is_better"
    HIGHER_IS_BETTER = "higher_is_better"


class Quantity(StrEnum):
    """What one value of a metric is."""

    EVENT = "event"
    """Something happened or it didn't: 1 or 0. A gate also counts such events one by one."""
    SCORE = "score"
    """A number from 0 to 1."""
    MILLISECONDS = "milliseconds"
    US_DOLLARS = "us_dollars"
    SECONDS = "seconds"
    AMOUNT = "amount"
    """A number from 0 on of whatever the app counts, whose size matters relatively."""


class Source(StrEnum):
    """Where the values of a metric come from, and so in which stages it exists."""

    REQUESTS = "requests"
    """The gateway measures each request, copies included: every stage of live traffic."""
    RATINGS = "ratings"
    """Users rate answers with thumbs or stars: stages in which they see both arms."""
    SCORES = "scores"
    """Judges of yours send scores of answers that users saw, under the metric's name: the same stages."""
    REPORTS = "reports"
    """Your app reports what came of answers, under a name that its policy declares: the same stages."""
    COPIES = "copies"
    """The texts of copies are compared: the shadow stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is fixed about a metric.

    `is_ticket`: whether the incident of its failed gate can wait for a working day. `column` holds its values in files
    of recorded requests; where `column_is_opposite`, true means there that the event did not happen. `option` states
    stable's usual level to `softlaunch plan`; without one of its own a score is stated by `--score`, and a share of
    requests by `--rate`.
    """

    meaning: str
    quantity: Quantity
    direction: Direction
    source: Source
    is_ticket: bool = False
    can_decide_ab: bool = False
    column: str | None = None
    column_is_opposite: bool = False
    option: str | None = None


_of_requests = partial(Entry, direction=Direction.LOWER_IS_BETTER, source=Source.REQUESTS)
_of_answers = partial(_of_requests, quantity=Quantity.EVENT)
_of_copies = partial(
    Entry, quantity=Quantity.SCORE, direction=Direction.HIGHER_IS_BETTER, source=Source.COPIES, is_ticket=True
)


class Metric(StrEnum):
    """What the gates of live traffic can judge."""

    _value_: str
    entry: Entry

    def __new__(cls, name: str, entry: Entry | None = None) -> Self:
        """Make a member of the table. `Metric("errors")` finds one by its name and never comes here."""
        if entry is None:
            raise TypeError(f"the metric {name} has no entry")
        member = str.__new__(cls, name)
        member._value_, member.entry = name, entry
        return member

    ERRORS = (
        "errors",
        _of_requests(
            meaning="requests that failed",
            quantity=Quantity.EVENT,
            column="ok",
            column_is_opposite=True,
            option="--error-rate",
        ),
    )
    UNUSABLE = (
        "unusable",
        _of_requests(
            meaning="useless answers: empty, withheld by a filter, or not in the required format",
            quantity=Quantity.EVENT,
            column="unusable",
            option="--unusable-rate",
        ),
    )
    TRUNCATED = (
        "truncated",
        _of_answers(meaning="answers cut short by the token limit", column="truncated"),
    )
    REFUSED = (
        "refused",
        _of_answers(meaning="refusals, by their words or in the API's own field", column="refused"),
    )
    MALFORMED_OUTPUT = (
        "malformed_output",
        _of_answers(
            meaning="answers not in the required format: not JSON, JSON that doesn't match its schema, or a call of a "
            "tool that wasn't offered or with the wrong arguments",
            column="malformed_output",
        ),
    )
    OTHER_LANGUAGE = (
        "other_language",
        _of_answers(
            meaning="answers in a different language from their question", is_ticket=True, column="other_language"
        ),
    )
    REPETITIVE = (
        "repetitive",
        _of_answers(
            meaning="answers that repeat themselves, or nearly the same answer to different questions",
            column="repetitive",
        ),
    )
    LATENCY = (
        "latency",
        _of_requests(
            meaning="time until the answer is complete",
            quantity=Quantity.MILLISECONDS,
            column="latency_ms",
            option="--latency-ms",
        ),
    )
    COST = (
        "cost",
        _of_requests(
            meaning="price of the answer",
            quantity=Quantity.US_DOLLARS,
            is_ticket=True,
            column="cost_usd",
            option="--cost-usd",
        ),
    )
    QUALITY = (
        "quality",
        Entry(
            meaning="how good answers are",
            quantity=Quantity.SCORE,
            direction=Direction.HIGHER_IS_BETTER,
            source=Source.SCORES,
            can_decide_ab=True,
            column="quality",
            option="--quality",
        ),
    )
    HALLUCINATION = (
        "hallucination",
        Entry(
            meaning="answers with an unsupported claim",
            quantity=Quantity.EVENT,
            direction=Direction.LOWER_IS_BETTER,
            source=Source.SCORES,
            column="hallucination",
            option="--hallucination-rate",
        ),
    )
    SATISFACTION = (
        "satisfaction",
        Entry(
            meaning="how satisfied users say they are",
            quantity=Quantity.SCORE,
            direction=Direction.HIGHER_IS_BETTER,
            source=Source.RATINGS,
            can_decide_ab=True,
            column="satisfaction",
            option="--satisfaction",
        ),
    )
    AGREEMENT = (
        "agreement",
        _of_copies(
            meaning="how similar the copy's answer is to the user's, compared with how similar two of stable's own are",
        ),
    )
    PREFERENCE = (
        "preference",
        _of_copies(
            meaning="how often judges prefer the copy's answer to the user's; ties count half, so 50 % is even",
        ),
    )

    @classmethod
    def declared(cls, name: str, entry: Entry) -> Self:
        """A metric that a policy declares: no member of the table, and equal to its name like each of them."""
        made = str.__new__(cls, name)
        made._value_, made._name_, made.entry = name, name.upper(), entry
        return made

    @classmethod
    def reported(cls, name: str) -> Self:
        """The metric under whose name scores or values came, for who has no policy at hand.

        It is equal to the one that a policy declares by that name; what the values are, that one knows.
        """
        return cls.named(name) or cls.declared(name, _REPORTED)

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """Members are found again by name; what is declared brings its entry along."""
        return (_declared, (self.value, self.entry)) if self.is_declared else (Metric, (self.value,))

    @classmethod
    def named(cls, name: str) -> Self | None:
        """The live metric of a name, such as a verdict's gate; None for what only evals know."""
        if isinstance(name, cls):
            return name
        return next((metric for metric in cls if metric.value == name), None)

    @property
    def is_declared(self) -> bool:
        """Whether a policy declares it, and the table doesn't have it."""
        return self.entry.source is Source.REPORTS

    @property
    def direction(self) -> Direction:
        """Which way is better."""
        return self.entry.direction

    @property
    def higher_is_better(self) -> bool:
        """Whether a lower value is the worse one."""
        return self.entry.direction is Direction.HIGHER_IS_BETTER

    @property
    def is_relative(self) -> bool:
        """Whether harm and margin are a share of stable's value, and not a difference in points."""
        return self.entry.quantity not in {Quantity.EVENT, Quantity.SCORE}

    @property
    def is_event(self) -> bool:
        """Whether each value is 1 or 0."""
        return self.entry.quantity is Quantity.EVENT

    @property
    def is_rated(self) -> bool:
        """Whether its values are said of answers that users saw; copies, which nobody sees, have none."""
        return self.entry.source in {Source.RATINGS, Source.SCORES, Source.REPORTS}

    @property
    def plan_option(self) -> str:
        """The option of `softlaunch plan` that states stable's usual level."""
        by_name = f"--rate {self.value}=SHARE" if self.entry.source is Source.REQUESTS else f"--score {self.value}=MEAN"
        return self.entry.option or by_name

    @property
    def compares_copies(self) -> bool:
        """Whether it is about the texts of copies, so that it exists in the shadow stage alone."""
        return self.entry.source is Source.COPIES


SCORED = {metric.value: metric for metric in Metric if metric.entry.source is Source.SCORES}
"""Metrics that judges send scores of, by the name under which they send them."""

_REPORTED = Entry(
    meaning="what an app reports of its answers",
    quantity=Quantity.SCORE,
    direction=Direction.HIGHER_IS_BETTER,
    source=Source.REPORTS,
)


def _declared(name: str, entry: Entry) -> Metric:
    return Metric.declared(name, entry)


def definition(gate: str) -> dict[str, str]:
    """What tells a declared metric from others of its name, as JSON values; empty for the members of the table."""
    metric = Metric.named(gate)
    if metric is None or not metric.is_declared:
        return {}
    return {"quantity": metric.entry.quantity.value, "direction": metric.entry.direction.value}


def defined(name: str, held: Mapping[str, str] | None) -> str:
    """The declared metric of a name with this `definition`; the name itself without one."""
    if not held:
        return name
    quantity, direction = Quantity(held["quantity"]), Direction(held["direction"])
    return Metric.declared(name, replace(_REPORTED, quantity=quantity, direction=direction))
