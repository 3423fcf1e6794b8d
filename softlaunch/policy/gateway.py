"""The part of a policy that says how gateways serve an app."""

from typing import Annotated

from pydantic import Field

from softlaunch.core.quantities import Duration
from softlaunch.policy.part import Part, Percent


class BreakerPolicy(Part):
    """When a gateway stops sending traffic to a massively failing candidate on its own."""

    window: Duration = 5.0
    """How far back the breaker looks."""
    minimum_requests: Annotated[int, Field(ge=3)] = 10
    """The breaker never trips on fewer candidate answers than this."""
    failed_percent: Percent = 50.0
    """It trips when at least this share of them failed."""


class GatewayPolicy(Part):
    """How the gateway serves this app."""

    connect: Annotated[Duration, Field(gt=0)] = 10.0
    """How long connecting to the provider may take."""
    first_token: Annotated[Duration, Field(gt=0)] = 120.0
    """How long a stream may be silent before its first token; reasoning models need time."""
    idle: Annotated[Duration, Field(gt=0)] = 60.0
    """How long a stream may pause between two tokens, and how long a client may stop reading."""
    total: Annotated[Duration, Field(gt=0)] = 900.0
    """How long an answer may take in total."""
    timeout: Annotated[Duration, Field(gt=0)] | None = None
    """The only limit in older policies; caps each of the four above."""
    heartbeat: Annotated[Duration, Field(ge=1)] = 15.0
    """After this long without a first token, the stream to the client is opened and kept alive by comments."""
    fallback: bool = True
    """Whether stable answers if the candidate fails before its first byte. The failure still counts against the
    candidate.
    """
    mixed_embeddings: bool = False
    """Whether the app can take vectors of two models at once, because it keeps them apart or compares none of them.

    Otherwise embeddings stay on stable while a candidate has another model, and such a release is refused.
    """
    breaker: BreakerPolicy = BreakerPolicy()
    lease: Annotated[Duration, Field(ge=2, le=300)] = 10.0
    """How long a gateway may send traffic to a candidate without confirmation that the release is still watched."""
