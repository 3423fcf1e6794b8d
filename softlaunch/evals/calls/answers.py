"""What a call of an eval came to: a scored answer, or an unscored call with the reason it has none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class EvalArm(StrEnum):
    """The side of a comparison; both sides may be one and the same variant."""

    STABLE = "stable"
    CANDIDATE = "candidate"


class Status(StrEnum):
    """Unscored is a third state: neither right nor wrong, counted by itself."""

    SCORED = "scored"
    UNSCORED = "unscored"


@dataclass(frozen=True, slots=True, order=True)
class CallKey:
    """Which call: the arm, the case, and the how-manieth time, from 0."""

    arm: EvalArm
    case_id: str
    repeat: int


@dataclass(frozen=True, slots=True)
class EvalAnswer:
    """One finished call.

    `scores` maps metrics to values in [0, 1] and is empty where the call is unscored; `error` is then a short code
    such as `timeout` or `http_429`. Latency is that of the attempt that was answered; what nobody knows is None.
    `reused` answers were given in an earlier run, which has paid for them.
    `unscored_because` has the reason for each metric without a value; it is worked out with the scores, and not stored.
    `weight` is what it counts for among the repeats of its case, and isn't stored either.
    `resolved_model` and `fingerprint` are the names that the answer itself gave.
    """

    key: CallKey
    variant_digest: str
    status: Status
    error: str | None = None
    answer: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    case_digest: str = ""
    reused: bool = False
    resolved_model: str | None = None
    fingerprint: str | None = None
    unscored_because: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
