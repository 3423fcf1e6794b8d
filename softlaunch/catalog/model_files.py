"""Model versions and named variants as files: models.yaml and variants.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from softlaunch.catalog.aliases import RELEASED
from softlaunch.catalog.prompt_files import PromptFile
from softlaunch.core.content import Name
from softlaunch.core.documents import Document, DocumentError, Problem, failure, parse, read_text
from softlaunch.core.documents.check import check
from softlaunch.core.variant import ModelVersion, Sampling, Variant


class ModelFileError(DocumentError):
    """A models.yaml or variants.yaml that can't be used; the message names file, line and key."""


class VariantEntry(BaseModel):
    """One named variant as written: references to a prompt version and a model version, and sampling parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    model: str
    sampling: Sampling = Sampling()


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
    path: Path, prompts: tuple[PromptFile, ...], models: tuple[ModelVersion, ...]
) -> tuple[str, dict[str, Variant]]:
    """The name of the variant that serves at first, and all named variants. Raises ModelFileError."""
    try:
        document = parse(path, read_text(path))
        file = check(document, VariantsFile)
        known_prompts = {one.prompt.label: one.prompt for one in prompts}
        known_models = {model.name: model for model in models}
        problems = [
            *_unknown(document, file, "prompt", list(known_prompts)),
            *_unknown(document, file, "model", list(known_models)),
            *_misnamed(document, file),
        ]
        if problems:
            raise failure(path, problems)
    except DocumentError as error:
        raise ModelFileError(str(error)) from error
    return file.stable, {
        name: Variant(prompt=known_prompts[entry.prompt], model=known_models[entry.model], sampling=entry.sampling)
        for name, entry in file.variants.items()
    }


def _unknown(document: Document, file: VariantsFile, key: str, known: list[str]) -> list[Problem]:
    return [
        Problem(
            document.line(("variants", name, key)),
            f"variants.{name}.{key}",
            f"found {getattr(entry, key)!r}, expected one of: {', '.join(sorted(known))}",
        )
        for name, entry in file.variants.items()
        if getattr(entry, key) not in known
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
