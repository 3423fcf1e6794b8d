"""deepeval on N cases, in an environment of its own: a metric that asks the endpoint and compares.

`python deepeval_run.py PORT CASES CONCURRENCY`
"""

import sys

from deepeval import evaluate
from deepeval.evaluate.configs import AsyncConfig, CacheConfig, DisplayConfig
from deepeval.metrics import BaseMetric
from deepeval.test_case import LLMTestCase
from openai import AsyncOpenAI

PORT, CASES, CONCURRENCY = map(int, sys.argv[1:4])
CLIENT = AsyncOpenAI(base_url=f"http://127.0.0.1:{PORT}/v1", api_key="unused")


class Asked(BaseMetric):
    """1 where the endpoint answers what is expected."""

    threshold = 0.5
    async_mode = True
    include_reason = False

    def measure(self, test_case, *_, **__):
        """Not used: everything here is asynchronous."""
        raise NotImplementedError

    async def a_measure(self, test_case, *_, **__):
        """Ask, compare, score."""
        messages = [{"role": "user", "content": test_case.input}]
        answer = await CLIENT.chat.completions.create(model="bench", messages=messages)
        self.score = float(answer.choices[0].message.content == test_case.expected_output)
        self.success = self.score >= self.threshold
        return self.score

    def is_successful(self):
        """Whether it did."""
        return self.success

    @property
    def __name__(self):
        return "Asked"


found = evaluate(
    [LLMTestCase(input=f"Question {n}?", actual_output="yes", expected_output="yes") for n in range(CASES)],
    [Asked()],
    async_config=AsyncConfig(max_concurrent=CONCURRENCY, throttle_value=0),
    display_config=DisplayConfig(show_indicator=False, print_results=False),
    cache_config=CacheConfig(write_cache=False, use_cache=False),
)
assert sum(bool(one.success) for one in found.test_results) == CASES
