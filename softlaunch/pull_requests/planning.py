"""What a comparison would take, and what its golden set can show, before any call is made.

Costs are those of recorded answers where the ledger has some of the model; else of the request's length, at four
characters a token, and of the longest answer that the variant allows, or of a typical one. Both are said.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import orjson

from softlaunch.core.prices import cost_usd
from softlaunch.core.usage import Usage
from softlaunch.core.variant import TemplateVariablesError, Variant
from softlaunch.evals.calls.answers import EvalAnswer
from softlaunch.evals.calls.speaking import body_of
from softlaunch.evals.foresight import ASSUMED, Foresight, Variation
from softlaunch.evals.foresight_wording import in_words
from softlaunch.evals.suites.case import Case
from softlaunch.evals.suites.golden_set import Suite
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError
from softlaunch.policy.evals import EvalPolicy

_CHARACTERS_A_TOKEN = 4
_TYPICAL_TOKENS = 200
Recorded = Mapping[tuple[str, str, int], EvalAnswer]
"""Answers of the ledger by variant, case digest and repeat."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What comparing a pair on a golden set takes: calls at first, and at most where that is undecided.

    `reusable` of these are recorded already. `cost_usd` is of all that remain at most; None where a price is unknown.
    `basis` says what the cost rests on, `shows` what the golden set can show.
    """

    cases: int
    calls: int
    most_calls: int
    reusable: int
    cost_usd: float | None
    basis: str
    shows: str


def plan_comparison(
    pair: tuple[Variant, Variant], suite: Suite, policy: EvalPolicy, recorded: Recorded, variation: Variation = ASSUMED
) -> Plan:
    """What comparing two variants takes, and what it can show where answers vary so much."""
    calls = [(case.digest, repeat) for case in suite.cases for repeat in range(policy.maximum_repeats)]
    missing = [sum((variant.digest, *call) not in recorded for call in calls) for variant in pair]
    prices = [_price(variant, suite.cases, recorded) for variant in pair]
    costs = [None if usd is None else usd * count for (usd, _), count in zip(prices, missing, strict=True)]
    priced = [cost for cost in costs if cost is not None]
    return Plan(
        cases=len(suite.cases),
        calls=2 * len(suite.cases) * policy.repeats,
        most_calls=2 * len(calls),
        reusable=2 * len(calls) - sum(missing),
        cost_usd=sum(priced) if len(priced) == len(costs) else None,
        basis="; ".join(dict.fromkeys(basis for _, basis in prices)),
        shows=in_words(Foresight.of(suite.cases, policy, variation)),
    )


def _price(variant: Variant, cases: Sequence[Case], recorded: Recorded) -> tuple[float | None, str]:
    """USD of one typical answer, and where that is from."""
    own = [one.cost_usd for one in recorded.values() if one.variant_digest == variant.digest]
    paid = [cost for cost in own if cost is not None]
    if paid:
        return float(np.mean(paid)), f"{variant.label}: as {len(paid):,} recorded answers"
    limit = variant.sampling.max_tokens or variant.sampling.max_completion_tokens
    output = limit or _TYPICAL_TOKENS
    tokens = _mean(_tokens(variant, cases))
    return cost_usd(variant.model, Usage(tokens, output)), (
        f"{variant.label}: about {tokens:,} tokens in (by length) and {'at most ' if limit else ''}{output:,} out"
        f"{'' if limit else ' (assumed)'}"
    )


def _tokens(variant: Variant, cases: Iterable[Case]) -> Iterable[int]:
    for case in cases:
        try:
            yield ceil(len(orjson.dumps(body_of(variant, case.request))) / _CHARACTERS_A_TOKEN)
        except (TemplateVariablesError, UnsuitableVariantError):
            continue


def _mean(tokens: Iterable[int]) -> int:
    found = list(tokens)
    return max(1, round(float(np.mean(found)))) if found else 1
