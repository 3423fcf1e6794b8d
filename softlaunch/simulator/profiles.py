"""Model profiles: the figures by which a simulated model behaves."""

import math
import random
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from softlaunch.core.content import Name
from softlaunch.core.documents import Problem, failure, parse, read_text
from softlaunch.core.documents.check import check
from softlaunch.simulator.faults import Fault

_Z95 = 1.6448536269514722  # the normal distribution's 95 % point
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Figures(BaseModel):
    """A frozen group of figures; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Latency(Figures):
    """Time to the whole answer, log-normally distributed, in seconds."""

    p50_s: Positive
    """Half of the answers take longer."""
    p95_s: Positive
    """One in twenty takes longer."""
    first_token_share: Share = 0.25
    """Share of the time that passes before a stream's first token."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.p95_s < self.p50_s:
            raise ValueError(f"p95_s ({self.p95_s:g}) is below p50_s ({self.p50_s:g})")
        return self

    def draw(self, rng: random.Random) -> float:
        """One latency in seconds."""
        return rng.lognormvariate(math.log(self.p50_s), math.log(self.p95_s / self.p50_s) / _Z95)


class OutputTokens(Figures):
    """Tokens of an answer, log-normally distributed."""

    mean: Positive
    """Arithmetic mean, which decides the mean cost."""
    spread: Annotated[float, Field(ge=0, le=3)] = 0.5
    """Standard deviation of the logarithm."""

    def draw(self, rng: random.Random) -> int:
        """The tokens of one answer, at least 1."""
        return max(1, round(rng.lognormvariate(math.log(self.mean) - self.spread**2 / 2, self.spread)))


class Errors(Figures):
    """Calls that fail by themselves."""

    rate: Share = 0.0
    """Share of calls that fail."""
    statuses: Annotated[tuple[Annotated[int, Field(ge=400, le=599)], ...], Field(min_length=1)] = (500, 503)
    """HTTP statuses that they fail with, equally often."""


class Load(Figures):
    """How the model slows down when more requests arrive than it can take."""

    capacity_rps: Positive
    """Up to this arrival rate, in requests per second, it keeps its latency."""
    saturated_rps: Positive | None = None
    """From this rate on it is as slow as it gets; left out: one and a half times the capacity."""
    slowdown: Annotated[float, Field(ge=1)] = 5.0
    """Factor on the latency once saturated."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.saturated_rps is not None and self.saturated_rps <= self.capacity_rps:
            raise ValueError(f"saturated_rps ({self.saturated_rps:g}) isn't above capacity_rps ({self.capacity_rps:g})")
        return self

    def factor(self, arrival_rps: float) -> float:
        """Factor on the latency at an arrival rate: 1 up to capacity, growing evenly to `slowdown` at saturation."""
        saturated = self.saturated_rps or 1.5 * self.capacity_rps
        excess = (arrival_rps - self.capacity_rps) / (saturated - self.capacity_rps)
        return 1 + (self.slowdown - 1) * min(max(excess, 0.0), 1.0)


class JudgeFigures(Figures):
    """How a model judges that is asked with one of softlaunch's judge prompts."""

    accuracy: Share = 0.9
    """Share of its verdicts that are as the answers deserve."""
    first_bias: Share = 0.0
    """Share of pairs on which it picks the first answer, whatever it says."""
    nonsense_rate: Share = 0.0
    """Share of prompts that it answers with something that is no verdict."""


class Profile(Figures):
    """One simulated model."""

    name: Name
    """What clients ask for."""
    model: str = ""
    """The resolved model id in answers; left out: the name."""
    description: str = ""
    source: str = "made up"
    """Where the figures are from."""
    latency: Latency
    output_tokens: OutputTokens = OutputTokens(mean=60)
    accuracy: Share
    """Share of known questions answered right, over many questions and calls."""
    repeat_correlation: Share = 0.5
    """How correlated answers to the same question are: 0, each call is drawn anew; 1, always right or always wrong."""
    hallucination_rate: Share = 0.0
    """Share of answers that carry a claim which nothing supports."""
    errors: Errors = Errors()
    load: Load | None = None
    judge: JudgeFigures | None = None
    """It is a judge; its answers to other prompts are nonsense."""
    faults: tuple[Fault, ...] = ()
    """Faults that begin by themselves, `after` seconds from the provider's start."""
    input_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    output_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    """Prices are listed for the model versions that point here; answers carry token counts, never costs."""

    @property
    def resolved_model(self) -> str:
        """The model id that answers name."""
        return self.model or self.name


def read_profiles(path: Path) -> tuple[Profile, ...]:
    """The profiles of a YAML file, which holds a list of them; raises DocumentError naming file, line and key."""
    document = parse(path, read_text(path))
    profiles = check(document, tuple[Profile, ...])
    names: set[str] = set()
    for position, profile in enumerate(profiles):
        if profile.name in names:
            problem = f"{profile.name!r} is there already; give every profile a name of its own"
            raise failure(path, [Problem(document.line((position, "name")), f"[{position}].name", problem)])
        names.add(profile.name)
    return profiles


def builtin_profiles() -> tuple[Profile, ...]:
    """The profiles that come with softlaunch: four published snapshots, and made-up models for demonstrations."""
    return read_profiles(Path(__file__).with_name("builtin_profiles.yaml"))
