"""An app whose model is a real endpoint that a test can change under it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from softlaunch.catalog.records import record_variant
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.ledger.routes import serving_to_json
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, RouteRow
from tests.support.builders import APP, NOON, make_policy
from tests.support.endpoints import Endpoint, Reply, completion

CASES = 60
LATER = datetime(2026, 4, 1, 6, tzinfo=UTC)


@dataclass
class Model:
    """What stands behind the endpoint: who it says it is, how many questions in a hundred it gets right, its words."""

    name: str = "gpt-4-0314"
    fingerprint: str | None = "fp_one"
    right_percent: int = 90
    words: Callable[[str, int], str] = field(default=lambda question, before: f"The answer to {question} is known. ")

    def reply(self, model: str, question: str, before: int) -> Reply:
        """Right or wrong by the question alone, so that the same model is right where it was before."""
        right = int(hashlib.sha256(question.encode()).hexdigest(), 16) % 100 < self.right_percent
        text = f"{self.words(question, before)}{'yes' if right else 'no'}"
        body: dict[str, Any] = {
            **completion(Reply(text)),
            "model": self.name,
            "system_fingerprint": self.fingerprint,
        }
        return Reply(body=orjson.dumps(body))


def make_app(database: Database, endpoint: Endpoint, folder: Path, model_id: str = "gpt-4", **policy: Any) -> Variant:
    """The app, its golden set and what serves it."""
    cases = [{"id": f"c{number}", "question": f"Question {number}?", "expected": "yes"} for number in range(CASES)]
    (folder / "golden.jsonl").write_bytes(b"\n".join(orjson.dumps(case) for case in cases))
    made = make_policy(**policy).model_dump(mode="json")
    serving = variant_on(endpoint, model_id)
    with database.begin() as session:
        row = AppRow(name=APP, policy=made, policy_path=str(folder / "policy.yaml"), salt="salt", recorded_at=NOON)
        session.add(row)
        record_variant(session, serving, NOON)
        session.flush()
        route = serving_to_json(Serving(salt="salt"))
        session.add(RouteRow(app=APP, revision=1, stable_digest=serving.digest, serving=route, changed_at=NOON))
    return serving


def serve(database: Database, variant: Variant) -> None:
    """Let another variant serve the app, as if it had been released."""
    with database.begin() as session:
        record_variant(session, variant, NOON)
        session.flush()
        session.get_one(RouteRow, APP).stable_digest = variant.digest


def variant_on(endpoint: Endpoint, model_id: str, prompt: str = "1.0.0") -> Variant:
    """A variant whose model is at the endpoint."""
    message = PromptMessage(role="system", content="Say yes or no.")
    return Variant(
        prompt=PromptVersion(name="support", version=prompt, messages=(message,)),
        model=ModelVersion(name="smart", provider="test", model=model_id, endpoint=endpoint.url),
    )
