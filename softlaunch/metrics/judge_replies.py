"""Reading what a judge said; whatever can't be read is None, and never a guess."""

import re
from dataclasses import dataclass
from enum import StrEnum

import orjson

from softlaunch.metrics.fences import without_thoughts

_GRADE = r"\[\[\s*(\d+(?:\.\d+)?)\s*\]\]"
_VERDICT = r"\[\[\s*([ABC])\s*\]\]"
_LABEL = (
    r"(?:(?:my|the|final|overall|rating|grade|score|verdict|decision|judge?ment|winner|preference|is|so|thus|therefore)"
    r"\b[\s:=,*_-]*)*"
)


class Preferred(StrEnum):
    """Which of two answers a judge prefers."""

    A = "A"
    B = "B"
    TIE = "C"


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of fact in an answer, and whether it is supported."""

    claim: str
    supported: bool
    reason: str


def read_grade(text: str, scale: int) -> float | None:
    """The grade in double brackets, from 1 to `scale`; None where there is none, or one beyond the scale.

    It is read from the line that holds it and nothing else but a label ("Rating: [[7]]"), else from the end of a line.
    Brackets within a sentence or in quotes are what an answer or a judge talks about. Two that differ are none.
    """
    found = _said(_GRADE, text)
    grade = None if found is None else float(found)
    return grade if grade is not None and 1 <= grade <= scale else None


def read_preference(text: str) -> Preferred | None:
    """The verdict in double brackets, found like a grade; None where there is none, or there are two."""
    found = _said(_VERDICT, text)
    return None if found is None else Preferred(found)


def _said(pattern: str, text: str) -> str | None:
    lines = without_thoughts(text).splitlines()
    alone = [found[1] for line in lines if (found := re.fullmatch(rf"(?i:[\s*_#-]*{_LABEL}){pattern}[\s.*_!]*", line))]
    ending = [found[1] for line in lines if (found := re.search(rf"(?:^|[^\"'“”‘’`«]){pattern}[\s.*_!)]*$", line))]
    distinct = dict.fromkeys(alone or ending)
    return next(iter(distinct)) if len(distinct) == 1 else None


def read_claims(text: str) -> tuple[Claim, ...] | None:
    """The claims of the JSON object in a text; None where there is none, or it isn't of the form that was asked for."""
    begin, end = text.find("{"), text.rfind("}")
    try:
        claims = orjson.loads(text[begin : end + 1])["claims"] if 0 <= begin < end else None
    except (orjson.JSONDecodeError, KeyError):
        return None
    if not isinstance(claims, list) or not all(_is_claim(claim) for claim in claims):
        return None
    return tuple(Claim(one["claim"], one["supported"], str(one.get("reason") or "")) for one in claims)


def _is_claim(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("claim"), str) and isinstance(value.get("supported"), bool)


def reason_in(text: str, longest: int = 600) -> str:
    """What a judge said besides its grade or verdict, shortened."""
    said = " ".join(re.sub(f"{_GRADE}|{_VERDICT}", "", text).split())
    return said if len(said) <= longest else said[: longest - 1] + "…"
