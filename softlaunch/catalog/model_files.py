"""Model versions and named variants as files: models.yaml and variants.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from softlaunch.catalog.aliases import RELEASED
from softlaunch.catalog.parameter_files import ParameterFile
from softlaunch.catalog.prompt_files import PromptFile
from softlaunch.core.content import Name
from softlaunch.core.documents import Document, DocumentError, KeyedError, Problem, failure, parse, read_text
from softlaunch.core.documents.check import check
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import MOST_FALLBACKS, ModelVersion, PromptVersion, Sampling, Variant

_NO_PARAMETERS = "none yet; write them as parameters/<name>/v1.0.0.yaml"


class ModelFileError(DocumentError):
    """A models.yaml or variants.yaml that can't be used; the message names file, line and key."""


class VariantEntry(BaseModel):
    """One named variant as written: a prompt version, a model version, and what it has besides, by reference.

    `parameters` is the `name@version` of a file below parameters/, `fallbacks` are names of further models.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    model: str
    sampling: Sampling = Sampling()
    parameters: str | None = None
    fallbacks: Annotated[tuple[str, ...], Field(max_length=MOST_FALLBACKS)] = ()

    @model_validator(mode="after")
    def _models_differ(self) -> Self:
        for position, name in enumerate(self.fallbacks):
            if name in (self.model, *self.fallbacks[:position]):
                raise KeyedError("this model is asked before already; leave it out", "fallbacks", position)
        return self


class VariantsFile(BaseModel):
    """What variants.yaml says: the named variants, and which of them serves at first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stable: Name
    variants: Annotated[Mapping[Name, VariantEntry], Field(min_length=1)]


def load_models(path: Path) -> tuple[ModelVersion, ...]:
    """The model versions in a file, in its order. Raises ModelFileError."""
    try:
        document = parse(path, read_text(path))
        models = check(document, tuple[ModelVersion, ...])
        first: dict[str, int] = {}
        for position, model in enumerate(models):
            if first.setdefault(model.name, position) != position:
                problem = (
                    f"{model.name!r} is on line {document.line((first[model.name], 'name'))} already; names are unique"
                )
                raise failure(path, [Problem(document.line((position, "name")), f"[{position}].name", problem)])
    except DocumentError as error:
        raise ModelFileError(str(error)) from error
    return models


def load_variants(
    path: Path,
    prompts: tuple[PromptFile, ...],
    models: tuple[ModelVersion, ...],
    parameters: tuple[ParameterFile, ...] = (),
) -> tuple[str, dict[str, Variant]]:
    """The name of the variant that serves at first, and all named variants. Raises ModelFileError."""
    known = _Parts(
        {one.prompt.label: one.prompt for one in prompts},
        {model.name: model for model in models},
        {one.parameters.label: one.parameters for one in parameters},
    )
    try:
        document = parse(path, read_text(path))
        file = check(document, VariantsFile)
        problems = [
            *_unknown(document, file, "prompt", list(known.prompts)),
            *_unknown(document, file, "model", list(known.models)),
            *_unknown(document, file, "parameters", list(known.parameters)),
            *_unknown_fallbacks(document, file, list(known.models)),
            *_misnamed(document, file),
        ]
        if problems:
            raise failure(path, problems)
    except DocumentError as error:
        raise ModelFileError(str(error)) from error
    return file.stable, {name: known.variant(entry) for name, entry in file.variants.items()}


@dataclass(frozen=True, slots=True)
class _Parts:
    """What variants are put together from, by the names that entries refer to."""

    prompts: Mapping[str, PromptVersion]
    models: Mapping[str, ModelVersion]
    parameters: Mapping[str, Parameters]

    def variant(self, entry: VariantEntry) -> Variant:
        return Variant(
            prompt=self.prompts[entry.prompt],
            model=self.models[entry.model],
            sampling=entry.sampling,
            parameters=None if entry.parameters is None else self.parameters[entry.parameters],
            fallbacks=tuple(self.models[name] for name in entry.fallbacks),
        )


def _unknown(document: Document, file: VariantsFile, key: str, known: list[str]) -> list[Problem]:
    return [
        Problem(
            document.line(("variants", name, key)),
            f"variants.{name}.{key}",
            f"found {found!r}, expected one of: {', '.join(sorted(known)) or _NO_PARAMETERS}",
        )
        for name, entry in file.variants.items()
        if (found := getattr(entry, key)) is not None and found not in known
    ]


def _unknown_fallbacks(document: Document, file: VariantsFile, known: list[str]) -> list[Problem]:
    return [
        Problem(
            document.line(("variants", name, "fallbacks", position)),
            f"variants.{name}.fallbacks[{position}]",
            f"found {model!r}, expected one of: {', '.join(sorted(known))}",
        )
        for name, entry in file.variants.items()
        for position, model in enumerate(entry.fallbacks)
        if model not in known
    ]


def _misnamed(document: Document, file: VariantsFile) -> list[Problem]:
    problems = [
        Problem(document.line(("variants", name)), f"variants.{name}", "releases move this alias; use another name")
        for name in sorted(RELEASED & file.variants.keys())
    ]
    if file.stable not in file.variants:
        problem = f"found {file.stable!r}, expected one of the variants: {', '.join(file.variants)}"
        problems.append(Problem(document.line(("stable",)), "stable", problem))
    return problems
