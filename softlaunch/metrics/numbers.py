"""Numbers as people write them: with points, commas, spaces or apostrophes, read by a locale or by their own form.

A written number is one of these: groups of three digits (1,234,567; 1.234.567; 12 500; 1'234), groups as in India
(1,00,000), or digits alone, each with or without decimals. A lone comma or point before three digits can mean both
(1,234; 1.234). Without a locale such a number has several readings: the first is the English one, as JSON has it.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

_SPACES = "\u00a0\u202f\u2009\u2007"  # those that keep digits together; an ordinary space is looked at apart
_APOSTROPHES = "'\u2019"
_NUMBER = re.compile(
    rf"""
    (?P<sign>(?<![\w.,])[-+\u2212\uff0d])?        # in "3-4" and "gpt-4" the dash is none
    (?P<body>
        \d{{1,3}}(?P<group>[.,{_APOSTROPHES}{_SPACES}\ ])\d{{3}}(?:(?P=group)\d{{3}})*(?!\d)
            (?:(?!(?P=group))[.,\u066b]\d+(?![.,]?\d))?  # 1,234,567.89 and its relatives
      | \d{{1,2}}(?:,\d\d)+,\d{{3}}(?!\d)(?:\.\d+)?       # 1,00,000.50
      | \d+(?:[.,\u066b]\d+)?                             # 1234.5
      | (?<![\d.])\.\d+                                   # .5
    )
    (?P<power>[eE][-+]?\d+)?
    """,
    re.VERBOSE,
)
_COMMA = frozenset(
    re.findall(
        r"\w+", "de fr es it pt nl pl ru uk cs sk sv nb nn no da fi tr id el hu ro bg hr sl sr lt lv et vi ca is"
    )
)
_POINT = frozenset(re.findall(r"\w+", "en zh ja ko he th hi bn ta te ms mt cy ga"))
_POINT_REGIONS = frozenset({"es-mx", "es-us", "es-pr", "es-gt", "de-li"})
_SWISS = frozenset({"de-ch", "fr-ch", "it-ch", "rm-ch", "de-li"})
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class _Signs:
    """What may stand between groups of digits, and before decimals."""

    groups: str
    decimals: str


def _signs_of(locale: str) -> _Signs | None:
    """The signs of a locale such as de, en-IN or de_CH; None where nobody knows it."""
    tag = locale.replace("_", "-").casefold()
    language = tag.partition("-")[0]
    if tag in _SWISS or language == "ch":
        return _Signs(_APOSTROPHES + _SPACES + " ", ".,")
    if language in _POINT or language == "in" or tag in _POINT_REGIONS:
        return _Signs("," + _APOSTROPHES + _SPACES, ".")
    return _Signs("." + _APOSTROPHES + _SPACES + " ", ",\u066b") if language in _COMMA else None


def _checked(locale: str) -> str:
    if locale == AUTO or _signs_of(locale) is not None:
        return locale
    raise ValueError(f"expected auto, or a language such as {', '.join(sorted(_COMMA | _POINT))}, de-CH or en-IN")


Locale = Annotated[str, AfterValidator(_checked)]
"""`auto`, or a language with or without its region: `de`, `en-IN`, `de-CH`."""


def readings(text: str, locale: str = AUTO) -> tuple[float, ...]:
    """What the last number of a text may be, the likeliest first; empty where it has none."""
    found = list(_NUMBER.finditer(text))
    return _readings(found[-1], locale) if found else ()


def is_number(text: str, locale: str = AUTO) -> bool:
    """Whether a text is one number, in the locale, and nothing else."""
    match = _NUMBER.fullmatch(text.strip())
    return match is not None and bool(_readings(match, locale))


def last_number(text: str) -> float | None:
    """The last number written in a text, in its likeliest reading: 1,234 is a thousand and 1.234 is not."""
    found = readings(text)
    return found[0] if found else None


def _readings(match: re.Match[str], locale: str) -> tuple[float, ...]:
    body = match["body"]
    signs = _signs_of(locale) if locale != AUTO else None
    bodies = (_by_signs(body, signs) if signs else None) or _by_form(body, match["group"])
    sign = "-" if match["sign"] in {"-", "\u2212", "\uff0d"} else ""
    return tuple(dict.fromkeys(float(f"{sign}{one}{match['power'] or ''}") for one in bodies))


def _by_form(body: str, group: str | None) -> list[str]:
    """Every reading of a number whose locale nobody knows, as Python writes it."""
    if group is None:
        marks = [mark for mark in body if not mark.isdigit()]
        if len(marks) > 1:
            return [body.replace(",", "")]  # India's groups
        before, _, after = re.split(r"([.,\u066b])", body) if marks and body[0].isdigit() else (body, "", "")
        return [f"{before}.{after}" if after else body, *([after] if "," in body else [])]
    whole, *parts = re.split(rf"[^\d{re.escape(group)}]", body)
    joined = whole.replace(group, "") + (f".{parts[0]}" if parts else "")
    if parts or whole.count(group) > 1 or group not in ".,":
        return [joined, *([whole.rpartition(" ")[2] + (f".{parts[0]}" if parts else "")] if group == " " else [])]
    decimal = whole.replace(group, ".")
    if whole.startswith("0"):
        return [decimal]
    return [joined, decimal] if group == "," else [decimal, joined]


def _by_signs(body: str, signs: _Signs) -> list[str] | None:
    """The reading of a number in a known locale, of several in a row (3 400) the last; None where it isn't of its form.

    A number of another form, such as 1234.5 where commas are meant, is read by that form.
    """
    if " " in body and " " not in signs.groups:
        body = body.rpartition(" ")[2]
    groups, decimals = re.escape(signs.groups), re.escape(signs.decimals)
    whole = rf"(?P<whole>[1-9]\d{{0,2}}(?:[{groups}]\d{{2,3}})*[{groups}]\d{{3}}|\d*)"
    found = re.fullmatch(rf"{whole}(?:[{decimals}](?P<part>\d+))?", body)
    if found is None:
        return None
    digits = re.sub(rf"[{groups}]", "", found["whole"]) or "0"
    return [digits + (f".{found['part']}" if found["part"] else "")]
