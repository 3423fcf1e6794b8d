"""What a candidate has other than what serves: the part that requests for releases and tests have in common."""

from pydantic import BaseModel, ConfigDict, Field

from softlaunch.catalog.candidates import Change
from softlaunch.core.variant import Sampling


class Changes(BaseModel):
    """What the candidate has other than what serves now: a recorded variant, or another prompt, model or sampling."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: str | None = Field(
        default=None,
        title="Variant",
        description="A recorded variant, by name, alias or digest, such as improved; the rest stays empty then.",
        examples=["improved"],
    )
    prompt: str | None = Field(
        default=None,
        title="Prompt",
        description="Another prompt version, such as support@1.1.0.",
        examples=["support@1.1.0"],
    )
    model: str | None = Field(
        default=None,
        title="Model",
        description="Another model version, by its name in models.yaml, such as gpt-4-1106.",
        examples=["gpt-4-1106"],
    )
    sampling: Sampling = Field(
        default=Sampling(), title="Sampling", description="Sampling parameters to set; the others stay as they are."
    )
    parameters: str | None = Field(
        default=None,
        title="Parameters",
        description="Another version of parameters (tools, format, settings), such as support@1.1.0; none for none.",
        examples=["support@1.1.0"],
    )
    fallbacks: tuple[str, ...] | None = Field(
        default=None,
        title="Fallback models",
        description="Models to ask, in order, where the model gives no answer; an empty list for none.",
        examples=[["gpt-4-0613"]],
    )

    def __str__(self) -> str:
        """`support@1.1.0, temperature 0.2`, for run names."""
        settings = self.sampling.model_dump(exclude_none=True)
        named = [part for part in (self.variant, self.prompt, self.model) if part]
        named += [f"{key} {value}" for key, value in settings.items()]
        if self.parameters is not None:
            named.append(f"parameters {self.parameters}")
        if self.fallbacks is not None:
            named.append(f"fallbacks {' and '.join(self.fallbacks) or 'none'}")
        return ", ".join(named) or "nothing"

    @property
    def change(self) -> Change:
        """The same for the registry."""
        settings = self.sampling.model_dump(exclude_none=True)
        return Change(
            prompt=self.prompt,
            model=self.model,
            sampling=settings,
            variant=self.variant,
            parameters=self.parameters,
            fallbacks=self.fallbacks,
        )
