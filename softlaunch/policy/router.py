"""The part of a policy that is about who routes an app's traffic, where that isn't the gateway."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import AnyHttpUrl

from softlaunch.core.documents import KeyedError
from softlaunch.core.split import SHARES, SplitMethod, envoy_shares
from softlaunch.policy.gateway import BreakerPolicy
from softlaunch.policy.part import Part
from softlaunch.policy.units import UnitPolicy, UnitSource

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ROUNDING = 1e-6


class RouterKind(StrEnum):
    """What splits the traffic."""

    ENVOY = "envoy"


class RouterPolicy(Part):
    """Your own Envoy, which splits the app's traffic as `softlaunch envoy control` tells it."""

    kind: RouterKind
    stable: AnyHttpUrl
    """The address that serves stable, such as http://support-bot:8080: your deployment or, with `rewrite`, the model's
    endpoint.
    """
    candidate: AnyHttpUrl | None = None
    """The address that serves the candidate. Left out: the same one. Each request names its arm and variant in the
    headers `x-softlaunch-arm` and `x-softlaunch-variant`.
    """
    rewrite: bool = False
    """Whether bodies are rewritten for the arm's variant (its prompt, model and parameters) on their way to the model's
    endpoint. Otherwise the application does that itself.
    """

    @property
    def split(self) -> SplitMethod:
        """How units are assigned: as the router does it, also in gateways and clients of the same app."""
        return SplitMethod.ENVOY

    def address(self, *, candidate: bool) -> AnyHttpUrl:
        """Where an arm answers."""
        return self.candidate or self.stable if candidate else self.stable


def without_older_router(values: Mapping[str, Any]) -> dict[str, Any]:
    """A policy as written, without the word that older ones had under `router`, and that nothing reads."""
    return {key: value for key, value in values.items() if key != "router" or not isinstance(value, str)}


def check_unit(unit: UnitPolicy) -> None:
    """Raise KeyedError where Envoy can't tell units apart as the policy wants, or keep what it promises them."""
    if unit.source is not UnitSource.HEADER:
        raise KeyedError("Envoy splits by a header and reads no body; use header", "source")
    if not _HEADER.fullmatch(unit.header):
        raise KeyedError(f"{unit.header!r} isn't a header name, so Envoy would split by nothing", "header")
    for key, value, why in (
        ("redraw", unit.redraw, "Envoy keeps a unit's arm for as long as the release lasts"),
        ("pin", unit.pin, "Envoy doesn't know on which variant a conversation started"),
        ("signed_by", unit.signed_by, "Envoy checks no signature; let your own authentication set the header"),
    ):
        if value is not None:
            raise KeyedError(f"{why}; leave it out, or serve the app with the gateway", key)


def check_percent(percent: float, *where: str | int) -> None:
    """Raise KeyedError where Envoy would round a share of traffic to another one."""
    if abs(percent * SHARES / 100 - envoy_shares(percent)) > _ROUNDING:
        raise KeyedError(f"Envoy splits by hundredths of a percent, so {percent:g} isn't one of its shares", *where)


def check_breaker(breaker: BreakerPolicy) -> None:
    """Raise KeyedError where a policy relies on a breaker, which Envoy isn't told of."""
    if breaker != BreakerPolicy():
        raise KeyedError(
            "no breaker stops a candidate in Envoy, gates do; leave it out, or add outlier detection to both clusters",
            *("gateway", "breaker"),
        )
