"""What the text below a key says."""

from pydantic import BaseModel, Field

from softlaunch.core.documents.described import descriptions
from softlaunch.policy.schema import policy_schema


class _Base(BaseModel):
    kept: int = 1
    """What is kept."""
    changed: int = 1
    """What it was."""


class _Derived(_Base):
    changed: int = 2
    """What it is,
    in two lines."""
    said: int = Field(3, description="By itself.")
    """Not this."""
    silent: int = 4


def test_a_text_below_a_field_says_what_it_means() -> None:
    """Fields of a base are described, too; what a field says itself goes before the text below it."""
    assert descriptions(_Derived) == {
        "kept": "What is kept.",
        "changed": "What it is,\nin two lines.",
        "said": "By itself.",
    }


def test_the_text_below_a_key_of_a_policy_is_what_editors_show() -> None:
    """It goes before what the kind of value says of itself."""
    properties = policy_schema()["$defs"]["StagePolicy"]["properties"]
    assert properties["deadline"]["description"] == "How long the stage may stay undecided."
    assert properties["weight_percent"]["description"] == "Share of units that the candidate serves."
