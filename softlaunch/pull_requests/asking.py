"""Whether the models of a change may be asked here: keys that are missing, and keys that would go to a new place.

Whoever opens a pull request writes models.yaml. A key that the base sends to one host must not go to another one just
because a pull request says so: such a model isn't asked until the base has it, or somebody allows the host.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from softlaunch.core.endpoint import MissingKeyError, model_headers
from softlaunch.core.model_headers import FromEnvironment
from softlaunch.core.variant import ModelVersion, TemplateVariablesError, Variant
from softlaunch.evals.calls.speaking import api_of, body_of
from softlaunch.evals.suites.case import Case
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which keys may go where: pairs of variable and host that the base has, and hosts that somebody allows."""

    pairs: frozenset[tuple[str, str]]
    hosts: frozenset[str]

    @classmethod
    def by(cls, models: Iterable[ModelVersion], hosts: Collection[str]) -> "Allowed":
        """What the base's models have, and what the command line adds."""
        return cls(frozenset(pair for model in models for pair in _pairs(model)), frozenset(hosts))

    def objections(self, model: ModelVersion) -> Iterator[str]:
        """Keys of a model that may not go where it wants them."""
        for variable, host in _pairs(model):
            if (variable, host) not in self.pairs and host not in self.hosts:
                yield (
                    f"model {model.name} would send the key in {variable} to {host}, where the base sends it nowhere; "
                    f"merge models.yaml first, or allow it with --allow-host {host}"
                )


def why_not_asked(models: Iterable[ModelVersion], allowed: Allowed, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Why some of the models can't be asked here; nothing where all can."""
    return tuple(dict.fromkeys(reason for model in models for reason in _reasons(model, allowed, environment)))


def _reasons(model: ModelVersion, allowed: Allowed, environment: Mapping[str, str]) -> Iterator[str]:
    yield from allowed.objections(model)
    try:
        model_headers(model, environment, api_of(model))
    except MissingKeyError as error:
        yield str(error)


def _pairs(model: ModelVersion) -> Iterator[tuple[str, str]]:
    host = urlsplit(model.endpoint).netloc.rpartition("@")[2].lower()
    if model.api_key_env is not None:
        yield model.api_key_env, host
    yield from ((value.env, host) for value in model.headers.values() if isinstance(value, FromEnvironment))


def unanswerable(variant: Variant, cases: Iterable[Case]) -> str:
    """Why a variant can't be asked some of the cases, with the first of them; empty where it can be asked all."""
    failed: dict[str, list[str]] = {}
    for case in cases:
        try:
            body_of(variant, case.request)
        except (TemplateVariablesError, UnsuitableVariantError) as error:
            failed.setdefault(str(error), []).append(case.id)
    return "; ".join(
        f"{reason} ({len(ids):,} cases, such as {', '.join(ids[:_SHOWN])})" for reason, ids in failed.items()
    )


def unseen_by_evals(one: Variant, other: Variant) -> tuple[str, ...]:
    """What differs and no eval can see: models that are only asked when another one fails, and the app's settings."""
    settings = [{} if variant.parameters is None else variant.parameters.settings for variant in (one, other)]
    differing = {"fallback models": one.fallbacks != other.fallbacks, "settings": settings[0] != settings[1]}
    return tuple(name for name, differs in differing.items() if differs)


def _place(variant: Variant) -> dict[str, Any]:
    """Who is asked, and how, whatever it is called and costs."""
    content = variant.model.model_dump(mode="json")
    return {key: value for key, value in content.items() if key != "name" and not key.endswith("_per_million")}


def sends_the_same(one: Variant, other: Variant, cases: Iterable[Case]) -> bool:
    """Whether two variants send the same to the same place for every case, as after an edit of a prompt's purpose."""
    if (_place(one), dict(one.extra_headers)) != (_place(other), dict(other.extra_headers)):
        return False
    try:
        return all(body_of(one, case.request) == body_of(other, case.request) for case in cases)
    except (TemplateVariablesError, UnsuitableVariantError):
        return False
