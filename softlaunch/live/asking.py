"""Asking judges about claimed answers: many at once, each told to the ledger before it begins and soon after."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric
from softlaunch.evals.calls.budget import Budget
from softlaunch.evals.calls.call import CallOptions
from softlaunch.evals.judges.panel import Judges, Panel
from softlaunch.evals.judges.rounds import open_ask
from softlaunch.live.claims import Claim, Judgement, Outcome, Texts
from softlaunch.live.standing import value_of
from softlaunch.metrics import Sample, Score
from softlaunch.metrics.asking import Heard
from softlaunch.metrics.judged import HALLUCINATION, RUBRIC, Hallucination, Rubric

_LOOK_SECONDS = 1.0
_attempts: ContextVar["Attempts"] = ContextVar("attempts")


@dataclass(slots=True)
class Attempts:
    """Requests that one judgement has sent, repeated ones among them."""

    count: int = 0


class CountedAttempts(Budget):
    """Forbids nothing, because claims are only made of what the budget allows; counts what each judgement sends."""

    def begin_attempt(self) -> bool:
        """Count a request for the judgement that sends it."""
        _attempts.get().count += 1
        return True


@dataclass(frozen=True, slots=True)
class Question:
    """What judges are asked for a live metric."""

    metric: Metric
    asked: Rubric | Hallucination

    @property
    def prompt(self) -> str:
        """The name of the prompt that judges get."""
        return RUBRIC if isinstance(self.asked, Rubric) else HALLUCINATION

    def sample(self, texts: Texts) -> Sample:
        """What a judge reads; documents may be in the question itself."""
        wants_context = isinstance(self.asked, Hallucination) and self.asked.needs_context
        context = texts.context or (texts.question if wants_context else None)
        return Sample(answer=texts.answer, question=texts.question, context=context)


class Listening(Panel):
    """A panel that remembers why a judge gave no answer."""

    silent: str = ""

    async def hear(self, prompt: str, variables: Mapping[str, str]) -> Sequence[Heard]:
        """Each judge's answer."""
        heard = await super().hear(prompt, variables)
        self.silent = next((one.nonsense for one in heard if one.text is None), "")
        return heard


@dataclass(slots=True)
class Round:
    """Claims about which judges are to be asked, and what has been said.

    `begin` says that a claim is asked about and returns its texts; `record` writes what was said, and is called every
    second, with nothing, while judges take their time. Both run in threads. What is left of the claims isn't tried once
    `stopped`, or where nothing is answered.
    """

    waiting: deque[Claim]
    questions: Mapping[str, Question]
    judges: Judges
    begin: Callable[[Claim], Texts | None]
    record: Callable[[Sequence[Judgement]], None]
    most_in_vain: int
    stopped: Callable[[], bool]
    said: list[Judgement] = field(default_factory=list)

    async def run(self, options: CallOptions) -> None:
        """Ask about all claims, many at once."""
        workers = max(1, min(options.concurrency, len(self.waiting)))
        async with open_ask(options) as ask:
            asking = [asyncio.create_task(self._work(Listening(self.judges, ask))) for _ in range(workers)]
            try:
                while not all(one.done() for one in asking):
                    await asyncio.wait(asking, timeout=_LOOK_SECONDS)
                    await asyncio.to_thread(self.record, ())
                await asyncio.gather(*asking)
            finally:
                for one in asking:
                    one.cancel()

    async def _work(self, panel: Listening) -> None:
        while self.waiting and not self.stopped() and not self.in_vain:
            claimed = self.waiting.popleft()
            texts = await asyncio.to_thread(self.begin, claimed)
            if texts is not None:
                one = await self._judge(claimed, texts, panel)
                self.said.append(one)
                await asyncio.to_thread(self.record, (one,))  # before the next: a death loses no more than is asked

    async def _judge(self, claimed: Claim, texts: Texts, panel: Listening) -> Judgement:
        """One judgement, and what it took."""
        question, attempts = self.questions[claimed.metric], Attempts()
        _attempts.set(attempts)
        panel.silent = ""
        score = await _score(question, texts, panel)
        nothing = Outcome.UNANSWERED if panel.silent else Outcome.UNREADABLE
        return Judgement(
            claim=claimed,
            outcome=nothing if score.value is None else Outcome.JUDGED,
            value=None if score.value is None else value_of(question.metric, score.value),
            reason=panel.silent or score.reason,
            panel=self.judges.digest(question.prompt),
            calls=attempts.count,
            cost_usd=score.spent.cost_usd,
        )

    @property
    def in_vain(self) -> str:
        """Why judges give nothing, where none of several judgements had an answer; empty where some had, or too few."""
        silent = [one for one in self.said if one.outcome is Outcome.UNANSWERED]
        enough = len(silent) == len(self.said) and len(silent) >= self.most_in_vain
        return silent[-1].reason if enough else ""


async def _score(question: Question, texts: Texts, panel: Listening) -> Score:
    try:
        return await question.asked.score(question.sample(texts), panel)
    except SoftlaunchError:
        raise
    except Exception as error:  # one answer that breaks a reader must not end the others' judging
        return Score(None, f"{question.asked.name} failed: {type(error).__name__}: {error}")
