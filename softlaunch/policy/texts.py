"""The part of a policy that is about the texts of live requests: which are written, for how long, without what."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.quantities import Duration
from softlaunch.core.redaction import PatternName, Rules
from softlaunch.policy.part import Part

UNTIL_JUDGED = "until_judged"
_UNTIL_JUDGED_SECONDS = 86400.0


def _parse_keep(value: object) -> object:
    if isinstance(value, bool) or value == UNTIL_JUDGED:
        return value
    raise ValueError(f"expected true, false or {UNTIL_JUDGED}, not {value!r}")


Keep = Annotated[
    bool | Literal["until_judged"],
    BeforeValidator(_parse_keep),
    WithJsonSchema(
        {"anyOf": [{"type": "boolean"}, {"const": UNTIL_JUDGED}], "description": "true, false, until_judged"}
    ),
]


class OwnPattern(Part):
    """An app's own regular expression, and the word in brackets that replaces what it matches."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    """Lowercase letters, digits and underscores: matches of `customer_number` become `[customer_number]`."""
    pattern: Annotated[str, Field(min_length=1, max_length=20_000)]
    """In Python's syntax. It may use half a second of processor time for one request's texts."""

    @field_validator("pattern", mode="after")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"expected a valid regular expression ({error})") from error
        return pattern


class RedactPolicy(Part):
    """What is cut out of texts before they are written anywhere. A text that can't be redacted isn't written."""

    patterns: tuple[PatternName, ...] = tuple(PatternName)
    """The built-in patterns to use."""
    own: tuple[OwnPattern, ...] = ()
    """The app's own regular expressions, which are applied first."""
    function: Annotated[str, Field(min_length=1)] | None = None
    """The name of a function from an installed package (entry point softlaunch.redactors). It is applied last."""

    @property
    def rules(self) -> Rules:
        """The same for those who redact."""
        return Rules(self.patterns, tuple((one.name, one.pattern) for one in self.own), self.function or "")

    def check(self) -> None:
        """Raise KeyedError where an expression of the app's own can't be searched for."""
        from softlaunch.metrics.patterns import pattern_objection

        for place, one in enumerate(self.own):
            wanted = pattern_objection(one.pattern)
            if wanted is not None:
                raise KeyedError(f"expected {wanted}", "own", place, "pattern")


class TextPolicy(Part):
    """Whether the texts of live requests are kept, for how long, and what is redacted first."""

    keep: Keep = False
    """true: the texts of every answer. until_judged: only texts for `live` to judge, and only until they are judged."""
    retention: Duration = 30 * 86400.0
    """When texts are deleted, judged or not. With until_judged the default is a day."""
    context: bool = False
    """Whether a request's other text is kept too: system messages, earlier turns, tool results, variables. Live judges
    check claims against it.
    """
    redact: Annotated[RedactPolicy | None, Field(exclude_if=lambda value: value is None)] = None
    """What is cut out of texts before they are written. Left out, nothing is."""

    @model_validator(mode="before")
    @classmethod
    def _are_short_lived(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("keep") == UNTIL_JUDGED:
            return {"retention": _UNTIL_JUDGED_SECONDS, **values}
        return values

    @property
    def keeps_all(self) -> bool:
        """Whether the texts of every answer are there until their time is over."""
        return self.keep is True

    @property
    def until_judged(self) -> bool:
        """Whether only texts that are to be judged are written."""
        return self.keep == UNTIL_JUDGED
