"""A panel of judges: models that are asked with the same versioned prompts, each call counted and priced."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

import httpx
import orjson

from softlaunch.catalog.prompt_files import load_prompts
from softlaunch.core.endpoint import api_url
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.variant import ModelVersion, PromptVersion, Sampling, Variant
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm
from softlaunch.evals.calls.call import Call
from softlaunch.evals.suites.case import Case
from softlaunch.metrics.asking import Heard, Vectors
from softlaunch.metrics.interface import NOTHING_SPENT, Spent

Ask = Callable[[Call], Awaitable[EvalAnswer]]
"""Makes a call, with whatever retries, cache and budget calls have, and gives its answer or why there is none."""

STEADY = Sampling(temperature=0.0)
"""How judges are sampled unless a policy says otherwise."""


class JudgeError(SoftlaunchError):
    """Judges that can't be asked as wanted; the message says what to set."""


@dataclass(frozen=True, slots=True)
class Judges:
    """Models that judge together, the prompts they are asked with, and how they are sampled: together, variants."""

    models: tuple[ModelVersion, ...]
    prompts: Mapping[str, PromptVersion] = field(default_factory=dict)
    sampling: Sampling = STEADY

    def variants(self, prompt: str) -> tuple[Variant, ...]:
        """Each judge with the prompt of this name, or the one in its place. Raises JudgeError without any judge."""
        if not self.models:
            raise JudgeError("no judge is named; list the models that judge under eval.judge.models in the policy")
        version = self.prompts.get(prompt) or shipped_prompts()[prompt]
        return tuple(Variant(prompt=version, model=one, sampling=self.sampling) for one in self.models)

    def digest(self, prompt: str) -> str:
        """What identifies them where they use this prompt: another prompt, model or temperature is another panel."""
        return sha256("\n".join(sorted(one.digest for one in self.variants(prompt))).encode()).hexdigest()


class Panel:
    """Judges who are all asked the same; `ask` makes their calls."""

    def __init__(self, judges: Judges, ask: Ask) -> None:
        self._judges = judges
        self._ask = ask

    async def hear(self, prompt: str, variables: Mapping[str, str]) -> Sequence[Heard]:
        """Each judge's answer, in their order; all are asked at once."""
        return await asyncio.gather(*(ask_judge(self._ask, one, variables) for one in self._judges.variants(prompt)))

    async def embed(self, endpoint: str, model: str, api_key_env: str | None, texts: Sequence[str]) -> Vectors:
        """The vectors of some texts, from one request."""
        return await embed(endpoint, model, api_key_env, texts)


async def ask_judge(ask: Ask, judge: Variant, variables: Mapping[str, str]) -> Heard:
    """Ask a judge one thing. The same thing is the same case, so that a cache can know it."""
    known = {name: variables[name] for name in sorted(variables)}
    case_id = sha256(orjson.dumps(known)).hexdigest()[:32]
    call = Call(CallKey(EvalArm.CANDIDATE, case_id, 0), judge, Case(id=case_id, variables=known, metrics=()))
    answer = await ask(call)
    if answer.answer is None:
        return Heard(judge.model.name, None, answer.error or "no answer", NOTHING_SPENT)
    return Heard(judge.model.name, answer.answer, None, Spent(1, answer.cost_usd))


async def embed(
    endpoint: str,
    model: str,
    api_key_env: str | None,
    texts: Sequence[str],
    *,
    timeout_seconds: float = 60.0,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Vectors:
    """One request to an endpoint for embeddings."""
    key = os.environ.get(api_key_env) if api_key_env else None
    if api_key_env and not key:
        return Vectors(None, f"set the variable {api_key_env}", 0)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        url = api_url(endpoint, "/embeddings")
    except ValueError:
        return Vectors(None, "bad_endpoint", None)
    try:
        async with httpx.AsyncClient(timeout=timeout_seconds, transport=transport) as client:
            response = await client.post(url, json={"model": model, "input": list(texts)}, headers=headers)
    except httpx.TimeoutException:
        return Vectors(None, "timeout", None)
    except (httpx.HTTPError, httpx.InvalidURL):
        return Vectors(None, "connect", None)
    if response.status_code != httpx.codes.OK:
        return Vectors(None, f"http_{response.status_code}", None)
    return _vectors(response.content, len(texts))


def _vectors(content: bytes, count: int) -> Vectors:
    try:
        document = orjson.loads(content)
        rows = sorted(document["data"], key=lambda row: row["index"])
        values = tuple(tuple(float(part) for part in row["embedding"]) for row in rows)
        tokens = (document.get("usage") or {}).get("prompt_tokens")
    except (ValueError, LookupError, TypeError, AttributeError):
        return Vectors(None, "bad_answer", None)
    if len(values) != count:
        return Vectors(None, "bad_answer", None)
    return Vectors(values, None, tokens if isinstance(tokens, int) else None)


@cache
def shipped_prompts() -> Mapping[str, PromptVersion]:
    """The judges' prompts that come along, by name, each in its newest version."""
    folder = Path(__file__).with_name("prompts")
    return {one.prompt.name: one.prompt for one in load_prompts(folder)}
