"""Answering with a span for each answer: what is added to a gateway that exports, and to no other."""

from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING

from softlaunch.gateway.answering import Answering, Records
from softlaunch.gateway.calls import Answer
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.request_context import RequestContext
from softlaunch.gateway.requests import AppRequest
from softlaunch.gateway.table import AppRoute
from softlaunch.gateway.threads import Threads
from softlaunch.gateway.upstream import Upstream
from softlaunch.ledger.request_log import RequestRecord

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from softlaunch.gateway.tracing.signals import Signals

_SPAN: ContextVar["Span"] = ContextVar("span")


class TracedAnswering(Answering):
    """The handler of requests to models, with the parts that it tells to `signals`.

    The client's span is the parent of the request's, and that one of what the provider says it does.
    """

    def __init__(
        self,
        signals: "Signals",
        upstream: Upstream,
        records: Records,
        threads: Threads,
        limits: Limits,
        *,
        show_arm: bool = False,
    ) -> None:
        super().__init__(upstream, records, threads, limits, show_arm=show_arm)
        self._signals = signals

    async def answer(self, request: AppRequest, app_route: AppRoute, cycle: HttpCycle) -> None:
        """See Answering. What is done for the request in tasks of its own knows its span, too."""
        span, headers = self._signals.begin(request.headers)
        _SPAN.set(span)
        await super().answer(replace(request, headers=headers), app_route, cycle)

    def _record(
        self,
        context: RequestContext,
        answer: Answer,
        *,
        fell_back: bool = False,
        mirrored: bool = False,
        excused: bool = False,
    ) -> RequestRecord:
        row = super()._record(context, answer, fell_back=fell_back, mirrored=mirrored, excused=excused)
        model = answer.answered_by or context.choice.variant.at(context.place).model
        self._signals.answered(_SPAN.get(), row, model)
        return row
