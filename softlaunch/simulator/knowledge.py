"""What every simulated model has learnt: the answers to known questions, right ones and plausible wrong ones."""

import random
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from softlaunch.simulator.cases import Case, CasesError, is_right, key_of

UNKNOWN = "I could not find anything about that, so I have passed your question on to a colleague."
UNSURE = "I am not able to say."
_OPENINGS = ("", "Thanks for asking. ", "Good question. ", "Gladly. ")
_INVENTED = (
    " Our founder confirmed this on the radio last week.",
    " A recent court ruling obliges us to say so.",
    " You will also receive a free voucher with your next parcel.",
    " This is printed on the back of every receipt.",
)
_INTEGER = re.compile(r"\d+")
_OPPOSITES = {"yes": "no", "no": "yes", "[yes]": "[no]", "[no]": "[yes]", "true": "false", "false": "true"}
_MOST_WRONG = 20


@dataclass(frozen=True, slots=True)
class Lesson:
    """A case together with the wrong answers that a model may give to it (at least one)."""

    case: Case
    wrong: tuple[str, ...]

    def right_answer(self, rng: random.Random) -> str:
        """A text that satisfies the case."""
        if self.case.answer is not None:
            return self.case.answer
        if self.case.metric == "exact":
            return self.case.expected
        return f"{rng.choice(_OPENINGS)}The answer is: {self.case.expected}."

    def wrong_answer(self, rng: random.Random) -> str:
        """A text that doesn't satisfy the case."""
        return rng.choice(self.wrong)


class Knowledge:
    """Lessons by question.

    A question may be taught twice with the same expected answer; a case that says how its answer reads goes first, so
    that a golden set can be supplemented without being changed.
    """

    def __init__(self, cases: Iterable[Case] = ()) -> None:
        taught = sorted(cases, key=lambda case: case.answer is None)
        kin: dict[str, list[Case]] = defaultdict(list)
        for case in taught:
            for tag in case.tags or ("",):
                kin[tag].append(case)
        self._lessons: dict[str, Lesson] = {}
        for case in taught:
            self._teach(case, [other for tag in case.tags or ("",) for other in kin[tag]])

    def __len__(self) -> int:
        return len(self._lessons)

    def find(self, question: str) -> Lesson | None:
        """The lesson for a question; None for one that was never taught."""
        return self._lessons.get(key_of(question))

    def _teach(self, case: Case, kin: list[Case]) -> None:
        key = key_of(case.asked)
        known = self._lessons.get(key)
        if known is None:
            if case.metric == "regex" and case.answer is None:
                raise CasesError(
                    f"case {case.id}: a model can't read an answer off the expression {case.expected!r}; add one with "
                    "the same question and 'answer', a text that matches, to one of the files of questions"
                )
            self._lessons[key] = Lesson(case, case.wrong or _plausible_wrong_answers(case, kin))
        elif known.case.expected != case.expected:
            raise CasesError(
                f"cases {known.case.id} and {case.id} ask the same and expect different answers: {case.asked!r}; "
                "reword one, a simulated model goes by the last user message alone"
            )


def invented_claim(rng: random.Random) -> str:
    """A sentence that nothing supports; without digits, so that it changes no numeric answer."""
    return rng.choice(_INVENTED)


def invented_claims_in(answer: str) -> list[str]:
    """The sentences of an answer that `invented_claim` has put there."""
    return [claim.strip() for claim in _INVENTED if claim.strip() in answer]


def _plausible_wrong_answers(case: Case, kin: list[Case]) -> tuple[str, ...]:
    """For a case that brings none: the opposite, its first number shifted, or what similar cases expect."""
    expected = case.expected.strip()
    if expected.casefold() in _OPPOSITES:
        wrong = [_OPPOSITES[expected.casefold()]]
    elif _INTEGER.search(expected) and case.metric != "regex":
        wrong = [_shifted(expected, by) for by in (1, 7, 10)]
    else:
        wrong = [other.expected for other in kin if other.metric == case.metric != "regex"][:_MOST_WRONG]
    texts = (text if case.metric == "exact" else f"The answer is: {text}." for text in wrong)
    return tuple(dict.fromkeys(text for text in texts if not is_right(case, text))) or (UNSURE,)


def _shifted(text: str, by: int) -> str:
    return _INTEGER.sub(lambda found: str(int(found[0]) + by), text, count=1)
