"""Letting a golden set grow: cases that are new, added to its file, or proposed from what users asked."""

import random
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import yaml
from rapidfuzz import fuzz, process

from softlaunch.core.private_files import private_opener
from softlaunch.evals.suites.case import Case
from softlaunch.evals.suites.golden_set import Suite, SuiteHeader
from softlaunch.evals.suites.suite import HEADER, YAML_ENDINGS, SuiteError, load_suite
from softlaunch.metrics import normalise

SAME_QUESTION_SIMILARITY = 0.9
"""From this similarity of their words on, two questions are the same question."""
_DIGITS = 4
PROPOSED = "proposed"
"""The tag of cases that nobody has accepted yet."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A question of a user with the answer that was given."""

    request_id: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Grown:
    """What was added: the new cases, and the ids of those that the set has already (the first, or similar ones)."""

    added: tuple[Case, ...]
    known: tuple[str, ...]


def grown_by(suite: Suite | None, cases: Sequence[Case], similarity: float = SAME_QUESTION_SIMILARITY) -> Grown:
    """Which cases are new to a set: neither their id nor their question, or one like it, is there already."""
    asked = Asked(similarity, suite.cases if suite else ())
    ids = {case.id for case in suite.cases} if suite else set()
    added: list[Case] = []
    known: list[str] = []
    for case in cases:
        if case.id in ids or not asked.is_new(case.conversation):
            known.append(case.id)
            continue
        ids.add(case.id)
        added.append(case)
    return Grown(tuple(added), tuple(known))


class Asked:
    """Questions that are there already. Those that name other numbers are never the same, however similar their words.

    Where users ask, `digits` is how long a number may be: a longer one is that of an order or a customer, and shows
    nothing.
    """

    def __init__(self, similarity: float, cases: Iterable[Case] = (), digits: int | None = None) -> None:
        self._similarity = 100 * similarity
        self._digits = digits
        self._by_numbers: dict[tuple[str, ...], list[str]] = {}
        for case in cases:
            self._note(normalise(case.conversation))

    def is_new(self, text: str) -> bool:
        """Whether no question is as good as the same; from then on this one is there."""
        question = normalise(text)
        beside = self._by_numbers.get(self._numbers(question), [])
        if (
            process.extractOne(question, beside, scorer=fuzz.token_sort_ratio, score_cutoff=self._similarity)
            is not None
        ):
            return False
        self._note(question)
        return True

    def _note(self, question: str) -> None:
        self._by_numbers.setdefault(self._numbers(question), []).append(question)

    def _numbers(self, question: str) -> tuple[str, ...]:
        found = re.findall(r"\d+(?:[.,]\d+)*", question)
        return tuple(sorted(one for one in found if self._digits is None or len(one) <= self._digits))


def propose(
    suite: Suite, logged: Iterable[Logged], count: int, seed: int, similarity: float = SAME_QUESTION_SIMILARITY
) -> list[dict[str, Any]]:
    """Up to so many drawn questions that the set doesn't have, as cases for a person to finish.

    `expected` holds the answer that was given, which nobody has checked: it must be replaced or confirmed.
    """
    waiting = sorted(logged, key=lambda one: one.request_id)
    random.Random(seed).shuffle(waiting)
    asked = Asked(similarity, suite.cases, _DIGITS)
    proposals: list[dict[str, Any]] = []
    for one in waiting:
        if len(proposals) >= count:
            break
        if not one.question.strip() or not asked.is_new(one.question):
            continue
        tags = [PROPOSED]
        proposals.append(
            {"id": f"log-{one.request_id}", "question": one.question, "expected": one.answer, "tags": tags}
        )
    return proposals


def append_cases(path: Path, cases: Sequence[Case], today: date, *, refreshed: bool = False) -> SuiteHeader:
    """Add cases to a golden set's file, JSON lines or YAML, and date its header; a file that isn't there is made.

    Returns the header as it is now. Comments of a YAML file are lost. Raises SuiteError where the file is broken.
    """
    suite = load_suite(path) if path.exists() else None
    header = suite.header if suite else SuiteHeader()
    dates = {"created": header.created or today} | ({"refreshed": today} if refreshed or suite else {})
    header = header.model_copy(update=dates)
    written = [written_case(case) for case in (*(suite.cases if suite else ()), *cases)]
    if not written:
        raise SuiteError(f"there is nothing to write to {path}: give it at least one case")
    write_suite(path, header, written)
    return header


def write_suite(path: Path, header: SuiteHeader, cases: Sequence[dict[str, Any]]) -> None:
    """Write a golden set as its file's name says; one that is new is for its owner alone: cases may come from users."""
    document = header.model_dump(mode="json", exclude_defaults=True)
    if path.suffix in YAML_ENDINGS:
        content = yaml.safe_dump({HEADER: document, "cases": list(cases)}, sort_keys=False, allow_unicode=True).encode()
    else:
        content = b"".join(orjson.dumps(row) + b"\n" for row in ({HEADER: document}, *cases))
    partial = path.with_suffix(f"{path.suffix}.partial")
    with open(partial, "wb", opener=private_opener) as file:
        file.write(content)
    if path.exists():
        partial.chmod(stat.S_IMODE(path.stat().st_mode))
    partial.replace(path)


def written_case(case: Case) -> dict[str, Any]:
    """A case as files have it, without what is left to defaults."""
    return case.model_dump(mode="json", exclude_unset=True)
