"""The request log where a receiver writes it: complete so long ago that every span has come that comes in time."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, func, select
from sqlmodel import Session, col

from softlaunch.gates.telemetry import Scope
from softlaunch.ledger.gateways import RECEIVER
from softlaunch.policy.sources import AccessLogPolicy, OtlpPolicy
from softlaunch.store.tables import RequestRow
from softlaunch.telemetry.queries import complete_until
from softlaunch.telemetry.request_log import RequestLogTelemetry


@dataclass(frozen=True, slots=True)
class OtlpTelemetry(RequestLogTelemetry):
    """Reads the request log as far as its receivers, and gateways where there are any, have completed it."""

    policy: OtlpPolicy = field(default_factory=OtlpPolicy)

    @property
    def _is_access_log(self) -> bool:
        return isinstance(self.policy, AccessLogPolicy)

    def complete(self, session: Session, scope: Scope, after: float, now: float) -> tuple[float, str]:
        """Without a receiver, or without any request for long, nothing is known."""
        received = complete_until(session, now, RECEIVER)
        if received is None:
            if self._is_access_log:
                return after, "no receiver of Envoy's access log has been heard for 5 s; start softlaunch envoy control"
            return after, "no OTLP receiver has been heard for 5 s; start softlaunch otlp, or a config server"
        newest = session.execute(_newest(scope)).scalar_one()
        silent = now - max(newest or 0.0, scope.began)
        if silent > self.policy.stale_after + self.policy.behind:
            what, whose = ("entry of Envoy's log", "Envoy") if self._is_access_log else ("span", "its exporter")
            return after, f"no {what} of {scope.app} has come for {silent:.0f} s; see whether {whose} reaches us"
        complete, served = received - self.policy.behind, complete_until(session, now)
        return (complete if served is None else min(complete, served)), ""


def _newest(scope: Scope) -> Select[Any]:
    return select(func.max(RequestRow.started_at)).where(
        col(RequestRow.app) == scope.app,
        col(RequestRow.release_id) == scope.release_id,
        col(RequestRow.stage) == scope.stage.position,
        col(RequestRow.started_at) >= scope.began,
    )
