"""Whether a candidate can take what an app's clients ask: by which APIs, and, of embeddings, by which model."""

from pathlib import Path

from sqlmodel import Session

from softlaunch.core.api import Api
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.variant import ModelVersion, Variant, embeds_alike
from softlaunch.core.verdict import Role
from softlaunch.ledger.traffic_rate import read_apis
from softlaunch.policy.model import Policy

_EVALUATED = (Api.CHAT, Api.MESSAGES)
_ONLY_EMBEDDINGS = frozenset({Api.EMBEDDINGS})


class UnsuitedCandidateError(SoftlaunchError):
    """A candidate that can't take the app's traffic."""


def check_candidate(session: Session, policy: Policy, stable: Variant, candidate: Variant) -> None:
    """Raise UnsuitedCandidateError where the app's newest requests are of what the candidate can't serve.

    A request that stable answered must be one for the candidate, too. Vectors of two models don't mix, so that a
    candidate with another model of embeddings needs the policy's word that the app can take them.
    """
    asked = asked_apis(session, policy.app, stable)
    lacking = sorted(asked - candidate.model.served_apis)
    if lacking:
        raise UnsuitedCandidateError(
            f"clients of {policy.app} use the API {', '.join(lacking)}, which model {candidate.model.name} doesn't "
            f"serve (it serves {', '.join(sorted(candidate.model.served_apis))}); release a model that does, or list "
            "it under 'apis' in models.yaml if its endpoint does"
        )
    if Api.EMBEDDINGS in asked and not (embeds_alike(stable, candidate) or policy.gateway.mixed_embeddings):
        raise UnsuitedCandidateError(
            f"clients of {policy.app} ask for embeddings, and vectors of {candidate.model.model} don't mix with those "
            f"of {stable.model.model}: a search would compare what can't be compared. Create a second app with the "
            "new model, build a second index with it, and switch the application over once that is complete; or set "
            "gateway.mixed_embeddings if the application keeps the two apart"
        )


def check_evaluation(session: Session, policy: Policy, path: Path, stable: Variant, candidate: Variant) -> None:
    """Raise UnsuitedCandidateError where the policy's eval or its gates want texts, and there are none; or it leaves
    the eval out, and there are some.
    """
    asked = asked_apis(session, policy.app, stable)
    if policy.eval.golden_set is None:
        if asked - _ONLY_EMBEDDINGS and is_evaluated(stable.model) and is_evaluated(candidate.model):
            raise UnsuitedCandidateError(
                f"{path}: eval.golden_set: null is for an app of embeddings, and clients of {policy.app} use the API "
                f"{', '.join(sorted(asked - _ONLY_EMBEDDINGS))}; name a golden set"
            )
    elif asked == _ONLY_EMBEDDINGS:
        raise UnsuitedCandidateError(
            f"{path}: eval.golden_set: clients of {policy.app} ask for embeddings, which no golden set can judge; "
            "write 'golden_set: null'"
        )
    else:
        _check_evaluated(path, stable.model, candidate.model)
    comparing = [gate for gate in policy.gates if gate.metric.compares_copies and gate.role is Role.REQUIRED]
    if comparing and asked == _ONLY_EMBEDDINGS:
        raise UnsuitedCandidateError(
            f"{path}: the gate on {comparing[0].metric} compares texts and is required, and clients of {policy.app} "
            "ask for embeddings; leave it out"
        )


def check_probed(session: Session, policy: Policy, stable: Variant, candidate: Variant) -> None:
    """Raise UnsuitedCandidateError where the candidate of an emergency release can't be asked before users are."""
    if asked_apis(session, policy.app, stable) == _ONLY_EMBEDDINGS or not is_evaluated(candidate.model):
        raise UnsuitedCandidateError(
            f"an emergency release first asks its candidate for chat completions or Messages, and {policy.app} isn't "
            f"asked for these; go back to a version that served well ('softlaunch rollback {policy.app} --to ...')"
        )


def asked_apis(session: Session, app: str, stable: Variant) -> frozenset[Api]:
    """By which APIs an app is asked: its newest requests say so, or else the only one that its model serves."""
    return read_apis(session, app) or (stable.model.served_apis if len(stable.model.served_apis) == 1 else frozenset())


def is_evaluated(model: ModelVersion) -> bool:
    """Whether evals can ask a model."""
    return not model.served_apis.isdisjoint(_EVALUATED)


def _check_evaluated(path: Path, *models: ModelVersion) -> None:
    for model in models:
        if not is_evaluated(model):
            raise UnsuitedCandidateError(
                f"{path}: evals ask for chat completions or Messages, and model {model.name} serves only "
                f"{', '.join(sorted(model.served_apis))}; write 'golden_set: null' under 'eval' to release without one"
            )
