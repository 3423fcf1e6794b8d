"""Whether a model has moved: it answers under the same id as another one than gave the answers that are reused. Pure.

An answer names the model that gave it, and sometimes a fingerprint. Providers serve several fingerprints at a time, so
one that wasn't seen before says nothing: a model has moved where today's answers share no identity with earlier ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from softlaunch.core.variant import ModelVersion, Variant
from softlaunch.evals.calls.answers import EvalAnswer

Asked = tuple[str, str]
"""A model as it is asked: endpoint and id."""
Identity = tuple[str, str]
"""What an answer says of who gave it: resolved model and fingerprint, either of which may be empty."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A model that answers as another one now. `reused` counts the answers of before that are no longer valid."""

    asked: Asked
    before: tuple[Identity, ...]
    now: tuple[Identity, ...]
    reused: int

    def __str__(self) -> str:
        """What happened and what was done, in words."""
        return (
            f"the model moved: {self.asked[1]} answers as {_named(self.now)} now, and as {_named(self.before)} when "
            f"{self.reused:,} answers were recorded; they were asked anew, so that both sides are of today's model"
        )


def asked_of(model: ModelVersion) -> Asked:
    """A model version as it is asked, whatever it is called here."""
    return model.endpoint, model.model


def identity_of(answer: EvalAnswer) -> Identity | None:
    """Who gave an answer, by its own word; None where it says nothing."""
    named = answer.resolved_model or "", answer.fingerprint or ""
    return named if any(named) else None


def moved_models(answers: Iterable[EvalAnswer], variants: Mapping[str, Variant]) -> tuple[Moved, ...]:
    """The models that have moved between the reused answers of a run and those that were given in it.

    variants: by digest.
    """
    seen: dict[Asked, dict[bool, list[Identity]]] = {}
    for answer in answers:
        variant, identity = variants.get(answer.variant_digest), identity_of(answer)
        if variant is not None and identity is not None:
            by_age = seen.setdefault(asked_of(variant.model), {True: [], False: []})
            by_age[answer.reused].append(identity)
    return tuple(
        Moved(asked, tuple(sorted({*old})), tuple(sorted({*fresh})), len(old))
        for asked, by_age in seen.items()
        if (old := by_age[True]) and (fresh := by_age[False]) and not {*old} & {*fresh}
    )


def _named(identities: tuple[Identity, ...]) -> str:
    shown = (f"{model} ({mark})" if model and mark else model or mark for model, mark in identities)
    return " or ".join(shown)
