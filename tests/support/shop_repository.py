"""A Git repository of a team with one app, and a scripted model whose answers depend on the prompt that it is given.

A prompt says which questions it gets wrong: `Wrong: every 10` (every tenth), `Wrong: refunds every 2` (of one segment).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.support.endpoints import Endpoint, Reply
from tests.support.git_prompts import PromptRepo, prompt

CASES = 120
REFUNDS = 6
"""Every sixth question is about refunds."""
_RULE = re.compile(r"Wrong: (?:(\w+) )?every (\d+)")
_POLICY = """\
app: shop
eval:
  golden_set: golden.jsonl
  repeats: 1
  maximum_repeats: 1
  tolerance: 5 points
  segments: [refunds]
"""
_VARIANTS = """\
stable: current
variants:
  current: {{prompt: support@{version}, model: steady}}
"""


def tag_of(number: int) -> str:
    """What a question is about."""
    return "refunds" if number % REFUNDS == 0 else "orders"


def golden_set(numbers: range | list[int] = range(CASES)) -> str:
    """A golden set of numbered questions."""
    rows = [
        {"id": f"c{n}", "question": f"question {n}", "expected": f"answer {n}.", "tags": [tag_of(n)]} for n in numbers
    ]
    return "".join(orjson.dumps(row).decode() + "\n" for row in rows)


@dataclass
class Shop:
    """The repository on its branch `main`, and the endpoint that its model is asked at."""

    repo: PromptRepo
    endpoint: Endpoint

    @classmethod
    def make(cls, path: Path, endpoint: Endpoint) -> "Shop":
        """The repository with its first commit, in which every tenth answer is wrong."""
        shop = cls(PromptRepo.make(path), endpoint)
        endpoint.by_request = answer_as("steady-1")
        shop.write("softlaunch.yaml", _POLICY)
        shop.write("golden.jsonl", golden_set())
        models = f"- {{name: steady, provider: test, model: steady, endpoint: '{endpoint.url}'{_PRICES}}}\n"
        shop.write("models.yaml", models)
        shop.write_prompt("1.0.0", "Wrong: every 10")
        shop.repo.commit("The shop's bot")
        return shop

    @property
    def path(self) -> Path:
        """The checkout."""
        return self.repo.path

    def write(self, name: str, text: str | None) -> None:
        """Write and stage one of the app's files."""
        self.repo.write_file(f"apps/shop/{name}", text)

    def write_prompt(self, version: str, rule: str) -> None:
        """Write a version of the prompt, and make it that of the variant `current`."""
        self.write(f"prompts/support/v{version}.md", prompt(f"You help.\n{rule}", purpose=f"version {version}"))
        self.write("variants.yaml", _VARIANTS.format(version=version))

    def branch(self, name: str) -> None:
        """Begin a branch at `main`."""
        self.repo.git("switch", "--quiet", "--force", "main")
        self.repo.branch(name.replace(" ", "-").replace(",", ""))


_PRICES = ", input_usd_per_million: 1, output_usd_per_million: 10"


def answer_as(model: str, delay: float = 0.0) -> Any:
    """How the scripted model answers, under the name that it says in its answers."""

    def answer(body: Mapping[str, Any]) -> Reply:
        messages = body["messages"]
        asked = messages[-1]["content"].split()[-1]
        if not asked.isdigit():  # `apply` says hello
            return Reply("hello", resolved_model=model)
        number = int(asked)
        right = not any(_is_wrong(rule, number) for rule in _RULE.finditer(messages[0]["content"]))
        return Reply(f"answer {number}." if right else "I don't know", resolved_model=model, delay=delay)

    return answer


def _is_wrong(rule: re.Match[str], number: int) -> bool:
    concerned = rule[1] is None or tag_of(number) == rule[1]
    return concerned and (number // REFUNDS if rule[1] else number) % int(rule[2]) == 0
