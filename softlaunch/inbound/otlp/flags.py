"""Evaluations of feature flags that stand on the span of a model call, by OpenTelemetry's names for them.

OpenFeature's hooks write them. A flag is an app, its variant the digest, and whom it was evaluated for the unit. The
version is the revision of the route, where the set of flags is the one that config servers name.
"""

from collections.abc import Container, Iterator
from typing import Any

from softlaunch.gateway.configuration.evaluation import FLAG_SET
from softlaunch.inbound.otlp.attributes import Attributes, Value, read_attributes, text_of
from softlaunch.inbound.otlp.names import APP, ARM, REVISION, UNIT, VARIANT, WEIGHT

KEY = "feature_flag.key"
_VARIANT = ("feature_flag.result.variant", "feature_flag.variant")
_CONTEXT, _SET, _VERSION = "feature_flag.context.id", "feature_flag.set.id", "feature_flag.version"
_REASON = ("feature_flag.result.reason", "feature_flag.evaluation.reason")
NAMES = frozenset({KEY, *_VARIANT, _CONTEXT, _SET, _VERSION, *_REASON})
_EVENTS = frozenset({"feature_flag.evaluation", "feature_flag"})
_MOST_EVENTS = 256
_FELL_BACK = "error"
_NO_SPLIT = "static"


def own_of_flags(span: Any, found: Attributes, own: Attributes, apps: Container[str]) -> Attributes:
    """What flags say of a span in our own words, empty where they leave it open.

    Of each flag the last evaluation counts. It must be of the app that `own` names, or else the only one of an app that
    is known. Nothing is taken from flags where `own` says who or which arm.
    """
    if any(text_of(own, name) for name in (UNIT, ARM, VARIANT)):
        return {}
    named = text_of(own, APP)
    last = {text_of(one, KEY): one for one in _evaluated(span, found)}
    said = [_own(one) for app, one in last.items() if (app == named if named else app in apps)]
    return said[0] if len(said) == 1 and VARIANT in said[0] else {}


def _evaluated(span: Any, found: Attributes) -> Iterator[Attributes]:
    if KEY in found:
        yield found
    for event in span.events[:_MOST_EVENTS]:
        if event.name in _EVENTS:
            yield read_attributes(event.attributes, NAMES)


def _own(flag: Attributes) -> Attributes:
    """One evaluation in our words; without a variant where the application fell back on its default."""
    reason, variant = text_of(flag, *_REASON).lower(), text_of(flag, *_VARIANT)
    said: dict[str, Value] = {APP: text_of(flag, KEY), UNIT: text_of(flag, _CONTEXT)}
    if variant and reason != _FELL_BACK:
        said[VARIANT] = variant
    if reason == _NO_SPLIT:
        said[WEIGHT] = 0.0
    if text_of(flag, _SET) == FLAG_SET and text_of(flag, _VERSION):
        said[REVISION] = text_of(flag, _VERSION)
    return said
