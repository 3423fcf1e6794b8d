"""The part of a policy that says how gateways serve an app."""

from typing import Annotated

from pydantic import Field

from softlaunch.core.quantities import Duration
from softlaunch.policy.part import Part, Percent


class BreakerPolicy(Part):
    """When a gateway by itself stops sending traffic to a candidate that fails massively."""

    window: Duration = 5.0
    """How far back the breaker looks."""
    minimum_requests: Annotated[int, Field(ge=3)] = 10
    """Fewer of the candidate's answers than this never trip it."""
    failed_percent: Percent = 50.0
    """It trips when at least this share of them failed."""


class GatewayPolicy(Part):
    """How the gateway serves this app."""

    connect: Annotated[Duration, Field(gt=0)] = 10.0
    """How long a connection to the provider may take."""
    first_token: Annotated[Duration, Field(gt=0)] = 120.0
    """How long a stream may be silent before its first token; models that reason in silence need time."""
    idle: Annotated[Duration, Field(gt=0)] = 60.0
    """How long a stream may pause between two tokens, and a client may stop reading."""
    total: Annotated[Duration, Field(gt=0)] = 900.0
    """How long an answer may take altogether."""
    timeout: Annotated[Duration, Field(gt=0)] | None = None
    """The one limit of older policies: none of the four is longer than this."""
    heartbeat: Annotated[Duration, Field(ge=1)] = 15.0
    """After so long without a first token a stream is opened towards the client, and kept alive by comments."""
    fallback: bool = True
    """Answer from stable when the candidate failed before its first byte. The failure still counts against it."""
    mixed_embeddings: bool = False
    """Whether the app can take vectors of two models at once, because it keeps them apart or compares none of them.

    Left out, embeddings stay on stable while a candidate has another model, and such a release is refused.
    """
    breaker: BreakerPolicy = BreakerPolicy()
    lease: Annotated[Duration, Field(ge=2, le=300)] = 10.0
    """How long a gateway may send traffic to a candidate without hearing that somebody still watches."""
