"""What differs between two variants, or two versions of parameters: texts by words, JSON by its keys. Pure."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import orjson

from softlaunch.catalog.prompt_changes import PartDiff, diff_prompts
from softlaunch.core.json_values import Json
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import ModelVersion, Variant
from softlaunch.core.word_diff import diff_words


def diff_variants(before: Variant, after: Variant) -> tuple[PartDiff, ...]:
    """The parts that differ: prompt, model, sampling, parameters and fallbacks, in this order."""
    named = (", ".join(model.name for model in variant.fallbacks) for variant in (before, after))
    found = (
        PartDiff("prompt", diff_words(before.prompt.label, after.prompt.label)),
        *diff_prompts(before.prompt, after.prompt),
        *diff_models(before.model, after.model),
        *_by_key("sampling", before.sampling.parameters, after.sampling.parameters),
        *diff_parameters(before.parameters, after.parameters),
        PartDiff("fallbacks", diff_words(*named)),
    )
    return tuple(part for part in found if part.changed)


def diff_models(before: ModelVersion, after: ModelVersion) -> tuple[PartDiff, ...]:
    """The keys that differ between two models."""
    return tuple(part for part in _by_key("model", shown_model(before), shown_model(after)) if part.changed)


def diff_parameters(before: Parameters | None, after: Parameters | None) -> tuple[PartDiff, ...]:
    """The parts that differ between two versions of parameters; either may be missing."""
    labels = diff_words(*("" if one is None else one.label for one in (before, after)))
    parts = [PartDiff("parameters", labels), *_by_key("parameters", _content(before), _content(after))]
    return tuple(part for part in parts if part.changed)


def shown_model(model: ModelVersion) -> dict[str, Json]:
    """A model's content for people: its endpoint without credentials and queries that may be in it."""
    parts = urlsplit(model.endpoint)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return {**model.model_dump(mode="json", exclude_none=True), "endpoint": shown}


def shown_parameters(parameters: Parameters) -> Mapping[str, Json]:
    """A version's content by key, tools by their names; without its own name and version."""
    content = parameters.model_dump(mode="json", exclude={"name", "version", "tools"})
    tools = {f"tools.{tool.get('name') or tool.get('type')}": tool for tool in parameters.tools}
    return {**tools, **content}


def _content(parameters: Parameters | None) -> Mapping[str, Json]:
    return {} if parameters is None else shown_parameters(parameters)


def _by_key(part: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[PartDiff]:
    """A part for each key that either side has, with its value as text."""
    for key in dict.fromkeys([*before, *after]):
        yield PartDiff(f"{part}: {key}", diff_words(written(before.get(key)), written(after.get(key))))


def written(value: Json, *, on_lines: bool = True) -> str:
    """A value for people: a text as it is, JSON on lines of its own or on one; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    indented = orjson.OPT_INDENT_2 if on_lines else 0
    return orjson.dumps(value, option=indented | orjson.OPT_SORT_KEYS).decode()
