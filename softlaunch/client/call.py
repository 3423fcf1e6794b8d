"""The variant for one unit, and one call to its model, from the beginning to the record."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from softlaunch.client.drawn import CONTROL, SHADOW, STABLE, Drawn
from softlaunch.client.outcomes import outcome_of_answer, outcome_of_error
from softlaunch.client.route import ClientRoute
from softlaunch.client.served import ServedVariant
from softlaunch.core.request_outcome import GIVEN, RequestOutcome
from softlaunch.core.usage import NO_USAGE, Usage, read_usage

if TYPE_CHECKING:
    from types import TracebackType


class Calls(Protocol):
    """The app whose calls these are."""

    def begin(self, variant: "Variant", request: Any) -> "Call":
        """A call begins."""

    def finish(self, call: "Call", record: dict[str, Any]) -> None:
        """A call is over."""


class Variant(Drawn):
    """What to ask a model for one unit, and by which arm: fixed, whatever becomes of the release meanwhile.

    It is meant for one request, or for a few that belong together: who keeps it longer than the lease keeps a candidate
    that nobody watches.
    """

    __slots__ = ("_calls",)

    def __init__(
        self, calls: Calls, route: ClientRoute, served: ServedVariant, arm: str, unit: str, *, in_force: bool = False
    ) -> None:
        self._calls = calls  # without a call of the base's: this is a tenth of what a variant costs
        self._route = route
        self._served = served
        self._arm = arm
        self._unit = unit
        self._in_force = in_force
        self.conversation, self.copy_of = None, ""

    def call(self, request: Any = None) -> "Call":
        """One call to the model, to be recorded: `with config.call() as call:`, or `async with`.

        `request` is what a copy of it needs to ask the same (see `App.shadow`); it stays in this process.
        """
        return self._calls.begin(self, request)

    def stable(self) -> "Variant":
        """Stable's variant for the same unit."""
        return Variant(self._calls, self._route, self._route.stable, STABLE, self._unit, in_force=self._in_force)

    def copy(self, arm: str, of: str) -> "Variant | None":
        """The same unit on a copy's side: `shadow` is the candidate's, `control` stable's; None where there is none.

        `of` names the call that is copied.
        """
        served = self._route.candidate if arm == SHADOW else self._route.stable
        if served is None:
            return None
        found = Variant(self._calls, self._route, served, arm, self._unit, in_force=self._in_force)
        found.conversation, found.copy_of = self.conversation, of
        return found


class Call:
    """One call, as a context manager, also an asynchronous one. It is recorded once, when it is over.

    Without another word an exception says what became of it, and leaving without one that it was answered. It is the
    property of one thread or task at a time.
    """

    def __init__(self, calls: Calls, variant: Variant, request_id: str, request: Any = None) -> None:
        self.id = request_id
        """The id that feedback names."""
        self.reference = request_id
        """What names it to whoever takes its copies."""
        self.variant = variant
        self.request = request
        self.span: Any = None
        """Its span, where calls are told of by these."""
        self.outcome: RequestOutcome | None = None
        self.status: int | None = None
        self.fell_back = False
        """Whether stable answered in the candidate's place."""
        self._calls = calls
        self._values: dict[str, float] = {}
        self._usage = NO_USAGE
        self._cost_usd: float | None = None
        self._finish_reason: str | None = None
        self._resolved_model: str | None = None
        self._fingerprint: str | None = None
        self._first_ms: float | None = None
        self._latency_ms: float | None = None
        self._is_over = False
        self.started_at = time.time()
        self._began = time.perf_counter()

    @property
    def is_over(self) -> bool:
        """Whether it has been recorded."""
        return self._is_over

    @property
    def has_begun(self) -> bool:
        """Whether a first token came."""
        return self._first_ms is not None

    def first_token(self) -> None:
        """The first token of a stream is here; said again it changes nothing."""
        if self._first_ms is None:
            self._first_ms = self._elapsed_ms()

    def answered(
        self,
        usage: Any = None,
        finish_reason: str | None = None,
        *,
        text: str | None = None,
        cost_usd: float | None = None,
        outcome: RequestOutcome | None = None,
    ) -> None:
        """The answer is here, whole: the latency is what has passed until now.

        `usage` is the provider's, as it stands in an answer. Where `cost_usd` is left out the server reckons it by the
        variant's prices. `text`, where it is given, tells an empty answer; it is not kept.
        """
        self._latency_ms = self._elapsed_ms()
        self._usage = usage_of(usage)
        self._finish_reason, self._cost_usd = finish_reason, cost_usd
        self.outcome = outcome or outcome_of_answer(finish_reason, text)

    def told(self, usage: Usage) -> None:
        """What an answer took, as it was told behind its end."""
        self._usage = self._usage.updated(usage)

    def about(self, resolved_model: str | None, fingerprint: str | None = None) -> None:
        """Which model the provider says has answered."""
        self._resolved_model, self._fingerprint = resolved_model, fingerprint

    def failed(self, outcome: RequestOutcome | str, status: int | None = None) -> None:
        """There is no answer, for a reason that no exception tells. Raises ValueError for an unknown outcome."""
        self._latency_ms = self._elapsed_ms()
        self.outcome, self.status = RequestOutcome(outcome), status

    def failed_by(self, error: BaseException) -> RequestOutcome:
        """There is no answer, by this exception; returns what that comes to."""
        outcome, status = outcome_of_error(error, began=self.has_begun)
        self.failed(outcome, status)
        return outcome

    def measure(self, **values: float) -> None:
        """Values of metrics that the app's policy declares, for this request."""
        self._values.update(values)

    def finish(self) -> None:
        """Record it, if it isn't yet."""
        if self._is_over:
            return
        self._is_over = True
        if self.outcome is None:
            self.answered()
        self._calls.finish(self, self._record())

    def _record(self) -> dict[str, Any]:
        variant, route, usage = self.variant, self.variant.route, self._usage
        is_given = self.outcome in GIVEN
        record = {
            "id": self.id,
            "app": route.app,
            "unit": variant.unit,
            "arm": variant.arm,
            "release_id": route.release_id,
            "stage": route.stage,
            "revision": route.revision,
            "variant": variant.digest,
            "weight_percent": variant.weight_percent,
            "started_at": round(self.started_at, 3),
            "latency_ms": round(self._elapsed_ms() if self._latency_ms is None else self._latency_ms, 3),
            "first_token_ms": None if self._first_ms is None else round(self._first_ms, 3),
            "outcome": str(self.outcome),
            "status": 200 if is_given and self.status is None else self.status,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            "cost_usd": self._cost_usd,
            "finish_reason": self._finish_reason,
            "values": dict(self._values),
        }
        extra = {
            "fell_back": self.fell_back,
            "resolved_model": self._resolved_model,
            "fingerprint": self._fingerprint,
            "conversation": variant.conversation,
            "copy_of": variant.copy_of,
        }
        return {**record, **{name: value for name, value in extra.items() if value}}

    @property
    def is_copy(self) -> bool:
        """Whether nobody saw its answer."""
        return self.variant.arm in {SHADOW, CONTROL}

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self._began) * 1000

    def __enter__(self) -> "Call":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        if error is not None and self.outcome is None:
            self.failed_by(error)
        self.finish()

    async def __aenter__(self) -> "Call":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.__exit__(kind, error, trace)


def usage_of(said: Any) -> Usage:
    """What a provider's usage says, as an object of its package, as a mapping, or read already."""
    if said is None or isinstance(said, Usage):
        return said or NO_USAGE
    for method in ("to_dict", "model_dump"):
        if not isinstance(said, Mapping) and callable(getattr(said, method, None)):
            said = getattr(said, method)()
    return (read_usage({"usage": dict(said)}) if isinstance(said, Mapping) else None) or NO_USAGE
