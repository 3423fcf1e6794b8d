"""A simulated judge: it reads the prompts of softlaunch's own judges and knows what a right answer is."""

import random
import re
from collections.abc import Mapping

import orjson

from softlaunch.simulator.cases import is_right
from softlaunch.simulator.knowledge import Knowledge, Lesson, invented_claims_in
from softlaunch.simulator.models import Ask, ProfileModel
from softlaunch.simulator.profiles import JudgeFigures, Profile

_TAGGED = re.compile(r"<(question|context|reference|answer|answer_a|answer_b)>\n(.*?)\n</\1>", re.DOTALL)
_SCALE = re.compile(r"from 1 .{0,80}? to (\d+)", re.DOTALL)
_NONSENSE = "I have read both sides with interest and would rather not commit myself."
_SENTENCE = re.compile(r"[^.!?]+[.!?]*")


class JudgeModel(ProfileModel):
    """Judges rightly as often as its figures say; the same prompt gets the same verdict, as at temperature 0.

    A question that nobody taught leaves it with what it can see: whether an answer holds a claim that simulated
    models invent.
    """

    def __init__(self, profile: Profile, knowledge: Knowledge, seed: int = 0) -> None:
        super().__init__(profile, knowledge, seed)
        self._figures = profile.judge or JudgeFigures()

    def _rng_of_call(self, ask: Ask, lesson: Lesson | None) -> random.Random:  # noqa: ARG002  (the prompt decides)
        return random.Random(f"{self._seed}|{self.profile.name}|{ask.question}")

    def _compose(self, ask: Ask, lesson: Lesson | None, rng: random.Random) -> tuple[str, bool | None]:  # noqa: ARG002
        parts = {name: text.strip() for name, text in _TAGGED.findall(ask.question)}
        errs = rng.random() >= self._figures.accuracy
        is_judging = "answer" in parts or {"answer_a", "answer_b"} <= parts.keys()
        if rng.random() < self._figures.nonsense_rate or not is_judging:
            return _NONSENSE, None
        if "answer_a" in parts:
            return self._prefer(parts, rng, errs=errs), not errs
        if '"claims"' in ask.question:
            return self._check(parts["answer"], errs=errs), not errs
        return self._grade(parts, ask.question, errs=errs), not errs

    def _prefer(self, parts: Mapping[str, str], rng: random.Random, *, errs: bool) -> str:
        a, b = (self._worth(parts["question"], parts[side]) for side in ("answer_a", "answer_b"))
        verdict = "C" if a == b else "A" if a > b else "B"
        if errs:
            verdict = rng.choice([other for other in "ABC" if other != verdict])
        if rng.random() < self._figures.first_bias:
            verdict = "A"
        verdicts = {"A": "The first answer is better.", "B": "The second answer is better.", "C": "Neither is better."}
        return f"{verdicts[verdict]}\n[[{verdict}]]"

    def _grade(self, parts: Mapping[str, str], prompt: str, *, errs: bool) -> str:
        scale = int(found[1]) if (found := _SCALE.search(prompt)) else 5
        good = (self._worth(parts["question"], parts["answer"]) > 0) != errs
        reason = "It answers the question." if good else "It doesn't answer the question rightly."
        return f"{reason}\n[[{scale if good else 1}]]"

    @staticmethod
    def _check(answer: str, *, errs: bool) -> str:
        invented = invented_claims_in(answer)
        claims = [
            {"claim": claim.strip(), "supported": claim.strip() not in invented, "reason": ""}
            for claim in _SENTENCE.findall(answer)
            if claim.strip()
        ]
        if errs and claims:
            claims[0]["supported"] = bool(invented)
            claims[1:] = [claim | {"supported": True} for claim in claims[1:]]
        return orjson.dumps({"claims": claims}).decode()

    def _worth(self, question: str, answer: str) -> int:
        """2 for a right answer, 1 for one that nobody knows, 0 for a wrong one; an invented claim costs 1."""
        lesson = self._knowledge.find(question)
        worth = 1 if lesson is None else 2 * is_right(lesson.case, answer)
        return worth - bool(invented_claims_in(answer))
