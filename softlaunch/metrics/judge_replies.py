"""Reading what a judge said; whatever can't be read is None, and never a guess."""

import re
from dataclasses import dataclass
from enum import StrEnum

import orjson

_GRADE = re.compile(r"\[\[\s*(\d+(?:\.\d+)?)\s*\]\]")
_VERDICT = re.compile(r"\[\[\s*([ABC])\s*\]\]")


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
    """The last grade in double brackets, from 1 to `scale`; None where there is none, or one beyond the scale."""
    found = _GRADE.findall(text)
    grade = float(found[-1]) if found else None
    return grade if grade is not None and 1 <= grade <= scale else None


def read_preference(text: str) -> Preferred | None:
    """The last verdict in double brackets; None where there is none."""
    found = _VERDICT.findall(text)
    return Preferred(found[-1]) if found else None


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
    said = " ".join(_VERDICT.sub("", _GRADE.sub("", text)).split())
    return said if len(said) <= longest else said[: longest - 1] + "…"
