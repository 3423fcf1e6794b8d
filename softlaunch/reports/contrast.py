"""Stable and candidate side by side: the parts that a variant consists of, and what differs in them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from urllib.parse import urlsplit

from softlaunch.catalog.variant_changes import shown_parameters, written
from softlaunch.core.variant import PromptMessage, Variant

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_COMPARED_CHARACTERS = 20_000  # comparing words takes time in the square of their number


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text, and whether the other side has something else there."""

    text: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One part in both variants; an absent part has no pieces."""

    part: str
    stable: tuple[Piece, ...]
    candidate: tuple[Piece, ...]
    is_text: bool = False

    @property
    def differs(self) -> bool:
        """Whether the variants differ in this part."""
        return any(piece.differs for piece in (*self.stable, *self.candidate))


def contrast(stable: Variant, candidate: Variant) -> tuple[Row, ...]:
    """The prompt's messages, the model, sampling, parameters and fallback models of two variants, in this order.

    Endpoints are shown without credentials and queries that may be in them.
    """
    messages = zip_longest(stable.prompt.messages, candidate.prompt.messages)
    before, after = _settings(stable), _settings(candidate)
    former, latter = _parameters(stable), _parameters(candidate)
    return (
        _row("prompt", stable.prompt.label, candidate.prompt.label),
        *(_message_row(number, *pair) for number, pair in enumerate(messages, start=1)),
        *(_row(name, before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])),
        *(_text_row(name, former.get(name), latter.get(name)) for name in dict.fromkeys([*former, *latter])),
    )


def _message_row(number: int, stable: PromptMessage | None, candidate: PromptMessage | None) -> Row:
    roles = dict.fromkeys(message.role for message in (stable, candidate) if message is not None)
    before, after = (None if message is None else message.content for message in (stable, candidate))
    left, right = _differences(before, after) if len(roles) == 1 else _wholes(before, after, differs=True)
    return Row(f"message {number}: {' → '.join(roles)}", left, right, is_text=True)


def _settings(variant: Variant) -> Mapping[str, str]:
    """What else a variant consists of, by the name that people know it by; only what is set."""
    prompt, model = variant.prompt, variant.model
    prices = {"input price": model.input_usd_per_million, "output price": model.output_usd_per_million}
    return {
        **{f"default of {name}": value for name, value in sorted(prompt.defaults.items())},
        "model": model.name,
        "provider": model.provider,
        "model id": model.model,
        "endpoint": _without_secrets(model.endpoint),
        **{name: f"${price:g} per million tokens" for name, price in prices.items() if price is not None},
        **{name: str(value) for name, value in variant.sampling.model_dump(exclude_none=True).items()},
        **({} if variant.parameters is None else {"parameters": variant.parameters.label}),
        **{f"fallback {number}": model.name for number, model in enumerate(variant.fallbacks, start=1)},
    }


def _parameters(variant: Variant) -> Mapping[str, str]:
    """Each of the parameters as text, JSON on lines of its own."""
    if variant.parameters is None:
        return {}
    return {name: written(value) for name, value in shown_parameters(variant.parameters).items()}


def _text_row(part: str, stable: str | None, candidate: str | None) -> Row:
    return Row(part, *_differences(stable, candidate), is_text=True)


def _without_secrets(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _row(part: str, stable: str | None, candidate: str | None) -> Row:
    return Row(part, *_wholes(stable, candidate, differs=stable != candidate))


def _wholes(stable: str | None, candidate: str | None, *, differs: bool) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    left, right = (() if text is None else (Piece(text, differs),) for text in (stable, candidate))
    return left, right


def _differences(stable: str | None, candidate: str | None) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both texts in pieces, word by word; texts that are too long for that differ, or not, as a whole."""
    if stable is None or candidate is None or len(stable) + len(candidate) > _COMPARED_CHARACTERS:
        return _wholes(stable, candidate, differs=stable != candidate)
    before, after = _WORDS.findall(stable), _WORDS.findall(candidate)
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return (
        _pieces(before, [(start, end, tag != "equal") for tag, start, end, _, _ in steps]),
        _pieces(after, [(start, end, tag != "equal") for tag, _, _, start, end in steps]),
    )


def _pieces(words: Sequence[str], steps: Sequence[tuple[int, int, bool]]) -> tuple[Piece, ...]:
    return tuple(Piece("".join(words[start:end]), differs) for start, end, differs in steps if end > start)
