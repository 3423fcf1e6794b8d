"""Asking endpoints for the usage of streams that clients didn't ask for, where endpoints take it."""

from typing import Any, assert_never

from softlaunch.core.request_outcome import GIVEN, RequestOutcome
from softlaunch.core.variant import ModelVersion, StreamUsage

_MOST_REMEMBERED = 1024


class UsageAsking:
    """What is known of endpoints: an unknown one is asked, and where it refuses, never again.

    Endpoints refuse an unknown field in many words, so that any refusal of a request counts as one of usage until a
    stream with it was answered once; one that names the field always does.
    """

    def __init__(self) -> None:
        self._takes: dict[tuple[str, str], bool] = {}

    def add_to(self, body: dict[str, Any], model: ModelVersion) -> bool:
        """Ask for usage, where it makes sense; true when it was added to what the client asked."""
        if body.get("stream") is not True:
            return False
        options = body.get("stream_options")
        asked = isinstance(options, dict) and "include_usage" in options
        if asked or not self._wanted(model):
            return False
        body["stream_options"] = {**(options or {}), "include_usage": True}
        return not options

    def may_be_refused(self, model: ModelVersion, outcome: RequestOutcome, body: bytes) -> bool:
        """Take note of an answer to a request that usage was added to; true when it should be asked again without."""
        if outcome in GIVEN:
            self._remember(model, takes=True)
            return False
        if outcome is not RequestOutcome.REQUEST_AT_FAULT or model.stream_usage is StreamUsage.ALWAYS:
            return False
        return b"stream_options" in body or b"include_usage" in body or _key(model) not in self._takes

    def refuse(self, model: ModelVersion) -> None:
        """The endpoint answered without what it had refused."""
        self._remember(model, takes=False)

    def _wanted(self, model: ModelVersion) -> bool:
        match model.stream_usage:
            case StreamUsage.AUTO:
                return self._takes.get(_key(model), True)
            case StreamUsage.ALWAYS:
                return True
            case StreamUsage.NEVER:
                return False
            case _:
                assert_never(model.stream_usage)

    def _remember(self, model: ModelVersion, *, takes: bool) -> None:
        if len(self._takes) >= _MOST_REMEMBERED:
            self._takes.clear()
        self._takes[_key(model)] = takes


def _key(model: ModelVersion) -> tuple[str, str]:
    return model.endpoint, model.model
