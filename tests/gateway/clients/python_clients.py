"""The official `openai` package: its synchronous and its asynchronous client."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import openai

from tests.gateway.clients.talks import KEY, Answer, Client, Failure, Failures, Question

FAILURES = Failures(bad_request="BadRequestError", rate_limited="RateLimitError", in_a_stream="APIError")


class SyncClient:
    """`OpenAI`; it closes its socket at `[DONE]`."""

    failures = FAILURES

    def __init__(self, client: openai.OpenAI) -> None:
        self._client = client

    def ask(self, question: Question) -> Answer:
        """Ask, and read the answer."""
        answer = Answer()
        try:
            self._read(question, answer)
        except openai.APIError as error:
            answer.failure = _failure(error)
        return answer

    def _read(self, question: Question, answer: Answer) -> None:
        create = self._client.with_options(max_retries=question.retries).chat.completions.create
        if not question.stream:
            return answer.add(create(**question.request).to_dict())
        with create(**question.request) as chunks:
            for chunk in chunks:
                answer.add(chunk.to_dict())
                if question.leave and answer.finish_reason:
                    break
        return None


class AsyncClient:
    """`AsyncOpenAI`, in an event loop that lasts as long as the conversation."""

    failures = FAILURES

    def __init__(self, client: openai.AsyncOpenAI, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def ask(self, question: Question) -> Answer:
        """Ask, and read the answer."""
        answer = Answer()
        try:
            self._runner.run(self._read(question, answer))
        except openai.APIError as error:
            answer.failure = _failure(error)
        return answer

    async def _read(self, question: Question, answer: Answer) -> None:
        create = self._client.with_options(max_retries=question.retries).chat.completions.create
        if not question.stream:
            return answer.add((await create(**question.request)).to_dict())
        async with await create(**question.request) as chunks:
            async for chunk in chunks:
                answer.add(chunk.to_dict())
                if question.leave and answer.finish_reason:
                    break
        return None


@contextmanager
def sync_client(url: str) -> Iterator[Client]:
    """The client as its documentation makes it."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
        yield SyncClient(client)


@contextmanager
def async_client(url: str) -> Iterator[Client]:
    """The same."""
    with asyncio.Runner() as runner:
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY)
        yield AsyncClient(client, runner)
        runner.run(client.close())


def _failure(error: openai.APIError) -> Failure:
    response = error.response if isinstance(error, openai.APIStatusError) else None
    return Failure(
        kind=type(error).__name__,
        status=response.status_code if response else None,
        message=error.message,
        retry_after=response.headers.get("retry-after") if response else None,
    )
