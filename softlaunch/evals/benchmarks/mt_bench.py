"""MT-Bench: 80 two-turn questions, each turn graded from 1 to 10 by a judge (Zheng et al. 2023, arXiv 2306.05685).

The questions, reference answers and judge prompts are read from the published files and are no part of softlaunch.
What differs from the published script is listed: questions whose reference answer is known to be wrong are left out by
name, and turns without a grade (the judge's or the model's failure) are counted, where the script drops them.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from softlaunch.core.documents import LONGEST_GOLDEN_SET, DocumentError, parse_json, read_bytes
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Sampling, Variant
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm
from softlaunch.evals.calls.call import Call
from softlaunch.evals.judges.panel import Ask
from softlaunch.evals.suites.case import Case
from softlaunch.evals.suites.suite_imports import KNOWN_WRONG_REFERENCES
from softlaunch.metrics.interface import NOTHING_SPENT, Spent

QUESTIONS = "mt_bench_question.jsonl"
REFERENCES = "mt_bench_reference_answer_gpt-4.jsonl"
PROMPTS = "judge_prompts.jsonl"
WITH_REFERENCE = frozenset({"math", "reasoning", "coding"})
TEMPERATURES: Mapping[str, float] = {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1}
"""Temperatures of the answers by category; every other category is asked at 0."""
_GRADE = re.compile(r"\[\[(\d+\.?\d*)\]\]")
_PLAIN_GRADE = re.compile(r"\[(\d+\.?\d*)\]")
_FIELD = re.compile(r"\{(\w+)\}")
_LONGEST_ANSWER = 1024  # tokens, as published


class MtBenchError(SoftlaunchError):
    """Files of MT-Bench that can't be used; the message names file and line."""


class _Published(BaseModel):
    """A line of a published file; what isn't needed is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _QuestionRow(_Published):
    question_id: int
    category: str
    turns: tuple[str, str] = Field(strict=False)


class _Choice(_Published):
    turns: tuple[str, str] = Field(strict=False)


class _ReferenceRow(_Published):
    question_id: int
    choices: tuple[_Choice, ...] = Field(min_length=1, strict=False)


class _PromptRow(_Published):
    name: str
    system_prompt: str
    prompt_template: str
    description: str = ""


Row = TypeVar("Row", bound=_Published)


@dataclass(frozen=True, slots=True)
class Question:
    """One question: two turns and, for math, reasoning and coding, the reference answers to both."""

    number: int
    category: str
    turns: tuple[str, str]
    references: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class MtBench:
    """The questions that can be asked, the numbers of those that were left out, and the judge's prompts by name."""

    questions: tuple[Question, ...]
    left_out: tuple[int, ...]
    prompts: Mapping[str, PromptVersion]


@dataclass(frozen=True, slots=True)
class Turn:
    """One graded turn. `grade` is None where there is none; `problem` says why."""

    question: int
    category: str
    turn: int
    grade: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class MtBenchResult:
    """All turns of one model, with what answers and judge cost."""

    turns: tuple[Turn, ...]
    answering: Spent
    judging: Spent

    @property
    def ungraded(self) -> tuple[Turn, ...]:
        """Turns without a grade."""
        return tuple(turn for turn in self.turns if turn.grade is None)

    def score(self, category: str | None = None, turn: int | None = None) -> float | None:
        """The mean grade of all turns, or those of a category or turn; None where none has a grade."""
        grades = [
            one.grade
            for one in self.turns
            if one.grade is not None and category in {None, one.category} and turn in {None, one.turn}
        ]
        return fmean(grades) if grades else None


def load_mt_bench(folder: Path) -> MtBench:
    """Read the published files of a folder. Raises MtBenchError."""
    references = {row.question_id: row.choices[0].turns for row in _rows(folder / REFERENCES, _ReferenceRow)}
    questions, left_out = [], []
    for row in _rows(folder / QUESTIONS, _QuestionRow):
        if row.question_id in KNOWN_WRONG_REFERENCES:
            left_out.append(row.question_id)
            continue
        graded = row.category in WITH_REFERENCE
        reference = references.get(row.question_id) if graded else None
        if graded and reference is None:
            raise MtBenchError(
                f"{folder / REFERENCES} has no answer to question {row.question_id}, which is graded by one"
            )
        questions.append(Question(row.question_id, row.category, row.turns, reference))
    prompts = {row.name: _prompt(folder / PROMPTS, row) for row in _rows(folder / PROMPTS, _PromptRow)}
    return MtBench(tuple(questions), tuple(left_out), prompts)


async def run_mt_bench(
    bench: MtBench, variant: Variant, judge: ModelVersion, ask: Ask, concurrency: int = 16
) -> MtBenchResult:
    """Ask every question in both turns, and have each turn graded at temperature 0."""
    gate = asyncio.Semaphore(concurrency)

    async def both(question: Question) -> tuple[list[Turn], Spent, Spent]:
        async with gate:
            return await _both_turns(bench, question, variant, judge, ask)

    done = await asyncio.gather(*(both(question) for question in bench.questions))
    return MtBenchResult(
        tuple(turn for turns, _, _ in done for turn in turns),
        sum((answering for _, answering, _ in done), NOTHING_SPENT),
        sum((judging for _, _, judging in done), NOTHING_SPENT),
    )


def read_mt_bench_grade(text: str) -> float | None:
    """The first `[[n]]`, else the first `[n]`, as published; None where there is neither, or none from 1 to 10."""
    found = _GRADE.search(text) or _PLAIN_GRADE.search(text)
    grade = float(found[1]) if found else None
    return grade if grade is not None and 1 <= grade <= 10 else None


async def _both_turns(
    bench: MtBench, question: Question, variant: Variant, judge: ModelVersion, ask: Ask
) -> tuple[list[Turn], Spent, Spent]:
    asking = _at_temperature(variant, TEMPERATURES.get(question.category, 0.0))
    messages: list[dict[str, str]] = []
    answers: list[str] = []
    turns: list[Turn] = []
    answering = judging = NOTHING_SPENT
    for position, asked in enumerate(question.turns):
        messages.append({"role": "user", "content": asked})
        answer = await ask(_call(f"mt-bench-{question.number}-{position + 1}", asking, messages))
        answering += _spent(answer)
        if answer.answer is None:
            problem = f"the model gave no answer: {answer.error}"
            turns += [_turn(question, later, None, problem) for later in range(position, 2)]
            break
        answers.append(answer.answer)
        messages.append({"role": "assistant", "content": answer.answer})
        judged = await ask(_judging(bench, question, answers, judge))
        judging += _spent(judged)
        grade = read_mt_bench_grade(judged.answer or "")
        problem = (
            "" if grade is not None else f"the judge gave no grade: {judged.error or (judged.answer or '')[:80]!r}"
        )
        turns.append(_turn(question, position, grade, problem))
    return turns, answering, judging


def _judging(bench: MtBench, question: Question, answers: Sequence[str], judge: ModelVersion) -> Call:
    """The call that grades the last of the answers so far."""
    name = "single-math-v1" if question.references else "single-v1"
    variables = {"question": question.turns[0], "answer": answers[0]}
    if len(answers) == 2:
        name += "-multi-turn"
        variables = {
            **{f"question_{number}": text for number, text in enumerate(question.turns, start=1)},
            **{f"answer_{number}": text for number, text in enumerate(answers, start=1)},
        }
    if question.references:
        variables |= {f"ref_answer_{number}": text for number, text in enumerate(question.references, start=1)}
    grading = Variant(prompt=bench.prompts[name], model=judge, sampling=Sampling(temperature=0.0))
    case_id = f"mt-bench-{question.number}-{len(answers)}-graded"
    return Call(CallKey(EvalArm.CANDIDATE, case_id, 0), grading, Case(id=case_id, variables=variables, metrics=()))


def _call(case_id: str, variant: Variant, messages: Sequence[Mapping[str, str]]) -> Call:
    case = Case.model_validate({"id": case_id, "messages": list(messages), "metrics": []})
    return Call(CallKey(EvalArm.CANDIDATE, case_id, 0), variant, case)


def _at_temperature(variant: Variant, temperature: float) -> Variant:
    longest = variant.sampling.max_tokens or _LONGEST_ANSWER
    sampling = variant.sampling.model_copy(update={"temperature": temperature, "max_tokens": longest})
    return Variant(prompt=variant.prompt, model=variant.model, sampling=sampling)


def _turn(question: Question, position: int, grade: float | None, problem: str) -> Turn:
    return Turn(question.number, question.category, position + 1, grade, problem)


def _spent(answer: EvalAnswer) -> Spent:
    return Spent(1, answer.cost_usd) if answer.answer is not None else NOTHING_SPENT


def _prompt(path: Path, row: _PromptRow) -> PromptVersion:
    """A published judge prompt as a prompt version: `{name}` becomes a variable, everything else stands as it is."""
    parts: tuple[tuple[Literal["system", "user"], str], ...] = (
        ("system", row.system_prompt),
        ("user", row.prompt_template),
    )
    messages = tuple(PromptMessage(role=role, content=_as_template(text)) for role, text in parts)
    try:
        return PromptVersion(name=f"mt-bench-{row.name}", version="1.0.0", messages=messages, purpose=row.description)
    except ValidationError as error:
        raise MtBenchError(f"{path}: the prompt {row.name!r} can't be used: {_first_problem(error)}") from error


def _as_template(text: str) -> str:
    literal = text.replace("{{", "{{ '{{' }}").replace("{%", "{{ '{%' }}").replace("{#", "{{ '{#' }}")
    return _FIELD.sub(r"{{ \1 }}", literal)


def _rows(path: Path, kind: type[Row]) -> list[Row]:
    try:
        lines = read_bytes(path, LONGEST_GOLDEN_SET).split(b"\n")
    except DocumentError as error:
        raise MtBenchError(f"{error}; put MT-Bench's published files there") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                rows.append(kind.model_validate(parse_json(line)))
            except ValidationError as error:
                raise MtBenchError(f"{path}, line {number}: {_first_problem(error)}") from error
            except ValueError as error:
                raise MtBenchError(f"{path}, line {number}: not valid JSON ({error})") from error
    return rows


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    return f"{key}: {problem['msg']}" if key else problem["msg"]
