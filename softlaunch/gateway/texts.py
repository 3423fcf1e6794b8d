"""Texts of requests between the request path and the ledger: which are written, how many may wait, and redacted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from softlaunch.core.live_sampling import is_judged
from softlaunch.core.redaction import Rules
from softlaunch.gateway.calls import Answer
from softlaunch.gateway.choice import Choice
from softlaunch.gateway.redaction import Redaction, Withheld
from softlaunch.gateway.request_context import RequestContext, texts_of
from softlaunch.ledger.request_log import Record, RequestRecord, TextRecord
from softlaunch.policy.route import Arm, Route

_SHOWN = frozenset({Arm.STABLE, Arm.CANDIDATE})
_TOGETHER, _TOGETHER_SIZE = 64, 200_000


@dataclass(slots=True)
class WaitingText:
    """A text that is redacted before it is written; None once it was tried and must not be."""

    app: str
    record: TextRecord | None
    rules: Rules | None
    size: int

    @classmethod
    def of(cls, record: TextRecord, rules: Rules | None) -> "WaitingText":
        """One that nobody has looked at yet; without rules it is written as it is."""
        return cls(record.app, record, rules, record.size)


class Texts:
    """The texts that wait for the log's thread. `most_bytes` bounds them; what doesn't fit is counted as withheld."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self.redaction = Redaction()

    def admit(self, text: WaitingText, *, full: bool) -> bool:
        """Whether there is room for one more; it then counts as waiting."""
        if full or self._bytes + text.size > self._most_bytes:
            self.redaction.withhold(text.app, Withheld.FULL)
            return False
        self._bytes += text.size
        return True

    def written(self, text: WaitingText) -> None:
        """It waits no longer."""
        self._bytes -= text.size

    def ready(self, batch: Sequence[Record | WaitingText]) -> Iterator[Record]:
        """The records of a batch as they may be written; a batch that is tried again is not redacted again."""
        self.redaction.begin_batch()
        for piece in _pieces(one for one in batch if isinstance(one, WaitingText) and one.rules is not None):
            self._redact(piece)
        for one in batch:
            record = one.record if isinstance(one, WaitingText) else one
            if record is not None:
                yield record

    def _redact(self, piece: Sequence[WaitingText]) -> None:
        """Redact texts of one app and its rules."""
        first, records = piece[0], [one.record for one in piece if one.record is not None]
        many = [(record.question, record.answer, record.context or "") for record in records]
        redacted = self.redaction.apply_all(first.app, first.rules or Rules(), many)
        for one, record, texts in zip(piece, records, redacted, strict=True):
            one.record, one.rules = None, None
            if texts is not None:
                question, answer, besides = texts
                one.record = record._replace(question=question, answer=answer, context=besides or None)


def _pieces(waiting: Iterable[WaitingText]) -> Iterator[list[WaitingText]]:
    """Those that are redacted together: of one app and its rules, and not too many."""
    piece: list[WaitingText] = []
    for one in waiting:
        same = not piece or (piece[0].app, piece[0].rules) == (one.app, one.rules)
        if not same or len(piece) == _TOGETHER or sum(other.size for other in piece) > _TOGETHER_SIZE:
            yield piece
            piece = []
        piece.append(one)
    if piece:
        yield piece


def keeps_text(route: Route, choice: Choice, *, judged: bool = True) -> bool:
    """Whether the texts of a request on this arm are written: all are, none are, or those that are to be judged.

    `judged` is false for what no judge is asked about: requests of others than whom a stage is limited to.
    """
    keep = route.serving.texts.keep
    if isinstance(keep, bool):
        return keep
    percent = _judged_percent(route, choice.arm) if judged else 0.0
    return percent > 0 and is_judged(route.app, choice.unit, percent)


def _judged_percent(route: Route, arm: Arm) -> float:
    """The share of units whose answers on an arm are judged: those of users, the candidate's beside stable's.

    It is what `softlaunch.live.standing` says, as far as a route tells.
    """
    sample = route.serving.live_sample
    if sample is None or arm not in _SHOWN:
        return 0.0
    if arm is Arm.STABLE:
        return sample.afterwards if route.release_id is None else sample.stable
    return sample.candidate if 0 < route.weight_percent < 100 else 0.0


def text_of(context: RequestContext, answer: Answer, row: RequestRecord) -> WaitingText | None:
    """The texts of a request and its answer for the log; None where there is no answer in words."""
    texts = context.route.serving.texts
    if not (answer.given and context.request.protocol.has_texts):
        return None
    return WaitingText.of(texts_of(context, answer, row), None if texts.redact is None else texts.redact.rules)
