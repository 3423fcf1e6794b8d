"""Routes: what the gateways of an app should be doing right now."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from softlaunch.core.split import SplitMethod
from softlaunch.core.variant import Variant
from softlaunch.policy.gateway import GatewayPolicy
from softlaunch.policy.limited import OnlyPolicy
from softlaunch.policy.live import LiveSamplePolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.named_metrics import MetricPolicy
from softlaunch.policy.router import RouterPolicy
from softlaunch.policy.sources import AccessLogPolicy, OtlpPolicy
from softlaunch.policy.texts import TextPolicy
from softlaunch.policy.units import UnitPolicy


class Arm(StrEnum):
    """The side of a comparison that a request fell on.

    `stable` and `candidate` were shown to users. `shadow` was answered by the candidate and `control` by stable as
    copies of a user's request that nobody saw.
    """

    STABLE = "stable"
    CANDIDATE = "candidate"
    SHADOW = "shadow"
    CONTROL = "control"

    __hash__ = str.__hash__  # equal to its text, and without a call of Python's for each look into a table


@dataclass(frozen=True, slots=True)
class Serving:
    """The part of an app's policy that gateways need, and the salt of its unit pseudonyms.

    `metrics` are those that the policy declares, whose values gateways take. `live_sample` says which answers are
    judged, None where none are. `otlp` is set where spans are taken, `router` where an Envoy splits the traffic, and
    `access_log` where its access log is taken.
    """

    salt: str
    unit: UnitPolicy = field(default_factory=UnitPolicy)
    gateway: GatewayPolicy = field(default_factory=GatewayPolicy)
    texts: TextPolicy = field(default_factory=TextPolicy)
    metrics: tuple[MetricPolicy, ...] = ()
    live_sample: LiveSamplePolicy | None = None
    otlp: OtlpPolicy | None = None
    router: RouterPolicy | None = None
    access_log: AccessLogPolicy | None = None

    @property
    def split(self) -> SplitMethod:
        """By which function units are assigned, whoever does it."""
        return SplitMethod.SOFTLAUNCH if self.router is None else self.router.split

    @classmethod
    def of(cls, salt: str, policy: Policy) -> Self:
        """What gateways need of a policy."""
        sample = None if policy.live is None else policy.live.sample_percent
        return cls(
            salt,
            policy.unit,
            policy.gateway,
            policy.texts,
            policy.reported,
            sample,
            policy.sources.otlp,
            policy.router,
            policy.sources.access_log,
        )


@dataclass(frozen=True, slots=True)
class Route:
    """The split in force for an app.

    `revision` grows with every change of the split; `beat` grows each time the watcher says that it is alive. A
    gateway serves the candidate only while it sees new beats: it measures `lease_seconds` on its own monotonic clock
    from the moment it saw the latest one, and a gateway that has just started waits for its first. `shadow_percent`
    of the requests are copied to the candidate, `control_percent` to stable. With `only` nobody else meets the
    candidate, nor are their requests copied.
    """

    app: str
    revision: int
    stable: Variant
    serving: Serving
    candidate: Variant | None = None
    weight_percent: float = 0.0
    shadow_percent: float = 0.0
    control_percent: float = 0.0
    release_id: str | None = None
    stage: int = 0
    beat: int = 0
    lease_seconds: float = 10.0
    only: OnlyPolicy | None = None
