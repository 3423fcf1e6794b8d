"""Simulated models, and what a call to them comes to."""

import hashlib
import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from scipy.special import betaincinv

from softlaunch.simulator.cases import key_of, last_question, text_of
from softlaunch.simulator.knowledge import UNKNOWN, Knowledge, Lesson, invented_claim
from softlaunch.simulator.profiles import Profile

CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English


@dataclass(frozen=True, slots=True)
class Ask:
    """What a simulated model gets of a request."""

    messages: Sequence[Mapping[str, Any]]
    max_tokens: int | None = None

    @property
    def question(self) -> str:
        """The text of the last user message."""
        return last_question(self.messages)

    @property
    def input_tokens(self) -> int:
        """Tokens of the whole prompt, estimated from its length."""
        return estimated_tokens("".join(text_of(message.get("content")) for message in self.messages))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to come; times are in seconds from the request. `right` is None where nobody knows."""

    text: str
    input_tokens: int
    output_tokens: int
    latency_s: float
    first_token_s: float
    right: bool | None = None
    hallucinated: bool = False
    finish_reason: str = "stop"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error to come, after `latency_s` seconds."""

    status: int
    message: str
    code: str
    latency_s: float = 0.0


class SimulatedModel(Protocol):
    """One model of the simulated provider."""

    @property
    def name(self) -> str:
        """What clients ask for."""

    @property
    def resolved_model(self) -> str:
        """The model id that answers name."""

    def respond(self, ask: Ask, arrival_rps: float) -> Answer | Refusal:
        """What a call comes to while requests for this model arrive at a given rate."""


class ProfileModel:
    """A model that behaves as a profile says.

    The n-th call with a given question comes out the same for equal seeds, in whatever order questions arrive.
    """

    def __init__(self, profile: Profile, knowledge: Knowledge, seed: int = 0) -> None:
        self.profile = profile
        self._knowledge = knowledge
        self._seed = seed
        self._asked: Counter[str] = Counter()
        self._chances: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The profile's name."""
        return self.profile.name

    @property
    def resolved_model(self) -> str:
        """The profile's model id."""
        return self.profile.resolved_model

    def respond(self, ask: Ask, arrival_rps: float) -> Answer | Refusal:
        """An answer or a refusal, drawn from the profile's distributions."""
        lesson = self._knowledge.find(ask.question)
        rng = self._rng_of_call(ask, lesson)
        profile = self.profile
        latency_s = profile.latency.draw(rng) * (profile.load.factor(arrival_rps) if profile.load else 1.0)
        first_token_s = latency_s * profile.latency.first_token_share
        if rng.random() < profile.errors.rate:
            status = rng.choice(profile.errors.statuses)
            return Refusal(status, f"{profile.name} fails this often by its profile", "rehearsed", first_token_s)
        text, right = self._compose(ask, lesson, rng)
        hallucinated = rng.random() < profile.hallucination_rate
        text = text + invented_claim(rng) if hallucinated else text
        drawn = profile.output_tokens.draw(rng)
        limit = ask.max_tokens
        answer = Answer(text, ask.input_tokens, drawn, latency_s, first_token_s, right, hallucinated)
        return answer if limit is None or drawn <= limit else shortened(answer, limit)

    def chance_of_right(self, lesson: Lesson) -> float:
        """Probability that a call with this question is answered right.

        It is Beta-distributed over questions, with the profile's accuracy as mean and its repeat correlation as
        intra-class correlation. How hard a question is compared with others depends on question and seed alone, so a
        profile of higher accuracy is at least as good on every question.
        """
        key = key_of(lesson.case.asked)
        if key not in self._chances:
            hardness = _uniform(self._seed, key)
            self._chances[key] = _beta_quantile(1 - hardness, self.profile.accuracy, self.profile.repeat_correlation)
        return self._chances[key]

    def _compose(self, ask: Ask, lesson: Lesson | None, rng: random.Random) -> tuple[str, bool | None]:  # noqa: ARG002  (a judge reads it)
        if lesson is None:
            return UNKNOWN, None
        right = rng.random() < self.chance_of_right(lesson)
        return (lesson.right_answer(rng) if right else lesson.wrong_answer(rng)), right

    def _rng_of_call(self, ask: Ask, lesson: Lesson | None) -> random.Random:  # noqa: ARG002  (a judge reads it)
        key = key_of(lesson.case.asked) if lesson else ""  # unknown questions share a counter, which bounds it
        self._asked[key] += 1
        return random.Random(f"{self._seed}|{self.profile.name}|{key}|{self._asked[key]}")


class ArrivalMeter:
    """The rate at which requests arrived over a sliding window."""

    def __init__(self, window_s: float = 2.0) -> None:
        self._window_s = window_s
        self._arrivals: deque[float] = deque()

    def arrive(self, now: float) -> float:
        """Note an arrival; requests per second over the window that ends with it."""
        arrivals = self._arrivals
        arrivals.append(now)
        while arrivals[0] <= now - self._window_s:
            arrivals.popleft()
        return len(arrivals) / self._window_s


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has, at least 1."""
    return max(1, len(text) // CHARACTERS_PER_TOKEN)


def shortened(answer: Answer, max_tokens: int) -> Answer:
    """The answer as a limit on its tokens leaves it."""
    share = max_tokens / answer.output_tokens
    text = answer.text[: max_tokens * CHARACTERS_PER_TOKEN]
    return Answer(
        text=text,
        input_tokens=answer.input_tokens,
        output_tokens=max_tokens,
        latency_s=answer.first_token_s + (answer.latency_s - answer.first_token_s) * share,
        first_token_s=answer.first_token_s,
        right=answer.right if text == answer.text else None,
        hallucinated=answer.hallucinated,
        finish_reason="length",
    )


def _uniform(seed: int, key: str) -> float:
    digest = hashlib.blake2b(f"{seed}|{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / (1 << 64)


def _beta_quantile(probability: float, mean: float, correlation: float) -> float:
    """Quantile of the Beta distribution whose Bernoulli draws have a given mean and intra-class correlation."""
    if correlation <= 0 or mean in {0.0, 1.0}:
        return mean
    if correlation >= 1:
        return 1.0 if probability > 1 - mean else 0.0
    size = 1 / correlation - 1  # correlation = 1 / (a + b + 1)
    return float(betaincinv(mean * size, (1 - mean) * size, probability))
