"""A large ledger: 200 apps, 5,000 releases with all that belongs to them, 100,000 requests of the last day."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import insert
from sqlmodel import SQLModel

from benchmarks.console import evals
from benchmarks.console.judged import judged
from softlaunch.core.live_metrics import Metric
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Observations, Window
from softlaunch.ledger.routes import serving_to_json
from softlaunch.ledger.stages import figures
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage, plan
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.tables import (
    AbLookRow,
    AliasMoveRow,
    ApprovalRow,
    AppRow,
    DriftRunRow,
    EvalAnswerRow,
    EvalRunRow,
    FeedbackRow,
    GateLookRow,
    IncidentRow,
    ModelRow,
    PromptRow,
    ReleaseRow,
    RequestRow,
    RouteRow,
    StageRow,
    TransitionRow,
    VariantRow,
    VerdictRow,
    VoteRow,
)

Arms = tuple[Variant, Variant]
_AB_STAGE = {"weight_percent": 50.0, "state": "concluded", "entered_at": None, "ended_at": None, "evidence": {}}


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is: `looks` of each stage of an app's newest two releases; `live` apps are releasing.

    Of the requests 40 % are of one live release, `busy`.
    """

    apps: int = 200
    releases: int = 25
    requests: int = 100_000
    looks: int = 120
    live: int = 20
    answers: int = 500

    @property
    def busy(self) -> str:
        """The live release that most of the requests are of."""
        return f"app-000-{self.releases}"

    @property
    def busy_requests(self) -> int:
        """How many these are."""
        return 2 * self.requests // 5


def build(database: Database, now: datetime, size: Size = Size()) -> None:
    """Fill an empty ledger."""
    rng = np.random.default_rng(11)
    variants = [variant(number) for number in range(40)]
    _insert(database, VariantRow, (_variant_row(one, now) for one in variants))
    panels = {stage.position: _panel(_policy("app-000"), stage, rng) for stage in plan(_policy("app-000"))}
    for app in range(size.apps):
        _build_app(database, f"app-{app:03}", variants, panels, (now, size))
    _insert(database, PromptRow, evals.prompts(variants, now))
    _insert(database, ModelRow, [evals.model(variants[0], now)])
    _insert(database, EvalRunRow, [evals.run(evals.LARGE_EVAL, "app-000", None, (variants[0], variants[1]), now)])
    large = evals.answers(evals.LARGE_EVAL, (variants[0], variants[1]), evals.CASES, evals.REPEATS)
    _insert(database, EvalAnswerRow, large)
    _insert(database, RequestRow, _requests(variants, now, rng, size), 5000)
    _insert(database, FeedbackRow, _feedback(now, rng, size), 5000)
    for table, rows in judged(size.busy, now, size.answers, (variants[0].digest, variants[1].digest)).items():
        _insert(database, table, rows)


def _build_app(
    database: Database,
    app: str,
    variants: Sequence[Variant],
    panels: Mapping[int, Any],
    told: tuple[datetime, Size],
) -> None:
    (now, size), number = told, int(app[4:])
    content = _policy(app).model_dump(mode="json")
    live = number < size.live
    stable, candidate = variants[number % 40], variants[(number + 1) % 40]
    app_row = {"name": app, "policy": content, "policy_path": f"/srv/{app}/softlaunch.yaml", "salt": "salt"}
    _insert(database, AppRow, [{**app_row, "recorded_at": now}])
    releases = [f"{app}-{one}" for one in range(1, size.releases + 1)]
    route: dict[str, Any] = {"app": app, "revision": 1, "stable_digest": stable.digest, "changed_at": now}
    split = {"weight_percent": 10.0, "release_id": releases[-1], "stage": 2, "candidate_digest": candidate.digest}
    held = {"fence": 1, "beat": 1, "lease_seconds": 10.0, "shadow_percent": 0.0, "control_percent": 0.0}
    nothing = {"weight_percent": 0.0, "release_id": None, "stage": 0, "candidate_digest": None}
    serving = serving_to_json(Serving(salt="salt"))
    _insert(database, RouteRow, [{**route, **held, **(split if live else nothing), "serving": serving}])
    rows: dict[type[SQLModel], list[dict[str, Any]]] = {}
    for place, release_id in enumerate(releases):
        opened = now - timedelta(days=size.releases - place)
        for table, row in _release(release_id, (stable, candidate), content, (opened, size), panels):
            rows.setdefault(table, []).append(row)
        if live and release_id == releases[-1]:
            rows[ReleaseRow][-1].update(live_app=app, state="canary", stage=2, ended_at=None, outcome="", reason="")
            asked = {"release_id": release_id, "position": 2, "question": "enter_stage", "text": "Start canary 50 %?"}
            when = {"state": "pending", "asked_at": now, "expires_at": now + timedelta(days=1)}
            rows.setdefault(ApprovalRow, []).append({**asked, **when})
        rows.setdefault(EvalRunRow, []).append(evals.run(release_id, app, release_id, (stable, candidate), opened))
        rows.setdefault(EvalAnswerRow, []).extend(evals.answers(release_id, (stable, candidate), 5, 1))
    rows[DriftRunRow] = list(evals.checks(app, stable, now))
    rows[ReleaseRow].append({**rows[ReleaseRow][0], "id": f"{app}-ab-99", "number": 99, "kind": "ab_test", "stage": 0})
    rows[ReleaseRow][-1].update(state="concluded", outcome="pass", reason="B is better: satisfaction +2 points")
    rows[StageRow].append({"release_id": f"{app}-ab-99", "position": 0, "kind": "ab_test", **_AB_STAGE})
    rows[AbLookRow] = list(evals.looks(f"{app}-ab-99", now, np.random.default_rng(number)))
    for table, found in rows.items():
        _insert(database, table, found)


def _release(
    release_id: str,
    arms: tuple[Variant, Variant],
    policy: Mapping[str, Any],
    told: tuple[datetime, Size],
    panels: Mapping[int, Any],
) -> Iterator[tuple[type[SQLModel], dict[str, Any]]]:
    opened, size = told
    app, _, number = release_id.rpartition("-")
    is_promoted = int(number) % 3 != 0
    state = "promoted" if is_promoted else "rolled_back"
    yield (
        ReleaseRow,
        {
            "id": release_id,
            "app": app,
            "number": int(number),
            "kind": "release",
            "live_app": None,
            "state": state,
            "stage": 4 if is_promoted else 3,
            "stable_digest": arms[0].digest,
            "candidate_digest": arms[1].digest,
            "policy": dict(policy),
            "policy_path": f"/srv/{app}/softlaunch.yaml",
            "revision": 6,
            "opened_at": opened,
            "opened_by": "anna",
            "opened_from": "console",
            "ended_at": opened + timedelta(hours=8),
            "outcome": "pass" if is_promoted else "fail",
            "reason": "every stage passed" if is_promoted else "latency: worse by 412 %",
        },
    )
    for position, (stage, panel, verdicts) in panels.items():
        entered = opened + timedelta(hours=position)
        place = {"release_id": release_id, "position": position}
        kind = {"kind": stage.kind.value, "weight_percent": stage.weight_percent, "state": "passed"}
        evidence = {"panel": panel, "requests": [900, 8100], "until": entered.timestamp()}
        yield (
            StageRow,
            {
                **place,
                **kind,
                "entered_at": entered,
                "ended_at": entered + timedelta(hours=1),
                "evidence": evidence if position else {"done": 720, "planned": 720},
            },
        )
        for verdict in verdicts:
            told = {"gate": str(verdict.gate), "role": verdict.role.value, "outcome": verdict.outcome.value}
            said = {"reason": verdict.reason, "figures": figures(verdict), "decided_at": entered}
            yield VerdictRow, {**place, **told, **said}
        yield TransitionRow, {**_moved(release_id, position, entered)}
        for look in range(size.looks if position and int(number) > size.releases - 2 else 0):
            held = {
                verdict.name: ["pass", True, 0.01, -0.1, 0.2, 0.1, 900.0, 880.0, 910.0, 870.0] for verdict in verdicts
            }
            yield GateLookRow, {**place, "looked_at": entered + timedelta(seconds=30 * look), "gates": held}
    moved = {"app": app, "alias": "production", "variant_digest": arms[0].digest, "release_id": release_id}
    yield AliasMoveRow, {**moved, "moved_at": opened, "moved_by": "anna (console)"}
    said = {"app": app, "release_id": release_id, "said": "approved", "person": "anna", "name": "anna"}
    told = {"origin": "console", "reason": "looked at it", "ruling": "decided", "told": "approved", "said_at": opened}
    yield VoteRow, {**said, **told}
    if not is_promoted:
        key = f"{release_id}:gate_latency"
        is_open = int(number) > size.releases - 3
        yield (
            IncidentRow,
            {
                "kind": "gate_latency",
                "app": app,
                "release_id": release_id,
                "dedup_key": key,
                "open_key": key if is_open else None,
                "severity": "page",
                "summary": "latency: worse by 412 %",
                "evidence": {},
                "opened_at": opened,
                "resolved_at": None if is_open else opened,
            },
        )


def _moved(release_id: str, position: int, at: datetime) -> dict[str, Any]:
    told = {"revision": position, "from_state": "canary", "to_state": "canary", "stage": position}
    return {"release_id": release_id, **told, "reason": "the stage before passed", "actor": "driver", "happened_at": at}


def _requests(
    variants: Sequence[Variant], now: datetime, rng: np.random.Generator, size: Size
) -> Iterator[dict[str, Any]]:
    seconds = np.sort(rng.uniform(0, 86_400, size.requests))[::-1]
    for number, ago in enumerate(seconds):
        busy = number >= size.requests - size.busy_requests
        app = 0 if busy else int(rng.integers(size.apps))
        candidate = busy and rng.random() < 0.1
        failed = rng.random() < 0.01
        yield {
            "request_id": f"request-{number}",
            "gateway_id": "gateway-1",
            "app": f"app-{app:03}",
            "release_id": size.busy if busy else None,
            "stage": 2 if busy else 0,
            "weight_percent": 10.0 if busy else 0.0,
            "arm": "candidate" if candidate else "stable",
            "variant_digest": variants[(app + candidate) % 40].digest,
            "unit": int(rng.integers(20_000)),
            "started_at": now.timestamp() - float(ago),
            "status": 503 if failed else 200,
            "outcome": "provider_failed" if failed else "answered",
            "latency_ms": float(800 * rng.lognormal(0, 0.4)),
            "cost_usd": 1e-5,
        }


def _feedback(now: datetime, rng: np.random.Generator, size: Size) -> Iterator[dict[str, Any]]:
    for number in range(0, size.requests, 10):
        said = {"satisfaction": float(rng.random() < 0.8), "kind": "thumbs"}
        at = now.timestamp() - 86_400 * (1 - number / size.requests)
        yield {"request_id": f"request-{number}", "app": f"app-{rng.integers(size.apps):03}", **said, "received_at": at}


def _panel(policy: Policy, stage: Stage, rng: np.random.Generator) -> tuple[Stage, Any, tuple[Any, ...]]:
    """A stage with what its gates have seen: 9,000 requests."""
    if not (stage.weight_percent or stage.shadow_percent):
        return stage, {}, ()
    gates = GateSet.begin(policy, stage)
    for _ in range(10):
        gates.update(Window(stage.candidate_share, _arm(90, rng), _arm(810, rng)))
    return stage, gates.dump(), gates.verdicts()


def _arm(count: int, rng: np.random.Generator) -> dict[Metric, Observations]:
    units = rng.integers(0, 2**62, count)
    return {
        Metric.ERRORS: Observations(units, (rng.random(count) < 0.01).astype(np.float64)),
        Metric.LATENCY: Observations(units, 800 * rng.lognormal(0, 0.4, count)),
        Metric.UNUSABLE: Observations(units, np.zeros(count)),
    }


def _policy(app: str) -> Policy:
    stages = [{"weight_percent": weight, "approval": weight == 50} for weight in (10, 50, 100)]
    gates = [{"metric": "errors", "margin": "20 points"}, {"metric": "latency", "margin": "50 %"}]
    return Policy.model_validate({"app": app, "eval": {"golden_set": "golden.jsonl"}, "stages": stages, "gates": gates})


def variant(number: int) -> Variant:
    """One of the variants, by its number."""
    message = PromptMessage(role="system", content=f"You help customers of shop {number}. " * 20)
    model = {"name": "steady", "provider": "rehearsal", "model": "steady", "endpoint": "http://127.0.0.1:9/v1"}
    prompt = PromptVersion(name="support", version=f"1.{number}.0", messages=(message,))
    return Variant(prompt=prompt, model=ModelVersion.model_validate(model))


def _variant_row(variant: Variant, now: datetime) -> dict[str, Any]:
    names = {"prompt_name": variant.prompt.name, "prompt_version": variant.prompt.version}
    content = variant.model_dump(mode="json")
    known = {"digest": variant.digest, "label": variant.label, "model_name": variant.model.name, "content": content}
    return {**known, **names, "recorded_at": now}


def _insert(database: Database, table: type[SQLModel], rows: Any, at_once: int = 1000) -> None:
    """Insert rows in pieces; columns that are left out take their tables' defaults."""
    with database.begin() as session:
        piece: list[dict[str, Any]] = []
        for row in rows:
            piece.append(row)
            if len(piece) == at_once:
                session.connection().execute(insert(table), piece)
                piece = []
        if piece:
            session.connection().execute(insert(table), piece)
