"""Which releases are refused for what the app's clients ask, and by which model the candidate would answer."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from softlaunch.ab.opening import TrialRequest, open_trial
from softlaunch.catalog.records import record_variant
from softlaunch.core.variant import Variant
from softlaunch.policy.model import Policy
from softlaunch.releases.apis import UnsuitedCandidateError
from softlaunch.releases.changes import Changes
from softlaunch.releases.opening import ReleaseRequest, check_request
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, RouteRow
from tests.support.builders import APP, NOON, STABLE, make_policy, make_variant, record_app, request_row

OTHER = make_variant(model="other")
NO_EVAL = {"eval": {"golden_set": None}}


def asking(
    database: Database,
    folder: Path,
    candidate: Variant,
    apis: Sequence[str | None],
    policy: Policy | None = None,
    stable: Variant = STABLE,
) -> ReleaseRequest:
    """An app with requests by these APIs, and what asks for a release of the candidate."""
    record_app(database, policy)
    case = {"id": "one", "messages": [{"role": "user", "content": "Hi"}], "expected": "Hello"}
    (folder / "golden.jsonl").write_text(json.dumps(case))
    with database.begin() as session:
        session.get_one(AppRow, APP).policy_path = str(folder / "softlaunch.yaml")
        for variant in (stable, candidate):
            record_variant(session, variant, NOON)
        session.flush()
        session.get_one(RouteRow, APP).stable_digest = stable.digest
        for number, api in enumerate(apis):
            session.add(request_row(request_id=f"{APP}-{number}", release_id=None, api=api))
    return ReleaseRequest(app=APP, changes=Changes(variant=candidate.digest))


def test_another_model_of_embeddings(database: Database, tmp_path: Path) -> None:
    """Is refused, with what to do, for a release and for an A/B test alike."""
    request = asking(database, tmp_path, OTHER, ["embeddings"], make_policy(**NO_EVAL))
    with pytest.raises(UnsuitedCandidateError, match=r"vectors of other don't mix with those of steady.*second index"):
        check_request(database, request, NOON)
    with pytest.raises(UnsuitedCandidateError, match="don't mix"):
        open_trial(database, TrialRequest(app=APP, changes=request.changes), 86400.0, NOON)


@pytest.mark.parametrize(
    ("candidate", "policy"),
    [
        pytest.param(
            OTHER, {"gateway": {"mixed_embeddings": True}}, id="where the policy says that the app takes them"
        ),
        pytest.param(make_variant(endpoint="http://127.0.0.1:8/v1"), {}, id="the same model at another endpoint"),
    ],
)
def test_embeddings_that_may_be_released(
    database: Database, tmp_path: Path, candidate: Variant, policy: dict[str, Any]
) -> None:
    """Without an eval."""
    check_request(
        database, asking(database, tmp_path, candidate, ["embeddings"], make_policy(**NO_EVAL, **policy)), NOON
    )


def test_a_model_that_only_serves_embeddings_needs_no_traffic_to_be_known(database: Database, tmp_path: Path) -> None:
    """It says so itself."""
    stable, candidate = (make_variant(model=name, apis=["embeddings"]) for name in ("steady", "other"))
    request = asking(database, tmp_path, candidate, [], make_policy(**NO_EVAL), stable)
    with pytest.raises(UnsuitedCandidateError, match="don't mix"):
        check_request(database, request, NOON)


@pytest.mark.parametrize(
    ("apis", "policy", "message"),
    [
        pytest.param(["embeddings"], {}, "no golden set can judge; write 'golden_set: null'", id="vectors and an eval"),
        pytest.param(["embeddings", "chat"], NO_EVAL, "use the API chat; name a golden set", id="texts without one"),
        pytest.param([None], NO_EVAL, "use the API chat; name a golden set", id="texts of older gateways"),
        pytest.param(
            ["embeddings"],
            {
                **NO_EVAL,
                "texts": {"keep": True},
                "gates": [
                    {"metric": "errors", "margin": "5 points"},
                    {"metric": "agreement", "margin": "5 points", "role": "required"},
                ],
            },
            "the gate on agreement compares texts",
            id="vectors and a gate on texts",
        ),
    ],
)
def test_vectors_are_not_judged_as_texts(
    database: Database, tmp_path: Path, apis: list[str | None], policy: dict[str, Any], message: str
) -> None:
    """Nor texts released without an eval."""
    request = asking(database, tmp_path, make_variant("1.1.0", "Kindly."), apis, make_policy(**policy))
    with pytest.raises(UnsuitedCandidateError, match=message):
        check_request(database, request, NOON)


@pytest.mark.parametrize(
    ("serves", "apis", "message"),
    [
        pytest.param(["messages"], ["chat"], "use the API chat, which model steady doesn't serve", id="another API"),
        pytest.param(["chat"], ["responses"], "use the API responses", id="a newer one"),
        pytest.param(["chat"], ["chat", "chat"], "", id="the same"),
        pytest.param(["responses"], ["responses"], "evals ask for chat completions or Messages", id="none to evaluate"),
    ],
)
def test_a_candidate_must_serve_what_clients_use(
    database: Database, tmp_path: Path, serves: list[str], apis: list[str], message: str
) -> None:
    """Else its share of users would get errors."""
    request = asking(database, tmp_path, make_variant(apis=serves), apis)
    if not message:
        check_request(database, request, NOON)
        return
    with pytest.raises(UnsuitedCandidateError, match=message):
        check_request(database, request, NOON)
