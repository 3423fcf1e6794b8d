"""Recordings: real answers of real models, replayed with their real latencies."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from softlaunch.core.documents import LONGEST_RECORDING, DocumentError, decode, parse_json, read_bytes, table_rows
from softlaunch.core.errors import SoftlaunchError
from softlaunch.simulator.cases import key_of
from softlaunch.simulator.models import Answer, Ask, Refusal, estimated_tokens

COLUMNS = ("model", "question", "answer", "latency", "first_token", "input_tokens", "output_tokens", "cost")
"""The columns that a recording can have. Latency and first_token are in seconds, cost is in USD a call."""
_REQUIRED = ("model", "question", "answer", "latency")
_FIRST_TOKEN_SHARE = 0.25


class RecordingError(SoftlaunchError):
    """A recording that can't be replayed; the message names file, row and column."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, to work out token counts that a recording gives only as cost."""

    input_usd_per_million: float
    output_usd_per_million: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded call; times in seconds."""

    text: str
    latency_s: float
    first_token_s: float
    input_tokens: int
    output_tokens: int


@dataclass(slots=True)
class RecordedModel:
    """A model's recorded calls; several to one question are served in turn."""

    name: str
    calls: dict[str, list[Recorded]] = field(default_factory=dict)
    _served: Counter[str] = field(default_factory=Counter)

    @property
    def resolved_model(self) -> str:
        """The id it was recorded under, without the provider's prefix."""
        return self.name

    def respond(self, ask: Ask, arrival_rps: float) -> Answer | Refusal:  # noqa: ARG002  (a recording has no load)
        """The next recorded answer to the question, or a refusal with status 404."""
        key = key_of(ask.question)
        calls = self.calls.get(key)
        if not calls:
            message = (
                f"the recording of {self.name} has no answer to {ask.question[:80]!r}; it holds {len(self.calls)} "
                "questions, compared by the text of the last user message"
            )
            return Refusal(404, message, "question_not_recorded")
        call = calls[self._served[key] % len(calls)]
        self._served[key] += 1
        return Answer(call.text, call.input_tokens, call.output_tokens, call.latency_s, call.first_token_s)


def read_recording(
    path: Path, columns: Mapping[str, str] | None = None, prices: Mapping[str, Price] | None = None
) -> dict[str, RecordedModel]:
    """Models by the last part of their recorded id: `openaichat/gpt-4-0314` is replayed as `gpt-4-0314`.

    The file is CSV or JSON lines, plain or gzipped. `columns` maps our column names to the file's, `prices` gives
    prices by model. Token counts come from their columns; failing that from the cost and the price, where both are
    known and the other count is there or can be estimated; failing that from the texts, at four characters a token.
    """
    names = _checked(columns or {})
    models: dict[str, RecordedModel] = {}
    try:
        for number, row in _rows(path):
            cells = _Cells(path, number, row, names)
            model = str(cells.text("model")).rsplit("/", 1)[-1]
            call = _call(cells, (prices or {}).get(model))
            recorded = models.setdefault(model, RecordedModel(model))
            recorded.calls.setdefault(key_of(cells.text("question")), []).append(call)
    except DocumentError as error:
        raise RecordingError(f"{error}; give CSV or JSON lines") from error
    if not models:
        raise RecordingError(f"{path} holds no calls; a recording has one row a call with {', '.join(_REQUIRED)}")
    return models


def _checked(columns: Mapping[str, str]) -> dict[str, str]:
    for name in columns:
        if name not in COLUMNS:
            raise RecordingError(f"--map {name}=...: there is no column {name!r}; known are {', '.join(COLUMNS)}")
    return {name: columns.get(name, name) for name in COLUMNS}


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    text = decode(path, read_bytes(path, LONGEST_RECORDING))
    if ".csv" in {suffix.lower() for suffix in path.suffixes}:
        return enumerate((row for _, row in table_rows(path, text)), start=1)
    return enumerate(_json_rows(path, text), start=1)


def _json_rows(path: Path, text: str) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = parse_json(line, lenient=True)
            except ValueError as error:
                raise RecordingError(f"{path}, line {number}: no valid JSON ({error})") from error
            if not isinstance(row, dict):
                raise RecordingError(
                    f"{path}, line {number}: found {line[:60]!r}, expected a JSON object, a call a line"
                )
            yield row


@dataclass(frozen=True, slots=True)
class _Cells:
    path: Path
    number: int
    row: Mapping[str, Any]
    names: Mapping[str, str]

    def text(self, column: str) -> str:
        value = self.row.get(self.names[column])
        if value is None:
            raise RecordingError(
                f"{self.path}, row {self.number}: no column {self.names[column]!r}; the file has "
                f"{', '.join(str(name) for name in self.row)}. Name yours with --map {column}=..."
            )
        return str(value)

    def number_in(self, column: str) -> float | None:
        value = self.row.get(self.names[column])
        if value is None or value == "":
            return None
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise RecordingError(
                f"{self.path}, row {self.number}: {self.names[column]} is {str(value)[:80]!r}, expected a number"
            )
        return number


def _call(cells: _Cells, price: Price | None) -> Recorded:
    text = cells.text("answer")
    cells.text("latency")  # says that the column is missing where it is
    latency_s = cells.number_in("latency")
    if latency_s is None or not 0 <= latency_s < float("inf"):
        raise RecordingError(f"{cells.path}, row {cells.number}: latency must be seconds, 0 or more")
    first_token_s = cells.number_in("first_token")
    input_tokens, output_tokens = _tokens(cells, text, price)
    return Recorded(
        text=text,
        latency_s=latency_s,
        first_token_s=min(latency_s, latency_s * _FIRST_TOKEN_SHARE if first_token_s is None else first_token_s),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )


def _tokens(cells: _Cells, text: str, price: Price | None) -> tuple[int, int]:
    """Input and output tokens, such that tokens times price is the recorded cost wherever that is known."""
    given_in, given_out, cost = (cells.number_in(column) for column in ("input_tokens", "output_tokens", "cost"))
    if cost is not None and price is not None:
        micro_usd = cost * 1e6
        if given_in is None and given_out is not None and price.input_usd_per_million:
            given_in = (micro_usd - given_out * price.output_usd_per_million) / price.input_usd_per_million
        elif given_out is None and price.output_usd_per_million:
            given_in = estimated_tokens(cells.text("question")) if given_in is None else given_in
            given_out = (micro_usd - given_in * price.input_usd_per_million) / price.output_usd_per_million
    input_tokens = estimated_tokens(cells.text("question")) if given_in is None else max(0, round(given_in))
    return input_tokens, estimated_tokens(text) if given_out is None else max(0, round(given_out))
