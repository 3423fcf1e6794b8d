"""What a unit was drawn: a variant, an arm, and by which route."""

from collections.abc import Mapping, Sequence
from typing import Any

from softlaunch.client.route import ClientRoute
from softlaunch.client.served import Prompt, ServedVariant

STABLE, CANDIDATE, SHADOW, CONTROL = "stable", "candidate", "shadow", "control"


class Drawn:
    """What to ask a model for one unit, and by which arm: fixed, whatever becomes of the release meanwhile."""

    __slots__ = ("_arm", "_in_force", "_route", "_served", "_unit", "conversation", "copy_of")

    def __init__(
        self, route: ClientRoute, served: ServedVariant, arm: str, unit: str, *, in_force: bool = False
    ) -> None:
        self._route = route
        self._served = served
        self._arm = arm
        self._unit = unit
        self._in_force = in_force
        self.conversation: str | None = None
        """The conversation that was named, where arms are drawn afresh in each."""
        self.copy_of = ""
        """Of a copy's: the id of the call that was copied."""

    @property
    def model(self) -> str:
        """The exact id of the model, as its endpoint knows it."""
        return self._served.model

    @property
    def provider(self) -> str:
        """The model's provider."""
        return self._served.provider

    @property
    def endpoint(self) -> str:
        """The base URL of the model's endpoint."""
        return self._served.endpoint

    @property
    def prompt(self) -> Prompt:
        """The prompt."""
        return self._served.prompt

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The sampling parameters that the variant sets, by their names in chat completions."""
        return self._served.sampling

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The variant's tools, in softlaunch's neutral shape."""
        return self._served.tools

    @property
    def settings(self) -> Mapping[str, Any]:
        """The application's own settings of this variant."""
        return self._served.settings

    @property
    def content(self) -> Mapping[str, Any]:
        """Everything that is recorded of the variant, without secrets."""
        return self._served.content

    @property
    def label(self) -> str:
        """A name for people."""
        return self._served.label

    @property
    def digest(self) -> str:
        """What identifies it; empty for a default that the application brought."""
        return self._served.digest

    @property
    def arm(self) -> str:
        """`stable` or `candidate`; of copies `shadow` or `control`."""
        return self._arm

    @property
    def release_id(self) -> str | None:
        """The release that is under way, None where there is none."""
        return self._route.release_id

    @property
    def unit(self) -> str:
        """By whom the arm was drawn."""
        return self._unit

    @property
    def app_name(self) -> str:
        """The app."""
        return self._route.app

    @property
    def weight_percent(self) -> float:
        """The weight by which the arm was drawn: 0 while the candidate mustn't be shown, whatever the route says."""
        return self._route.weight_percent if self._in_force else 0.0

    @property
    def served(self) -> ServedVariant:
        """What everybody shares whom this variant serves."""
        return self._served

    @property
    def route(self) -> ClientRoute:
        """The route by which the arm was drawn."""
        return self._route

    def chat_body(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a chat completion, as a gateway would send it for the same request.

        `request` has `messages`, and may have `variables` for the prompt. Raises TemplateVariablesError.
        """
        return self._served.whole.request_body(request)

    def __repr__(self) -> str:
        return f"<Variant {self.label!r} ({self._arm}) of {self._route.app}>"
