"""OpenFeature and OpenTelemetry together: spans of model calls say by which evaluation they were made.

    spans = EvaluatedSpans()
    provider.add_span_processor(spans)  # OpenTelemetry's
    api.add_hooks([spans])  # OpenFeature's

From then on an evaluation by a config server holds for the span in which it is made, and for what begins below that
span afterwards, in whichever task or thread. softlaunch's receiver needs no more: nothing is written by hand for each
call.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from openfeature.flag_evaluation import FlagEvaluationDetails, FlagType
from openfeature.hook import Hook, HookContext, HookHints
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

__all__ = ["Calls", "EvaluatedSpans", "calls_by"]

_LOGGER = logging.getLogger(__name__)
_APP = "softlaunch.app"
_NAMES: Mapping[str, str] = {
    "app": _APP,
    "arm": "softlaunch.arm",
    "contextId": "softlaunch.unit",
    "digest": "softlaunch.variant",
    "revision": "softlaunch.revision",
    "weightPercent": "softlaunch.weight_percent",
}
"""What a config server's metadata have of every value, and what spans call it."""
_CALLS = context.create_key("softlaunch.calls")

Attributes = Mapping[str, AttributeValue]


@dataclass(slots=True)
class Calls:
    """The calls of a block: what their spans say, and the ids of the first of these spans, once it has begun."""

    attributes: Attributes
    ids: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    """What spans say, by app, empty of one that fell back on its default; evaluated in a span itself, or above it."""

    told: Mapping[str, Attributes]
    is_own: bool

    @property
    def attributes(self) -> Attributes:
        """What is told of the only app; empty of several."""
        return next(iter(self.told.values())) if len(self.told) == 1 else {}


class EvaluatedSpans(Hook, SpanProcessor):
    """Puts what an evaluation told onto the spans of its calls: app, unit, variant, arm, weight and revision.

    Where two apps are evaluated in one span, nobody knows which of them a call belongs to: it is told by `calls_by`, or
    each is evaluated in a span of its own. Where a value falls back on the application's default, spans say nothing.
    """

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Span, _Known] = WeakKeyDictionary()
        self._lock = Lock()
        self._warned = False

    def finally_after(
        self,
        hook_context: HookContext,
        details: FlagEvaluationDetails[Any],
        hints: HookHints,  # noqa: ARG002
    ) -> None:
        """An evaluation was made: it holds from here on, in the place of an earlier one of the same app."""
        span = trace.get_current_span()
        told = _attributes(details)
        if not told and not (details.error_code and hook_context.flag_type is FlagType.OBJECT):
            return  # a flag of something else
        if not span.is_recording():
            if not span.get_span_context().is_valid:
                self._warn(details.flag_key)
            return
        with self._lock:
            before = self._known.get(span)
            others = before.told if before is not None and before.is_own else {}
            known = self._known[span] = _Known({**others, details.flag_key: told}, is_own=True)
        span.set_attributes(known.attributes or {_APP: ""})  # what was said of others can't be taken back

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """A span begins: it belongs to the block that it is in, or else to what its parent knows."""
        calls = context.get_value(_CALLS, parent_context)
        if isinstance(calls, Calls):
            calls.ids = calls.ids or _ids(span)
            span.set_attributes(calls.attributes)
            return
        with self._lock:
            known = self._known.get(trace.get_current_span(parent_context))
            if known is None:
                return
            self._known[span] = _Known(known.told, is_own=False)
        span.set_attributes(known.attributes)

    def _warn(self, app: str) -> None:
        if not self._warned:
            self._warned = True
            _LOGGER.warning(
                "%s was evaluated outside of any span, so spans of its calls say nothing: begin a span around the "
                "evaluation and its calls, or put the calls into a block of `calls_by`",
                app,
            )


@contextmanager
def calls_by(details: FlagEvaluationDetails[Any], copy: str = "", of: Calls | None = None) -> Iterator[Calls]:
    """A block whose spans belong to this evaluation, whatever else is evaluated around it or in it.

    It is for a value that was kept, for calls in no other span, and for one of several apps. A `copy` (`control`,
    `shadow`) is `of` a user's call, which was the first span in a block of its own.
    """
    told = _attributes(details)
    if told and copy:
        if of is None or not of.ids:
            raise ValueError("a copy is of a call: give the block of the user's call, once that call was made")
        own = {name: value for name, value in told.items() if name != _NAMES["digest"]}
        told = {**own, _NAMES["arm"]: copy, "softlaunch.copy_of": of.ids}
    calls = Calls(told)
    token = context.attach(context.set_value(_CALLS, calls))
    try:
        yield calls
    finally:
        context.detach(token)


def _attributes(details: FlagEvaluationDetails[Any]) -> Attributes:
    """What spans say of an evaluation; empty where it fell back on a default, or is none of a config server's."""
    metadata = details.flag_metadata
    if details.error_code is not None or not _NAMES.keys() <= metadata.keys():
        return {}
    said: dict[str, AttributeValue] = {name: metadata[key] for key, name in _NAMES.items()}
    if "releaseId" in metadata:
        said["softlaunch.release"] = metadata["releaseId"]
    return said


def _ids(span: Span) -> str:
    ids = span.get_span_context()
    return f"{ids.trace_id:032x}-{ids.span_id:016x}"
