"""Evals of every release, drift checks and an A/B test of every app, the prompts and the model of their variants."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from softlaunch.ab.analysis import Moment, analyse
from softlaunch.ab.document import to_json
from softlaunch.ab.samples import Arms, Sample
from softlaunch.core.live_metrics import Metric
from softlaunch.core.variant import Variant
from softlaunch.policy.ab import AbPolicy

CASES, REPEATS = 300, 3
CHECKS, WEEKS, AB_LOOKS = 24, 26, 200
LARGE_EVAL = "app-000-eval-1"
"""A run with so many cases and repeats; those of releases have ten answers each."""


def prompts(variants: Sequence[Variant], now: datetime) -> Iterator[dict[str, Any]]:
    """Each variant's prompt."""
    for variant in variants:
        prompt = variant.prompt
        names = {"name": prompt.name, "version": prompt.version, "digest": prompt.digest}
        yield {**names, "content": prompt.model_dump(mode="json"), "source": "prompts", "recorded_at": now}


def model(variant: Variant, now: datetime) -> dict[str, Any]:
    """The model that all variants have."""
    of = variant.model
    return {"name": of.name, "digest": of.digest, "content": of.model_dump(mode="json"), "recorded_at": now}


def run(run_id: str, app: str, release_id: str | None, arms: tuple[Variant, Variant], now: datetime) -> dict[str, Any]:
    """An eval of both variants."""
    digests = {"suite_digest": "0" * 64, "stable_digest": arms[0].digest, "candidate_digest": arms[1].digest}
    return {"id": run_id, "app": app, "release_id": release_id, "started_at": now, **digests}


def answers(run_id: str, arms: tuple[Variant, Variant], cases: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Every answer of a run; the candidate loses one case of twenty."""
    for case in range(cases):
        for repeat in range(repeats):
            for arm, variant in zip(("stable", "candidate"), arms, strict=True):
                right = arm == "stable" or case % 20 > 0
                key = {"run_id": run_id, "arm": arm, "case_id": f"q{case}", "repeat": repeat}
                said = {
                    "answer": f"The answer is {'yes' if right else 'no'}. " * 20,
                    "scores": {"accuracy": float(right)},
                }
                used = {"latency_ms": 800.0, "cost_usd": 0.0004}
                yield {**key, "variant_digest": variant.digest, "status": "scored", **said, **used}


def checks(app: str, variant: Variant, now: datetime) -> Iterator[dict[str, Any]]:
    """Two years of monthly checks, each with half a year of weeks."""
    for number in range(1, CHECKS + 1):
        at = now - timedelta(days=30 * (CHECKS - number))
        yield {
            "id": f"{app}-drift-{number}",
            "app": app,
            "number": number,
            "kind": "check",
            "state": "done",
            "variant_digest": variant.digest,
            "suite_digest": "0" * 64,
            "opened_at": at,
            "opened_by": "prompt-drift",
            "ended_at": at,
            "summary": "accuracy as it was",
            "report": _report(at.timestamp()),
        }


def _report(at: float) -> dict[str, Any]:
    change = {"difference": -0.01, "low": -0.03, "high": 0.01, "muted": None, "finding": "none", "cases": CASES}
    kinds = {"accuracy": "quality", "answered": "answered", "length": "amount", "latency": "amount", "cost": "amount"}
    metrics = [{"metric": name, "kind": kind, "then": 0.9, "now": 0.89, **change} for name, kind in kinds.items()]
    begins = [at - 7 * 86400.0 * ago for ago in range(WEEKS, 0, -1)]
    weeks = [{"begins_at": one, "mean": 0.8, "low": 0.77, "high": 0.83, "units": 300} for one in begins]
    trends = [{"metric": name, "weeks": weeks, "change": None} for name in ("satisfaction", "quality")]
    told = {"drifted": False, "clear": True, "cause": "none", "step": "nothing", "remarks": []}
    return {**told, "metrics": metrics, "trends": trends}


def looks(trial_id: str, now: datetime, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """As many looks as a test has."""
    policy = AbPolicy(metrics=(Metric.SATISFACTION,))
    sides = [{Metric.SATISFACTION: Sample.of((rng.random(1000) < good).astype(np.float64))} for good in (0.8, 0.82)]
    found = to_json(analyse(Arms(sides[0], sides[1], (1000, 1000)), policy, Moment(1, 1, planned=False)))
    for number in range(AB_LOOKS):
        place = {"release_id": trial_id, "number": number, "planned_end": 0, "choice": "", "reason": ""}
        yield {**place, "analysis": found, "looked_at": now - timedelta(hours=AB_LOOKS - number)}
